//! Where a controller's state lives, and how a message finds a node's stream.
//!
//! [`Store`] is a small ordered key-value store with one history: every commit that writes a key raises the global
//! revision by one, and every key keeps the revision of its last write. Writes are conditional on those revisions, so
//! that a stale writer is told and never overwrites. [`Bus`] routes a message to wherever a node's stream ends.
//! Two engines, one contract: `contract.rs` holds the tests that both pass.

mod apply;
mod batch;
mod bus;
#[cfg(test)]
mod contract;
pub mod fault;
mod lmdb;
mod lock;
mod memory;
pub mod realm;
mod watch;

use std::{collections::BTreeSet, path::Path};

pub use aegis_core::Revision;

pub use batch::{Append, Batch, Check, Pending, Write};
pub use bus::{Bus, Call, LocalBus, NotRouted, Registration};
pub use lmdb::{LmdbStore, Options as LmdbOptions};
pub use memory::MemoryStore;
pub use watch::{Changed, Watch};

/// One key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// What was last put there.
    pub value: Vec<u8>,
    /// The revision of the commit that put it.
    pub revision: Revision,
}

/// One record of an append-only log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// 1, 2, 3 … without gaps.
    pub sequence: u64,
    /// What was appended.
    pub value: Vec<u8>,
}

/// Why a store couldn't be read, written or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file system or the engine refused.
    #[error("the store failed: {0}")]
    Engine(String),
    /// Another process has this data directory open.
    #[error("{path} is in use by another process{}", .pid.map(|p| format!(" (pid {p})")).unwrap_or_default())]
    InUse {
        /// The directory.
        path: String,
        /// Who holds it, when it could be read.
        pid: Option<u32>,
    },
    /// It was written by a newer version of the program.
    #[error("the store has format {found}, this version knows up to {known}; use the newer aegis")]
    Newer {
        /// The format on disk.
        found: u64,
        /// The newest that this program reads.
        known: u64,
    },
    /// A key is empty or longer than [`MAX_KEY`] bytes.
    #[error("a key has {0} bytes, allowed are 1 to {MAX_KEY}")]
    KeyLength(usize),
    /// This engine can't do that.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The writer ended: the store is being closed, or its thread died.
    #[error("the store is closed")]
    Closed,
}

/// Why a commit wrote nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A key isn't at the revision that the batch was made from.
    #[error("'{key}' is at revision {found} by now")]
    Stale {
        /// The first key whose check failed.
        key: String,
        /// Its revision; 0: it is absent.
        found: Revision,
    },
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The longest key, in bytes: LMDB allows 511.
pub const MAX_KEY: usize = 500;

/// A durable, ordered, revisioned key-value store. Reads never wait for writers; they are answered from memory or a
/// memory map, so they are plain functions.
pub trait Store: Send + Sync + 'static {
    /// The revision of the last commit that wrote a key; 0 before the first.
    fn revision(&self) -> Revision;
    /// The entry of `key`.
    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;
    /// Calls `visit` for every key that begins with `prefix`, in the order of their bytes, from one snapshot, until it
    /// returns false.
    fn scan(
        &self,
        prefix: &str,
        order: Order,
        visit: &mut dyn FnMut(&str, &[u8], Revision) -> bool,
    ) -> Result<(), StoreError>;
    /// At most `limit` records of a log with a sequence above `after`.
    fn log(&self, log: &str, after: u64, limit: usize) -> Result<Vec<Record>, StoreError>;
    /// Hands a batch to the writer. It is applied whether or not the result is waited for, in the order of the calls;
    /// when the result is there, it is durable.
    fn commit(&self, batch: Batch) -> Pending;
    /// The keys under `prefix` that were written or deleted after `since`. `None`: that is too long ago (or in a
    /// future that never was); read everything.
    fn changes(&self, since: Revision, prefix: &str) -> Result<Option<BTreeSet<String>>, StoreError>;
    /// Tells of every key under `prefix` that is written or deleted from now on.
    fn watch(&self, prefix: &str) -> Watch;
    /// Writes a hot copy of everything into the new file `path` (mode 0600).
    fn backup(&self, path: &Path) -> Result<(), StoreError>;

    /// Every entry whose key begins with `prefix`, in the order of their bytes, from one snapshot.
    fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        self.scan(prefix, Order::Rising, &mut |key, value, revision| {
            entries.push(Entry { key: key.to_owned(), value: value.to_vec(), revision });
            true
        })?;
        Ok(entries)
    }
}

/// In which order keys are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By their bytes.
    Rising,
    /// From the last to the first.
    Falling,
}
