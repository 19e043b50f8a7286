//! Templates on disk: each a directory with `memory`, `state` and the digest of both, which is there whole or not at all.
//!
//! QEMU never opens these. They are read into sealed memory files once a daemon, and compared with their digest on the way.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::fs::{SeekFrom, seek};

use super::template::Template;
use crate::memory_file;

/// What is compared, hashed and written at once. What is all zeros of it is a hole.
const PIECE: usize = 64 * 1024;
/// The state of a machine without its memory is some 60 KB.
const MOST_STATE: u64 = 16 * 1024 * 1024;

/// Writes one.
pub(super) fn store(directory: &Path, template: &Template) -> io::Result<()> {
    let half = directory.with_extension(format!("{}.half", std::process::id()));
    remove(&half);
    fs::create_dir_all(&half)?;
    let mut hasher = blake3::Hasher::new();
    let create = |name: &str| File::options().write(true).create_new(true).open(half.join(name));
    let memory = create("memory")?;
    memory.set_len(template.memory.metadata()?.len())?;
    copy(&template.memory, &memory, &mut hasher)?;
    let state = create("state")?;
    state.set_len(template.state.metadata()?.len())?;
    copy(&template.state, &state, &mut hasher)?;
    // So that after a crash of the host a directory with its last name has all of its content.
    memory.sync_data()?;
    state.sync_data()?;
    fs::write(half.join("digest"), hasher.finalize().to_hex().as_bytes())?;
    remove(directory);
    fs::rename(half, directory)
}

/// Reads one, unless there is none. One that is damaged is removed.
pub(super) fn load(directory: &Path, size: u64) -> Option<Template> {
    if !directory.exists() {
        return None;
    }
    match read(directory, size) {
        Ok(template) => {
            // Says when it was used last.
            let _ =
                File::open(directory).and_then(|it| it.set_times(fs::FileTimes::new().set_modified(now())));
            Some(template)
        }
        Err(error) => {
            tracing::warn!(%error, directory = %directory.display(), "a damaged template is removed");
            remove(directory);
            None
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the time of a file, which only orders files")]
fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

fn read(directory: &Path, size: u64) -> io::Result<Template> {
    let stored = |name: &str| File::open(directory.join(name));
    let mut hasher = blake3::Hasher::new();
    let memory_stored = stored("memory")?;
    let state_stored = stored("state")?;
    let state_size = state_stored.metadata()?.len();
    if memory_stored.metadata()?.len() != size || state_size > MOST_STATE {
        return Err(io::Error::other("its size is wrong"));
    }
    let memory = memory_file::create("aegis-memory", size)?;
    copy(&memory_stored, &memory, &mut hasher)?;
    let state = memory_file::create("aegis-state", state_size)?;
    copy(&state_stored, &state, &mut hasher)?;
    let mut digest = String::new();
    stored("digest")?.take(1024).read_to_string(&mut digest)?;
    if digest != hasher.finalize().to_hex().as_str() {
        return Err(io::Error::other("its digest is wrong"));
    }
    memory_file::seal(&memory)?;
    memory_file::seal(&state)?;
    Ok(Template { memory, state })
}

/// Copies and hashes all that isn't zero.
fn copy(from: &File, to: &File, hasher: &mut blake3::Hasher) -> io::Result<()> {
    let size = from.metadata()?.len();
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < size {
        match seek(from, SeekFrom::Data(at)) {
            Ok(data) => at = data - data % PIECE as u64,
            // No more data.
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        }
        let count = usize::try_from(size - at).unwrap_or(PIECE).min(PIECE);
        let bytes = &mut piece[..count];
        from.read_exact_at(bytes, at)?;
        if bytes.iter().any(|byte| *byte != 0) {
            hasher.update(&at.to_le_bytes());
            hasher.update(bytes);
            to.write_all_at(bytes, at)?;
        }
        at += count as u64;
    }
    hasher.update(&size.to_le_bytes());
    Ok(())
}

/// Removes one, whole or half.
pub(super) fn remove(directory: &Path) {
    let _ = fs::remove_dir_all(directory);
}

/// Removes those of other kernels and programs, those half made, and of the rest all but those used last.
pub(super) fn collect(all: &Path, stamp: &str, most: usize) {
    let entries = fs::read_dir(all).into_iter().flatten().filter_map(Result::ok);
    let mut current: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(stamp) && path.extension().is_none_or(|end| end != "half") {
            let used = path.metadata().and_then(|it| it.modified()).unwrap_or(std::time::UNIX_EPOCH);
            current.push((used, path));
        } else {
            remove(&path);
        }
    }
    current.sort();
    current.iter().rev().skip(most).for_each(|(_, path)| remove(path));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SIZE: u64 = 1 << 20;

    fn template() -> Template {
        let memory = memory_file::create("memory", SIZE).unwrap();
        memory.write_all_at(b"kernel", 300_000).unwrap();
        memory.write_all_at(&[0; 4096], 600_000).unwrap();
        let state = memory_file::create("state", 0).unwrap();
        state.write_all_at(b"devices", 0).unwrap();
        Template { memory, state }
    }

    #[test]
    fn what_is_stored_is_what_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s-1m-1c-1d");
        assert!(load(&path, SIZE).is_none());
        store(&path, &template()).unwrap();
        let loaded = load(&path, SIZE).unwrap();
        let mut bytes = [0; 6];
        loaded.memory.read_exact_at(&mut bytes, 300_000).unwrap();
        assert_eq!(&bytes, b"kernel");
        assert!(loaded.memory.write_all_at(b"x", 0).is_err(), "it is sealed");
        assert_eq!(loaded.state.metadata().unwrap().len(), 7);
    }

    #[test]
    fn a_damaged_one_is_removed() {
        for (file, at) in [("memory", 300_001), ("memory", 900_000), ("state", 3), ("digest", 0)] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("one");
            store(&path, &template()).unwrap();
            File::options().write(true).open(path.join(file)).unwrap().write_all_at(b"~", at).unwrap();
            assert!(load(&path, SIZE).is_none(), "{file} at {at}");
            assert!(!path.exists());
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("one");
        store(&path, &template()).unwrap();
        assert!(load(&path, SIZE * 2).is_none());
    }

    #[test]
    fn only_current_ones_are_kept_and_not_too_many() {
        let directory = tempfile::tempdir().unwrap();
        let all = directory.path();
        for (age, name) in ["new-1", "new-2", "new-3", "old-1", "new-4.7.half"].into_iter().enumerate() {
            fs::create_dir(all.join(name)).unwrap();
            let when = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 - age as u64);
            File::open(all.join(name)).unwrap().set_times(fs::FileTimes::new().set_modified(when)).unwrap();
        }
        collect(all, "new", 2);
        let mut left: Vec<_> = fs::read_dir(all).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["new-1", "new-2"]);
    }
}
