//! One daemon a state directory: a lock that the kernel lets go of when its holder dies, however it dies.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

use super::{StateDir, StateError};

/// Why the state directory can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon holds it.
    #[error("a daemon is running on {dir} already{}", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Held {
        /// The state directory.
        dir: String,
        /// The process that holds it, if it has written its id yet.
        pid: Option<u32>,
    },
    /// Another process changes key or token.
    #[error("another process is changing the key or the token of {0}")]
    Rotating(String),
    /// The lock file can't be used.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The exclusive right to a state directory, given back when dropped.
#[derive(Debug)]
pub struct DaemonLock {
    file: File,
}

impl DaemonLock {
    /// Takes the lock and writes this process's id into it. Never waits.
    pub fn take(state: &StateDir) -> Result<Self, LockError> {
        let mut file = open(state)?;
        if !try_lock(&file, &state.lock())? {
            return Err(LockError::Held { dir: state.dir().display().to_string(), pid: read_pid(&mut file) });
        }
        let fail = |error| StateError::new("write", state.lock(), error);
        file.set_len(0).map_err(fail)?;
        file.seek(SeekFrom::Start(0)).map_err(fail)?;
        writeln!(file, "{}", std::process::id()).map_err(fail)?;
        Ok(Self { file })
    }
}

impl Drop for DaemonLock {
    fn drop(&mut self) {
        // An empty file says "nobody" to a reader; failing to say so is harmless, the lock itself is gone.
        let _ = self.file.set_len(0);
    }
}

/// The exclusive right to change key and token, given back when dropped. A daemon may run meanwhile.
#[derive(Debug)]
pub struct RotateLock {
    _dir: File,
}

impl RotateLock {
    /// Takes the lock. Never waits.
    pub fn take(state: &StateDir) -> Result<Self, LockError> {
        // The directory itself is locked: that leaves no file behind, and edge.lock is the daemon's.
        let dir = File::open(state.dir()).map_err(|error| StateError::new("open", state.dir(), error))?;
        if try_lock(&dir, state.dir())? {
            Ok(Self { _dir: dir })
        } else {
            Err(LockError::Rotating(state.dir().display().to_string()))
        }
    }
}

/// The process that runs on the state directory; `None` when none does.
///
/// A process id that merely stands in the file proves nothing (it may be another program's by now); the held lock does.
pub fn running_pid(state: &StateDir) -> Result<Option<u32>, LockError> {
    let mut file = match File::open(state.lock()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateError::new("read", state.lock(), error).into()),
    };
    if try_lock(&file, &state.lock())? { Ok(None) } else { Ok(read_pid(&mut file)) }
}

fn open(state: &StateDir) -> Result<File, StateError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(state.lock())
        .map_err(|error| StateError::new("open", state.lock(), error))
}

fn try_lock(file: &File, path: &Path) -> Result<bool, StateError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(StateError::new("lock", path, errno.into())),
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_with_the_pid_of_the_first() {
        let base = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(base.path().join("aegis-config.yaml"));
        assert_eq!(running_pid(&state).unwrap(), None);
        let lock = DaemonLock::take(&state).unwrap();
        assert_eq!(running_pid(&state).unwrap(), Some(std::process::id()));
        let error = DaemonLock::take(&state).unwrap_err().to_string();
        assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
        drop(lock);
        assert_eq!(running_pid(&state).unwrap(), None);
        DaemonLock::take(&state).unwrap();
    }

    #[test]
    fn keys_are_changed_by_one_process_at_a_time_and_beside_a_daemon() {
        let base = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(base.path().join("aegis-config.yaml"));
        let _daemon = DaemonLock::take(&state).unwrap();
        let first = RotateLock::take(&state).unwrap();
        assert!(matches!(RotateLock::take(&state), Err(LockError::Rotating(_))));
        drop(first);
        RotateLock::take(&state).unwrap();
    }

    #[test]
    fn a_stale_pid_of_a_foreign_process_is_not_a_daemon() {
        let base = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(base.path().join("aegis-config.yaml"));
        std::fs::write(state.lock(), "1\n").unwrap();
        assert_eq!(running_pid(&state).unwrap(), None);
    }
}
