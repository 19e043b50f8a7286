//! One daemon a home: `data/aegisd.pid` is its lock, and has its process id once it is ready.
//!
//! The kernel frees the lock when the process dies, so a file that a killed daemon left behind locks nobody out, and
//! the number in it is never trusted: by now it may be somebody else's.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// Why the lock can't be had.
#[derive(Debug, thiserror::Error)]
pub enum Locked {
    /// Another daemon has it.
    #[error("aegisd already runs here{}", .0.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Running(Option<u32>),
    /// The file can't be opened.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The lock, held until it is dropped. Then the file is gone, too.
#[derive(Debug)]
pub struct PidFile {
    file: File,
    path: PathBuf,
}

impl PidFile {
    /// Takes the lock. Whatever a dead daemon wrote into the file is removed.
    pub fn lock(path: &Path) -> Result<Self, Locked> {
        let failed = |source| Locked::Io { path: path.to_owned(), source };
        loop {
            let mut file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)
                .map_err(failed)?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                let mut holder = String::new();
                // The number is a courtesy; the error is clear without it.
                let _ = file.read_to_string(&mut holder);
                return Err(Locked::Running(holder.trim().parse().ok()));
            }
            // A daemon that just ended removed the file that was opened: then this lock is on nothing.
            let opened = file.metadata().map_err(failed)?;
            if fs::metadata(path).is_ok_and(|there| there.ino() == opened.ino()) {
                file.set_len(0).map_err(failed)?;
                return Ok(Self { file, path: path.to_owned() });
            }
        }
    }

    /// Writes the process id: the daemon is ready.
    pub fn announce(&mut self) -> io::Result<()> {
        self.file.rewind()?;
        writeln!(self.file, "{}", std::process::id())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // It is only a file: the lock goes with the descriptor.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_second_daemon_is_told_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("aegisd.pid");
        let mut first = PidFile::lock(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "", "not ready yet");
        assert!(matches!(PidFile::lock(&path), Err(Locked::Running(None))));
        first.announce().unwrap();
        let error = PidFile::lock(&path).unwrap_err();
        assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
        drop(first);
        assert!(!path.exists());
        PidFile::lock(&path).unwrap();
    }

    #[test]
    fn a_file_that_was_left_behind_locks_nobody_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("aegisd.pid");
        // Process 1 runs, and is no daemon of ours.
        fs::write(&path, "1\n").unwrap();
        let lock = PidFile::lock(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        drop(lock);
    }
}
