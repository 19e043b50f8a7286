//! Images of what has no manifest: a tar file, or the parts of an archive.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    Digest, ImageError, Limits,
    blobs::Blobs,
    digest::Hasher,
    layer::{self, Compression},
    manifest::{Config, Manifest, Platform, RootFs},
};

/// A part of a file.
#[derive(Clone)]
pub struct Section {
    pub file: Arc<File>,
    pub path: PathBuf,
    pub offset: u64,
    pub length: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.length).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.file.read_at(&mut buffer[..most], self.offset)?;
        self.offset += length as u64;
        self.length -= length as u64;
        Ok(length)
    }
}

/// Takes a part of a file as a blob. It is copied only if it isn't here: most often it is, from the last start.
pub fn import(
    blobs: &Blobs,
    section: &Section,
    limits: &Limits,
    cancelled: &AtomicBool,
) -> Result<(Digest, u64, Compression), ImageError> {
    if section.length > limits.blob_bytes {
        let reason = format!("a layer is longer than {} bytes", limits.blob_bytes);
        return Err(ImageError::malformed(section.path.display().to_string(), reason));
    }
    let mut hasher = Hasher::default();
    let mut start = Vec::new();
    each_piece(section.clone(), &section.path, cancelled, |piece| {
        if start.is_empty() {
            start.extend_from_slice(&piece[..piece.len().min(16)]);
        }
        hasher.update(piece);
        Ok(())
    })?;
    let digest = hasher.finish();
    if !blobs.has(&digest) {
        let what = format!("layer of {}", section.path.display());
        let mut incoming = blobs.incoming(what, Some(digest), Some(section.length))?;
        each_piece(section.clone(), &section.path, cancelled, |piece| incoming.write(piece))?;
        incoming.finish()?;
    }
    Ok((digest, section.length, Compression::of_magic(&start)))
}

/// Makes an image of one layer from a tar file: its manifest, which is kept with all that it names.
pub fn import_tar(
    blobs: &Blobs,
    path: &Path,
    limits: &Limits,
    cancelled: &AtomicBool,
) -> Result<(Digest, Manifest), ImageError> {
    let file = File::open(path).map_err(ImageError::file(path))?;
    let metadata = file.metadata().map_err(ImageError::file(path))?;
    if !metadata.is_file() {
        return Err(ImageError::malformed(path.display().to_string(), "it is no file"));
    }
    let section = Section { file: Arc::new(file), path: path.to_owned(), offset: 0, length: metadata.len() };
    let (digest, size, compression) = import(blobs, &section, limits, cancelled)?;
    let stream_digest = if compression == Compression::Plain {
        digest
    } else {
        let blob = blobs.path(&digest);
        let most = size.saturating_mul(limits.ratio).max(limits.ratio_free_bytes);
        let opened = File::open(&blob).and_then(|opened| layer::open(opened, most));
        let (stream, _) = opened.map_err(ImageError::file(path))?;
        let mut hasher = Hasher::default();
        each_piece(stream, path, cancelled, |piece| {
            hasher.update(piece);
            Ok(())
        })?;
        hasher.finish()
    };
    let host = Platform::host();
    let rootfs = RootFs { kind: "layers".to_owned(), diff_ids: vec![stream_digest] };
    let config = Config { architecture: host.architecture, os: host.os, created: None, rootfs };
    let config = to_json(&config)?;
    let config = (blobs.keep(&config)?, config.len() as u64);
    keep_manifest(blobs, Manifest::new(config, vec![(digest, size, compression)]))
}

/// Keeps a manifest that was made here.
pub fn keep_manifest(blobs: &Blobs, manifest: Manifest) -> Result<(Digest, Manifest), ImageError> {
    Ok((blobs.keep(&to_json(&manifest)?)?, manifest))
}

fn to_json(document: &impl serde::Serialize) -> Result<Vec<u8>, ImageError> {
    serde_json::to_vec(document).map_err(|error| ImageError::malformed("manifest", error.to_string()))
}

fn each_piece(
    mut source: impl Read,
    path: &Path,
    cancelled: &AtomicBool,
    mut take: impl FnMut(&[u8]) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(ImageError::Lost("the import"));
        }
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => take(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImageError::file(path)(error)),
        }
    }
}
