//! A whole controller in one file, and back: a tar archive with a hot copy of the store, the keys, and the context.
//! Whoever has it is the controller: the daemons go on trusting it after a restore.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aegis_store::{LmdbOptions, LmdbStore, Store, StoreError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{context, files::private_directory};

/// What the archive begins with.
const HEAD: &str = "aegis-backup.json";
/// What it ends with, empty: without it, the file was cut off.
const END: &str = "end";
/// The newest format that this program reads and the one that it writes.
const FORMAT: u32 = 1;
/// The directory that a backup is made in begins with this; one that a crash left behind is removed at start.
const WORK: &str = ".backup-";

/// Why there is no backup, or no restored controller.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file couldn't be read or written.
    #[error("{path}: {reason}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A restore never overwrites anything.
    #[error("{0} isn't empty; restore into a new directory, or move the old one away first")]
    NotEmpty(PathBuf),
    /// The file isn't what it should be.
    #[error("this is no whole backup: {0}")]
    Damaged(String),
    /// It was made by a newer version of the program.
    #[error("the backup has format {0}, this version knows up to {FORMAT}; use the newer aegis")]
    Newer(u32),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: u32,
    version: String,
    created_at: Timestamp,
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    |error| BackupError::Io { path: path.to_owned(), reason: error.to_string() }
}

/// Makes a backup. The file has no name any more: it is gone when it is closed.
pub(crate) fn write(store: &dyn Store, data: &Path, now: Timestamp) -> Result<File, BackupError> {
    let work = data.join(format!("{WORK}{}", now.as_nanosecond()));
    fs::DirBuilder::new().mode(0o700).create(&work).map_err(io_error(&work))?;
    let result = write_in(&work, store, data, now);
    fs::remove_dir_all(&work).map_err(io_error(&work))?;
    result
}

fn write_in(work: &Path, store: &dyn Store, data: &Path, now: Timestamp) -> Result<File, BackupError> {
    let copy = work.join("data.mdb");
    store.backup(&copy)?;
    let path = work.join("backup.tar");
    let mut options = fs::OpenOptions::new();
    let file =
        options.read(true).write(true).create_new(true).mode(0o600).open(&path).map_err(io_error(&path))?;
    let mut archive = tar::Builder::new(file);
    let head = Head { format: FORMAT, version: env!("CARGO_PKG_VERSION").to_owned(), created_at: now };
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let mut add = |name: &str, size: u64, content: &mut dyn Read| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(size);
        header.set_mtime(seconds);
        archive.append_data(&mut header, name, content).map_err(io_error(&path))
    };
    let head = serde_json::to_vec(&head).map_err(|error| BackupError::Damaged(error.to_string()))?;
    add(HEAD, head.len() as u64, &mut head.as_slice())?;
    for (name, source) in contents(data, &copy)? {
        let mut source_file = File::open(&source).map_err(io_error(&source))?;
        let size = source_file.metadata().map_err(io_error(&source))?.len();
        add(&name, size, &mut source_file)?;
    }
    add(END, 0, &mut io::empty())?;
    let mut file = archive.into_inner().map_err(io_error(&path))?;
    file.seek(SeekFrom::Start(0)).map_err(io_error(&path))?;
    Ok(file)
}

/// The names in the archive, and where their content comes from.
fn contents(data: &Path, copy: &Path) -> Result<Vec<(String, PathBuf)>, BackupError> {
    let mut contents = vec![("store/data.mdb".to_owned(), copy.to_owned())];
    let keys = data.join("keys");
    for entry in fs::read_dir(&keys).map_err(io_error(&keys))? {
        let entry = entry.map_err(io_error(&keys))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            contents.push((format!("keys/{name}"), entry.path()));
        }
    }
    let context = data.join(context::FILE);
    if context.exists() {
        contents.push((context::FILE.to_owned(), context));
    }
    contents.sort();
    Ok(contents)
}

/// Removes what a crash during a backup left behind.
pub(crate) fn clean(data: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(WORK) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Makes the data directory of a controller from a backup. `data` must not be there, or be empty. It is there as a
/// whole, or not at all.
pub fn restore(backup: &Path, data: &Path) -> Result<(), BackupError> {
    match fs::read_dir(data) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(BackupError::NotEmpty(data.to_owned()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_error(data)(error)),
    }
    let name = data.file_name().ok_or_else(|| BackupError::NotEmpty(data.to_owned()))?;
    let draft = data.with_file_name(format!(".{}.restoring", name.to_string_lossy()));
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(io_error(&draft))?;
    }
    private_directory(&draft).map_err(io_error(&draft))?;
    let result = unpack(backup, &draft).and_then(|()| {
        // Once opened, its revisions go on far above those that the lost controller may have given out.
        drop(LmdbStore::open_with(
            &draft.join("store"),
            &LmdbOptions { restored: true, ..LmdbOptions::default() },
        )?);
        fs::rename(&draft, data).map_err(io_error(data))
    });
    if result.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&draft);
    }
    result
}

fn unpack(backup: &Path, draft: &Path) -> Result<(), BackupError> {
    let damaged = |error: io::Error| BackupError::Damaged(error.to_string());
    for directory in ["store", "keys"] {
        let path = draft.join(directory);
        private_directory(&path).map_err(io_error(&path))?;
    }
    let mut archive = tar::Archive::new(File::open(backup).map_err(io_error(backup))?);
    let mut names = Vec::new();
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.to_string_lossy().into_owned();
        match name.as_str() {
            HEAD if names.is_empty() => check_head(&mut entry)?,
            _ if names.is_empty() => {
                return Err(BackupError::Damaged(format!("it doesn't begin with {HEAD}")));
            }
            END => {}
            _ if is_known(&name) && entry.header().entry_type().is_file() => {
                let path = draft.join(&name);
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(io_error(&path))?;
                io::copy(&mut entry, &mut file).map_err(damaged)?;
                file.sync_all().map_err(io_error(&path))?;
            }
            _ => return Err(BackupError::Damaged(format!("'{name}' doesn't belong into it"))),
        }
        names.push(name);
    }
    if names.last().is_none_or(|last| last != END) || !names.iter().any(|name| name == "store/data.mdb") {
        return Err(BackupError::Damaged("it was cut off".to_owned()));
    }
    Ok(())
}

fn check_head(head: &mut impl Read) -> Result<(), BackupError> {
    let head: Head =
        serde_json::from_reader(head).map_err(|error| BackupError::Damaged(format!("{HEAD}: {error}")))?;
    if head.format > FORMAT { Err(BackupError::Newer(head.format)) } else { Ok(()) }
}

/// Only what a backup is made of is unpacked: no path leads out of the directory.
fn is_known(name: &str) -> bool {
    let plain = |file: &str| !file.is_empty() && !file.starts_with('.') && !file.contains('/');
    name == "store/data.mdb" || name == context::FILE || name.strip_prefix("keys/").is_some_and(plain)
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
