//! OCI image layouts: a directory with `index.json` and blobs by digest.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    Digest, ImageError, Reference,
    manifest::{Descriptor, Index, Platform, parse},
    registry::Found,
};

/// A layout.
pub struct Layout {
    directory: PathBuf,
}

impl Layout {
    /// The layout in a directory; nothing is read yet.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The manifest or index that a reference means, or the one with a digest.
    pub fn document(
        &self,
        reference: &Reference,
        digest: Option<Digest>,
        most: u64,
    ) -> Result<Found, ImageError> {
        if let Some(digest) = digest {
            return Ok(Found { bytes: self.verified(&digest, most)?, media_type: None });
        }
        let path = self.directory.join("index.json");
        let file = File::open(&path).map_err(|error| self.missing(reference, &path, error))?;
        let bytes = bounded(file, &path, most)?;
        let index: Index = parse(&path.display().to_string(), &bytes)?;
        let tag = match reference {
            Reference::Layout { tag, .. } => tag.as_deref(),
            _ => None,
        };
        let fitting = index.manifests.into_iter().filter(|entry| tag.is_none() || entry.tag() == tag);
        let fitting = Index { manifests: fitting.collect() };
        let entry: &Descriptor = match fitting.manifests.as_slice() {
            [] => return Err(self.not_found(reference)),
            [only] => only,
            _ => fitting.select(&reference.to_string(), &Platform::host())?,
        };
        let media_type = Some(entry.media_type.clone()).filter(|text| !text.is_empty());
        Ok(Found { bytes: self.verified(&entry.digest, most)?, media_type })
    }

    /// A blob. What a directory entry of another kind would do when it is opened, nobody wants to know.
    pub fn blob(&self, digest: &Digest) -> Result<File, ImageError> {
        let path = self.directory.join("blobs/sha256").join(digest.hex());
        let is_file = fs::metadata(&path).map_err(ImageError::file(&path))?.is_file();
        if !is_file {
            return Err(ImageError::malformed(path.display().to_string(), "it is no file"));
        }
        File::open(&path).map_err(ImageError::file(&path))
    }

    fn verified(&self, digest: &Digest, most: u64) -> Result<Vec<u8>, ImageError> {
        let bytes = bounded(self.blob(digest)?, &self.directory, most)?;
        let actual = Digest::of(&bytes);
        if actual == *digest {
            Ok(bytes)
        } else {
            let what = format!("manifest in {}", self.directory.display());
            Err(ImageError::WrongDigest { what, expected: *digest, actual })
        }
    }

    fn missing(&self, reference: &Reference, path: &Path, error: io::Error) -> ImageError {
        if error.kind() == io::ErrorKind::NotFound {
            self.not_found(reference)
        } else {
            ImageError::file(path)(error)
        }
    }

    fn not_found(&self, reference: &Reference) -> ImageError {
        ImageError::NotFound { reference: reference.to_string(), place: self.directory.display().to_string() }
    }
}

/// A file's content, if it isn't longer than `most`.
pub fn bounded(file: impl Read, path: &Path, most: u64) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(ImageError::file(path))?;
    if bytes.len() as u64 > most {
        return Err(ImageError::malformed(
            path.display().to_string(),
            format!("it is longer than {most} bytes"),
        ));
    }
    Ok(bytes)
}
