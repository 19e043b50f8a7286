//! Opening the environment: modes, the lock, the tables, the format.

use std::{
    fs::{DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    sync::{RwLock, atomic::AtomicU64},
};

use heed::{CommitOrAbort, EnvOpenOptions, RwTxn};

use super::{FORMAT, Options, Shared, Tables, number};
use crate::{StoreError, lock::DirectoryLock, watch::Announcer};

/// How far the revision jumps after a restore: more than any store writes in its life.
const RESTORE_JUMP: u64 = 1 << 32;

pub(super) fn open(directory: &Path, options: &Options) -> Result<Shared, StoreError> {
    prepare(directory).map_err(|error| StoreError::Engine(format!("{}: {error}", directory.display())))?;
    let lock = DirectoryLock::take(directory)?;
    let data = directory.join("data.mdb");
    // A store that has grown before opens at the size that it has.
    let existing = data.metadata().map_or(0, |meta| usize::try_from(meta.len()).unwrap_or(usize::MAX));
    let map_size = options.map_size.max(existing.next_multiple_of(1 << 20));
    #[expect(unsafe_code, reason = "a memory map is unsound if somebody else changes the file")]
    // SAFETY: the exclusive lock above keeps every other Aegis process away from these files.
    let env = unsafe {
        EnvOpenOptions::new().read_txn_without_tls().map_size(map_size).max_dbs(4).open(directory)?
    };
    std::fs::set_permissions(&data, Permissions::from_mode(0o600))
        .map_err(|error| StoreError::Engine(error.to_string()))?;

    let transaction = env.write_txn()?;
    let opened = env.create_databases_and_commit(transaction, |opener, transaction| {
        let mut table = |name| opener.create_database(transaction, Some(name));
        let tables = [table("keys")?, table("logs")?, table("changes")?, table("meta")?];
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(tables))
    })?;
    let Some([keys, logs, changes, meta]) = opened.commit() else { return Err(StoreError::Closed) };
    let tables = Tables { keys, logs, changes, meta };

    let mut transaction = env.write_txn()?;
    tables.check_format(&mut transaction)?;
    if options.restored {
        tables.jump(&mut transaction)?;
    }
    let revision = tables.meta_number(&transaction, "revision")?;
    transaction.commit()?;
    Ok(Shared {
        env,
        tables,
        map: RwLock::new(()),
        revision: AtomicU64::new(revision),
        announcer: Announcer::new(),
        _lock: lock,
    })
}

fn prepare(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    std::fs::set_permissions(directory, Permissions::from_mode(0o700))
}

impl Tables {
    pub(super) fn meta_number(&self, transaction: &heed::RoTxn, name: &str) -> Result<u64, heed::Error> {
        Ok(self.meta.get(transaction, name.as_bytes())?.map_or(0, number))
    }

    pub(super) fn set_meta_number(
        &self,
        transaction: &mut RwTxn,
        name: &str,
        value: u64,
    ) -> Result<(), heed::Error> {
        self.meta.put(transaction, name.as_bytes(), &value.to_be_bytes())
    }

    fn check_format(&self, transaction: &mut RwTxn) -> Result<(), StoreError> {
        match self.meta_number(transaction, "format")? {
            0 => Ok(self.set_meta_number(transaction, "format", FORMAT)?),
            found if found > FORMAT => Err(StoreError::Newer { found, known: FORMAT }),
            _ => Ok(()),
        }
    }

    /// Begins a new range of revisions, and forgets the changes of the old one.
    fn jump(&self, transaction: &mut RwTxn) -> Result<(), heed::Error> {
        let revision = self.meta_number(transaction, "revision")? + RESTORE_JUMP;
        self.set_meta_number(transaction, "revision", revision)?;
        self.set_meta_number(transaction, "floor", revision)?;
        self.changes.clear(transaction)
    }
}
