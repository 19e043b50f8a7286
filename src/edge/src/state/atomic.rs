//! Writing a file so that it is either the old one or the new one, never half, and never readable too widely.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use super::{StateError, TEMPORARY_PREFIX};

/// Replaces `path` by `content` with exactly `mode`.
///
/// The order holds the promise: a temporary file beside it gets its mode while it is still empty, then the content,
/// then fsync; the rename makes it visible at once; the fsync of the directory makes the rename last.
pub fn write_atomic(path: &Path, mode: u32, content: &[u8]) -> Result<(), StateError> {
    replace(path, mode, content, true)
}

/// As [`write_atomic`], without asking the disk to keep it: for what is written often and worthless after a crash.
pub fn write_fleeting(path: &Path, mode: u32, content: &[u8]) -> Result<(), StateError> {
    replace(path, mode, content, false)
}

fn replace(path: &Path, mode: u32, content: &[u8], durable: bool) -> Result<(), StateError> {
    let temporary = temporary_beside(path);
    let written = write_through(&temporary, path, mode, content, durable);
    if written.is_err() {
        // The temporary file may hold a secret; it is worth nothing to anybody now.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(|error| StateError::new("write", path, error))
}

/// Removes a file; that it isn't there is fine. Tells whether it was.
pub fn remove_if_there(path: &Path) -> Result<bool, StateError> {
    match fs::remove_file(path) {
        Ok(()) => {
            sync_parent(path).map_err(|error| StateError::new("remove", path, error))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StateError::new("remove", path, error)),
    }
}

fn write_through(temporary: &Path, path: &Path, mode: u32, content: &[u8], durable: bool) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    // Not left to `open`: the umask would take bits away from 0644.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(temporary, path)?;
    if durable { sync_parent(path) } else { Ok(()) }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn temporary_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let unique = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    parent(path).join(format!("{TEMPORARY_PREFIX}{unique}-{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        write_atomic(&path, 0o600, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (&b"new"[..], 0o600));
        write_atomic(&path, 0o644, b"open").unwrap();
        assert_eq!(mode(&path), 0o644);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_no_temporary_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.token");
        // A directory that isn't empty can't be replaced by a file: the rename, the last step, fails.
        fs::create_dir_all(path.join("occupied")).unwrap();
        let error = write_atomic(&path, 0o600, b"new").unwrap_err();
        assert!(error.to_string().starts_with("can't write "), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn removing_says_whether_there_was_something() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "").unwrap();
        assert!(remove_if_there(&path).unwrap());
        assert!(!remove_if_there(&path).unwrap());
    }
}
