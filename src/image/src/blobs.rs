//! Blobs by digest: manifests, configurations and layers, each verified before it counts.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::{Digest, ImageError, digest::Hasher};

/// The directories of a store. Everything half-made is in `temporary`, on the same file system as the rest.
#[derive(Debug, Clone)]
pub struct Blobs {
    directory: PathBuf,
    temporary: PathBuf,
}

impl Blobs {
    /// The blobs in a store; its directories are made, and half-made files of an earlier process removed.
    pub fn open(store: &Path) -> Result<Self, ImageError> {
        let blobs = Self { directory: store.join("blobs/sha256"), temporary: store.join("tmp") };
        remove_tree(&blobs.temporary).map_err(ImageError::file(&blobs.temporary))?;
        fs::create_dir_all(&blobs.directory).map_err(ImageError::file(&blobs.directory))?;
        make_private(&blobs.temporary).map_err(ImageError::file(&blobs.temporary))?;
        Ok(blobs)
    }

    /// Where a blob is or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.hex())
    }

    /// Where half-made things go.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Whether a blob is here. Only verified ones are.
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// A whole blob in memory; none if it isn't here. Only for documents, which are small.
    pub fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ImageError> {
        let path = self.path(digest);
        match fs::read(&path) {
            Ok(bytes) if Digest::of(&bytes) == *digest => Ok(Some(bytes)),
            // Damaged on the disk: as good as not here.
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ImageError::file(&path)(error)),
        }
    }

    /// Keeps a document that is in memory.
    pub fn keep(&self, bytes: &[u8]) -> Result<Digest, ImageError> {
        let digest = Digest::of(bytes);
        if !self.has(&digest) {
            let mut incoming =
                self.incoming("a document".to_owned(), Some(digest), Some(bytes.len() as u64))?;
            incoming.write(bytes)?;
            incoming.finish()?;
        }
        Ok(digest)
    }

    /// Begins a blob. `what` is its name in errors; what isn't expected isn't checked.
    pub fn incoming(
        &self,
        what: String,
        expected: Option<Digest>,
        size: Option<u64>,
    ) -> Result<Incoming, ImageError> {
        let file = NamedTempFile::new_in(&self.temporary).map_err(ImageError::file(&self.temporary))?;
        Ok(Incoming {
            file,
            hasher: Hasher::default(),
            written: 0,
            what,
            expected,
            size,
            directory: self.directory.clone(),
        })
    }

    /// The blobs that are here.
    pub fn list(&self) -> Result<Vec<Digest>, ImageError> {
        let failed = || ImageError::file(&self.directory);
        let mut digests = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            digests.extend(name.to_str().and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok()));
        }
        Ok(digests)
    }
}

/// A blob that is being written. It counts once it is finished; dropped before, it leaves nothing.
pub struct Incoming {
    file: NamedTempFile,
    hasher: Hasher,
    written: u64,
    what: String,
    expected: Option<Digest>,
    size: Option<u64>,
    directory: PathBuf,
}

impl Incoming {
    /// Takes more bytes; more than expected are refused at once.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.written += bytes.len() as u64;
        if let Some(expected) = self.size.filter(|size| self.written > *size) {
            return Err(ImageError::WrongSize { what: self.what.clone(), expected });
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(ImageError::file(self.file.path()))
    }

    /// Verifies size and digest, and lets the blob count.
    pub fn finish(self) -> Result<(Digest, u64), ImageError> {
        if let Some(expected) = self.size.filter(|size| self.written != *size) {
            return Err(ImageError::WrongSize { what: self.what, expected });
        }
        let actual = self.hasher.finish();
        if let Some(expected) = self.expected.filter(|expected| *expected != actual) {
            return Err(ImageError::WrongDigest { what: self.what, expected, actual });
        }
        let path = self.directory.join(actual.hex());
        self.file.as_file().sync_all().map_err(ImageError::file(&path))?;
        self.file.persist(&path).map_err(|error| ImageError::file(&path)(error.error))?;
        sync_directory(&self.directory)?;
        Ok((actual, self.written))
    }
}

/// Makes a directory that only this user enters, if it isn't there: what is set-user-id in an image must not be run by
/// other users of this machine.
pub fn make_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

/// Makes renames in a directory last.
pub fn sync_directory(directory: &Path) -> Result<(), ImageError> {
    fs::File::open(directory).and_then(|opened| opened.sync_all()).map_err(ImageError::file(directory))
}

/// Removes a directory with all that is in it, if it is there, also where its directories may not be written.
pub fn remove_tree(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mut ahead = vec![directory.to_owned()];
            while let Some(path) = ahead.pop() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
                for entry in fs::read_dir(&path)? {
                    let entry = entry?;
                    if entry.file_type()?.is_dir() {
                        ahead.push(entry.path());
                    }
                }
            }
            fs::remove_dir_all(directory)
        }
        other => other,
    }
}
