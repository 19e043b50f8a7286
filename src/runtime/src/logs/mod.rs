//! What tasks and instances wrote: NDJSON in files, which is read back after a restart and followed while it grows.
//!
//! A log is a directory with numbered segments. Records are appended to the last one; a full one is followed by the next, and only
//! the newest are kept. Readers read from the files, never from the writer: a slow one slows nobody.

mod append;
mod query;
mod reader;
mod segment;
mod split;

use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};

pub use append::Log;
pub use query::Query;
pub use reader::Reader;
pub use split::Splitter;

/// How large a segment may become, and how many are kept of a log.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// Bytes of a segment.
    pub size: u64,
    /// Segments of a log.
    pub count: usize,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { size: 10 * 1024 * 1024, count: 5 }
    }
}

/// All logs, by the id of whose they are.
#[derive(Debug)]
pub struct Logs {
    directory: PathBuf,
    rotation: Rotation,
    open: Mutex<HashMap<String, Weak<Log>>>,
}

impl Logs {
    /// The logs below a directory, which is made when it is needed.
    pub fn new(directory: PathBuf, rotation: Rotation) -> Self {
        Self { directory, rotation, open: Mutex::default() }
    }

    /// The log of a task or an instance; a new one if it has none. What a crash left torn at its end is cut off.
    pub fn log(&self, id: &str) -> io::Result<Arc<Log>> {
        let path = self.path(id)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = open.get(id).and_then(Weak::upgrade) {
            return Ok(log);
        }
        let log = Arc::new(Log::open(path, self.rotation)?);
        // What nobody holds any more needn't be remembered.
        open.retain(|_, log| log.strong_count() > 0);
        open.insert(id.to_owned(), Arc::downgrade(&log));
        Ok(log)
    }

    /// Removes a log. Who reads it reads to its end.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        let path = self.path(id)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = open.remove(id).and_then(|log| log.upgrade()) {
            log.close();
        }
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what belongs to nobody, such as after a crash between two removals.
    pub fn remove_all_but(&self, keep: impl Fn(&str) -> bool) -> io::Result<()> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for entry in entries {
            let name = entry?.file_name();
            if let Some(id) = name.to_str().filter(|id| self.path(id).is_ok() && !keep(id)) {
                self.remove(id)?;
            }
        }
        Ok(())
    }

    fn path(&self, id: &str) -> io::Result<PathBuf> {
        let is_name =
            !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if is_name { Ok(self.directory.join(id)) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }
}

#[cfg(test)]
mod tests;
