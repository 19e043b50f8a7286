//! Reading: each call is one snapshot of its own.

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    ops::Bound,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{PoisonError, RwLockReadGuard, atomic::Ordering},
};

use aegis_core::Revision;
use heed::{CompactionOption, RoTxn, WithoutTls};

use super::{
    LmdbStore, number,
    rows::{change_key, log_key, log_prefix},
    writer::Job,
};
use crate::{Batch, Entry, Order, Pending, Record, Store, StoreError, Watch};

impl LmdbStore {
    /// A snapshot. The guard must outlive the transaction; what is bound first is dropped last.
    fn snapshot(&self) -> Result<(RwLockReadGuard<'_, ()>, RoTxn<'_, WithoutTls>), StoreError> {
        let guard = self.shared.map.read().unwrap_or_else(PoisonError::into_inner);
        Ok((guard, self.shared.env.read_txn()?))
    }
}

impl Store for LmdbStore {
    fn revision(&self) -> Revision {
        Revision(self.shared.revision.load(Ordering::Acquire))
    }

    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        if key.is_empty() || key.len() > crate::MAX_KEY {
            return Ok(None);
        }
        let (_guard, snapshot) = self.snapshot()?;
        let row = self.shared.tables.keys.get(&snapshot, key.as_bytes())?;
        Ok(row.map(|row| {
            let (revision, value) = split(row);
            Entry { key: key.to_owned(), value: value.to_vec(), revision }
        }))
    }

    fn scan(
        &self,
        prefix: &str,
        order: Order,
        visit: &mut dyn FnMut(&str, &[u8], Revision) -> bool,
    ) -> Result<(), StoreError> {
        let (_guard, snapshot) = self.snapshot()?;
        let keys = self.shared.tables.keys;
        let mut visit = |row: Result<(&[u8], &[u8]), heed::Error>| -> Result<bool, StoreError> {
            let (key, row) = row?;
            let (revision, value) = split(row);
            Ok(visit(text(key)?, value, revision))
        };
        // LMDB can't seek an empty prefix.
        let rows: Box<dyn Iterator<Item = _>> = match (order, prefix.as_bytes()) {
            (Order::Rising, []) => Box::new(keys.iter(&snapshot)?),
            (Order::Rising, prefix) => Box::new(keys.prefix_iter(&snapshot, prefix)?),
            (Order::Falling, []) => Box::new(keys.rev_iter(&snapshot)?),
            (Order::Falling, prefix) => Box::new(keys.rev_prefix_iter(&snapshot, prefix)?),
        };
        for row in rows {
            if !visit(row)? {
                break;
            }
        }
        Ok(())
    }

    fn log(&self, log: &str, after: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        let (_guard, snapshot) = self.snapshot()?;
        let prefix = log_prefix(log);
        let (after, last) = (log_key(log, after), log_key(log, u64::MAX));
        let range = (Bound::Excluded(after.as_slice()), Bound::Included(last.as_slice()));
        let mut records = Vec::new();
        for row in self.shared.tables.logs.range(&snapshot, &range)?.take(limit) {
            let (key, value) = row?;
            records.push(Record { sequence: number(&key[prefix.len()..]), value: value.to_vec() });
        }
        Ok(records)
    }

    fn commit(&self, batch: Batch) -> Pending {
        let (answer, pending) = Pending::new();
        if let Some(queue) = &self.queue {
            // A writer that died drops `answer`, and the pending result says so.
            let _ = queue.send(Job { batch, answer });
        }
        pending
    }

    fn changes(&self, since: Revision, prefix: &str) -> Result<Option<BTreeSet<String>>, StoreError> {
        let (_guard, snapshot) = self.snapshot()?;
        let tables = self.shared.tables;
        let floor = tables.meta_number(&snapshot, "floor")?;
        let now = tables.meta_number(&snapshot, "revision")?;
        if since.0 < floor || since.0 > now {
            return Ok(None);
        }
        let from = change_key(since.0 + 1, 0);
        let range = (Bound::Included(&from[..]), Bound::Unbounded);
        let mut keys = BTreeSet::new();
        for row in tables.changes.range(&snapshot, &range)? {
            let key = text(row?.1)?;
            if key.starts_with(prefix) && !keys.contains(key) {
                keys.insert(key.to_owned());
            }
        }
        Ok(Some(keys))
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.shared.announcer.watch(prefix)
    }

    fn backup(&self, path: &Path) -> Result<(), StoreError> {
        let engine = |error: std::io::Error| StoreError::Engine(format!("{}: {error}", path.display()));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(engine)?;
        let _guard = self.shared.map.read().unwrap_or_else(PoisonError::into_inner);
        self.shared.env.copy_to_file(&mut file, CompactionOption::Enabled)?;
        file.sync_all().map_err(engine)
    }
}

fn split(row: &[u8]) -> (Revision, &[u8]) {
    (Revision(number(row)), row.get(8..).unwrap_or_default())
}

fn text(key: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(key)
        .map_err(|_| StoreError::Engine("a key is no text: the file is damaged".to_owned()))
}
