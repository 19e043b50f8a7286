//! The engine of tests and previews: everything in one map behind one lock.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aegis_core::Revision;

use crate::{
    Append, Batch, Entry, Order, Pending, Record, Store, StoreError, Watch,
    apply::{Rows, apply},
    watch::Announcer,
};

/// A store that is gone with its process.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    announcer: Announcer,
    change_rows: usize,
}

#[derive(Debug, Default)]
struct State {
    revision: Revision,
    keys: BTreeMap<String, (Revision, Vec<u8>)>,
    logs: BTreeMap<String, Vec<Vec<u8>>>,
    changes: VecDeque<(Revision, String)>,
    /// Changes up to this revision are no longer known.
    floor: Revision,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_change_rows(crate::lmdb::CHANGE_ROWS)
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
    /// An empty store that remembers at least this many changed keys.
    pub fn with_change_rows(change_rows: usize) -> Self {
        Self { state: Mutex::default(), announcer: Announcer::new(), change_rows }
    }
    /// Every change of the state is completed without a call that may panic, except a record's `make`, which comes
    /// before its record is pushed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn revision(&self) -> Revision {
        self.state().revision
    }

    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.state().keys.get(key).map(|(revision, value)| Entry {
            key: key.to_owned(),
            value: value.clone(),
            revision: *revision,
        }))
    }

    fn scan(
        &self,
        prefix: &str,
        order: Order,
        visit: &mut dyn FnMut(&str, &[u8], Revision) -> bool,
    ) -> Result<(), StoreError> {
        let state = self.state();
        let range = state.keys.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let mut visit =
            |(key, (revision, value)): (&String, &(Revision, Vec<u8>))| visit(key, value, *revision);
        match order {
            Order::Rising => {
                let _stopped = range.into_iter().all(&mut visit);
            }
            Order::Falling => {
                let rows: Vec<_> = range.collect();
                let _stopped = rows.into_iter().rev().all(&mut visit);
            }
        }
        Ok(())
    }

    fn log(&self, log: &str, after: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        let state = self.state();
        let records = state.logs.get(log).map_or(&[][..], Vec::as_slice);
        let numbered = (1..).zip(records).map(|(sequence, value)| Record { sequence, value: value.clone() });
        Ok(numbered.skip_while(|record| record.sequence <= after).take(limit).collect())
    }

    fn commit(&self, batch: Batch) -> Pending {
        crate::fault::point("store.commit.before");
        let mut state = self.state();
        let now = state.revision;
        let Ok(result) = apply(&mut *state, now, &batch);
        let result = result.map(|applied| {
            state.revision = applied.revision;
            for key in &applied.keys {
                state.changes.push_back((applied.revision, key.clone()));
            }
            state.forget_old_changes(self.change_rows);
            // Announced under the lock, so that watchers see commits in their order.
            self.announcer.announce(applied.revision, applied.keys);
            applied.revision
        });
        drop(state);
        crate::fault::point("store.commit.after");
        Pending::ready(result)
    }

    fn changes(&self, since: Revision, prefix: &str) -> Result<Option<BTreeSet<String>>, StoreError> {
        let state = self.state();
        if since < state.floor || since > state.revision {
            return Ok(None);
        }
        let from = state.changes.partition_point(|(revision, _)| *revision <= since);
        let keys = state.changes.iter().skip(from).filter(|(_, key)| key.starts_with(prefix));
        Ok(Some(keys.map(|(_, key)| key.clone()).collect()))
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.announcer.watch(prefix)
    }

    fn backup(&self, _path: &Path) -> Result<(), StoreError> {
        Err(StoreError::Unsupported("a store in memory has no backup"))
    }
}

impl State {
    /// Drops whole revisions from the front until at most `limit` rows are left.
    fn forget_old_changes(&mut self, limit: usize) {
        while self.changes.len() > limit {
            if let Some((revision, _)) = self.changes.pop_front() {
                self.floor = revision;
            }
        }
        while self.changes.front().is_some_and(|(revision, _)| *revision == self.floor) {
            self.changes.pop_front();
        }
    }
}

impl Rows for State {
    type Error = Infallible;
    fn revision_of(&mut self, key: &str) -> Result<Revision, Infallible> {
        Ok(self.keys.get(key).map_or(Revision(0), |(revision, _)| *revision))
    }
    fn put(&mut self, key: &str, value: &[u8], revision: Revision) -> Result<(), Infallible> {
        self.keys.insert(key.to_owned(), (revision, value.to_vec()));
        Ok(())
    }
    fn delete(&mut self, key: &str) -> Result<(), Infallible> {
        self.keys.remove(key);
        Ok(())
    }
    fn append(&mut self, log: &str, make: &Append) -> Result<(), Infallible> {
        let records = self.logs.entry(log.to_owned()).or_default();
        let value = make(records.len() as u64 + 1, records.last().map(Vec::as_slice));
        records.push(value);
        Ok(())
    }
}
