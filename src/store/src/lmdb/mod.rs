//! The engine of a controller: LMDB through heed. Reads come from a memory map; one thread writes, and takes everything
//! that waits into one durable commit (a commit costs a disk flush: 3,560 a second on the measured disk).

mod open;
mod read;
mod rows;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    path::Path,
    sync::{Arc, RwLock, atomic::AtomicU64, mpsc},
    thread::JoinHandle,
};

use heed::{Database, Env, WithoutTls, types::Bytes};

use crate::{StoreError, lock::DirectoryLock, watch::Announcer};

/// The newest format that this program reads and the one that it writes.
pub(crate) const FORMAT: u64 = 1;
/// How many changed keys are remembered for [`crate::Store::changes`].
pub(crate) const CHANGE_ROWS: usize = 200_000;

/// What can be set when a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The first size of the memory map in bytes, a multiple of the page size; it doubles when it is full. The file
    /// is sparse: it occupies what is used.
    pub map_size: usize,
    /// How many changed keys are remembered.
    pub change_rows: usize,
    /// The files come from a backup: revisions go on far above those of the backup, so that what was read from the
    /// lost store is never mistaken for current.
    pub restored: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { map_size: 1 << 30, change_rows: CHANGE_ROWS, restored: false }
    }
}

/// A durable store in a directory of its own.
#[derive(Debug)]
pub struct LmdbStore {
    shared: Arc<Shared>,
    /// Taken when the store is dropped: the writer ends when its queue has no sender.
    queue: Option<mpsc::Sender<writer::Job>>,
    writer: Option<JoinHandle<()>>,
}

/// What readers and the writer share.
#[derive(Debug)]
struct Shared {
    env: Env<WithoutTls>,
    tables: Tables,
    /// Readers hold it shared for as long as their transaction; growing the map needs it alone.
    map: RwLock<()>,
    /// The revision of the last commit, for readers that need nothing else.
    revision: AtomicU64,
    announcer: Announcer,
    _lock: DirectoryLock,
}

type Table = Database<'static, Bytes, Bytes>;

/// The tables of the environment.
#[derive(Debug, Clone, Copy)]
struct Tables {
    /// key → revision (u64, big endian) and value
    keys: Table,
    /// name, a zero byte, sequence (u64, big endian) → record
    logs: Table,
    /// revision (u64, big endian), index (u32, big endian) → key
    changes: Table,
    /// `format`, `revision`, `floor` → u64, big endian
    meta: Table,
}

impl LmdbStore {
    /// Opens the store in `directory` (made with mode 0700 if it isn't there).
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::open_with(directory, &Options::default())
    }

    /// Opens the store in `directory` with other sizes.
    pub fn open_with(directory: &Path, options: &Options) -> Result<Self, StoreError> {
        let shared = Arc::new(open::open(directory, options)?);
        let (queue, jobs) = mpsc::channel();
        let writer = writer::Writer::new(shared.clone(), options.change_rows);
        let writer = std::thread::Builder::new()
            .name("aegis-store".to_owned())
            .spawn(move || writer.run(&jobs))
            .map_err(|error| StoreError::Engine(error.to_string()))?;
        Ok(Self { shared, queue: Some(queue), writer: Some(writer) })
    }
}

impl Drop for LmdbStore {
    fn drop(&mut self) {
        self.queue.take();
        if let Some(writer) = self.writer.take() {
            // What was queued is written before the directory is free for another process.
            let _ = writer.join();
        }
    }
}

impl From<heed::Error> for StoreError {
    fn from(error: heed::Error) -> Self {
        Self::Engine(error.to_string())
    }
}

/// A big-endian u64 at the start of `bytes`; 0 when it is too short, which only a damaged file has.
fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}
