//! Another master key for everything that is sealed.
//!
//! The order that must hold: the new key is on the disk before a row is sealed with it; all rows are sealed anew in
//! one commit; only then the new key takes the old one's name. A crash at any point leaves a key for every row, and
//! the next start does the rest.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use aegis_store::{Batch, CommitError, fault};

use super::{SecretError, Secrets, key::MasterKey, seal};
use crate::{home::sync_directory_of, keyspace::SEALED};

/// Where the new key is until it has the old one's name.
pub(super) fn next_path(path: &Path) -> PathBuf {
    path.with_extension("key.next")
}

impl Secrets {
    /// Replaces the master key. Gives how many values were sealed anew. Blocks.
    pub fn rotate(&self) -> Result<usize, SecretError> {
        // One at a time; reading goes on with whichever key fits.
        static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        fault::point("secrets.rotate.before");
        let next = Arc::new(MasterKey::make(&next_path(&self.path))?);
        fault::point("secrets.rotate.key");
        self.change_to(&next)
    }

    /// Ends a rotation that was cut off, if there is one.
    pub(super) fn finish_rotation(&self) -> Result<(), SecretError> {
        if let Some(next) = MasterKey::load(&next_path(&self.path))? {
            let rows = self.change_to(&Arc::new(next))?;
            tracing::info!(rows, "ended a rotation of the master key that was cut off");
        }
        Ok(())
    }

    fn change_to(&self, next: &Arc<MasterKey>) -> Result<usize, SecretError> {
        {
            // From here on everything new is sealed with the new key.
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::replace(&mut keys.current, next.clone());
            keys.before = Some(before);
        }
        let rows = self.reseal(next)?;
        fault::point("secrets.rotate.rows");
        let failed = |source| SecretError::Io { path: self.path.clone(), source };
        fs::rename(next_path(&self.path), &self.path).map_err(failed)?;
        sync_directory_of(&self.path).map_err(failed)?;
        fault::point("secrets.rotate.after");
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).before = None;
        Ok(rows)
    }

    fn reseal(&self, next: &MasterKey) -> Result<usize, SecretError> {
        loop {
            let mut batch = Batch::new();
            for entry in self.store.list(SEALED)? {
                if !seal::is_by(next, &entry.value) {
                    let value = self.open_row(&entry.key, &entry.value)?;
                    batch.check(&entry.key, entry.revision);
                    batch.put(&entry.key, seal::seal(next, &entry.key, &value)?);
                }
            }
            let rows = batch.writes.len();
            if rows == 0 {
                return Ok(0);
            }
            match self.store.commit(batch).wait() {
                Ok(_) => return Ok(rows),
                // Somebody changed one in between: read again.
                Err(CommitError::Stale { .. }) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
        }
    }
}
