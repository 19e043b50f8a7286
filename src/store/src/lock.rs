//! One process a data directory.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

use crate::StoreError;

/// An exclusive lock on a directory, held as long as this value lives. The kernel frees it when the process dies, so
/// there is no stale lock.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    pub fn take(directory: &Path) -> Result<Self, StoreError> {
        let engine = |error: std::io::Error| StoreError::Engine(format!("{}: {error}", directory.display()));
        let path = directory.join("aegis.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(engine)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            // The pid is a courtesy; the error is clear without it.
            let _ = file.read_to_string(&mut holder);
            return Err(StoreError::InUse {
                path: directory.display().to_string(),
                pid: holder.trim().parse().ok(),
            });
        }
        file.set_len(0).map_err(engine)?;
        file.rewind().map_err(engine)?;
        writeln!(file, "{}", std::process::id()).map_err(engine)?;
        Ok(Self { _file: file })
    }
}
