//! Takes away what nobody needs.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{Freed, Inner, lock, rootfs};
use crate::{Digest, ImageError, blobs::remove_tree};

/// Removes one image.
pub fn remove(inner: &Inner, digest: &Digest) -> Result<Freed, ImageError> {
    if lock(&inner.holds).contains_key(digest) {
        return Err(ImageError::InUse(*digest));
    }
    let record = inner.change(|records| records.remove(digest))?.ok_or(ImageError::Unknown(*digest))?;
    let bytes = collect(inner, |candidate| candidate == digest || record.blobs.contains(candidate))?;
    Ok(Freed { count: 1, bytes })
}

/// Removes all images that aren't in use, and what belongs to none.
pub fn prune(inner: &Inner, in_use: &BTreeSet<Digest>) -> Result<Freed, ImageError> {
    let count = inner.change(|records| {
        let before = records.len();
        let holds = lock(&inner.holds);
        records.retain(|digest, _| in_use.contains(digest) || holds.contains_key(digest));
        before - records.len()
    })?;
    let bytes = collect(inner, |_| true)?;
    Ok(Freed { count: count as u64, bytes })
}

/// Removes the files of such digests that no image in the catalogue needs and nobody holds; says how large they were.
/// The catalogue was changed before: what is left if this process ends here, the next prune finds.
fn collect(inner: &Inner, is_candidate: impl Fn(&Digest) -> bool) -> Result<u64, ImageError> {
    let (images, needed): (BTreeSet<Digest>, BTreeSet<Digest>) = {
        let records = lock(&inner.records);
        (
            records.keys().copied().collect(),
            records.values().flat_map(|record| record.blobs.iter().copied()).collect(),
        )
    };
    let mut bytes = 0;
    for (digest, path) in rootfs::list(inner)? {
        if is_candidate(&digest) && !images.contains(&digest) {
            bytes += remove_unheld(inner, &digest, &path)?;
        }
    }
    for digest in inner.blobs.list()? {
        if is_candidate(&digest) && !needed.contains(&digest) {
            bytes += remove_unheld(inner, &digest, &inner.blobs.path(&digest))?;
        }
    }
    Ok(bytes)
}

/// Removes a file or directory unless its digest is held: whoever takes a hold while this runs waits, and then finds it
/// gone.
fn remove_unheld(inner: &Inner, digest: &Digest, path: &Path) -> Result<u64, ImageError> {
    let failed = || ImageError::file(path);
    let holds = lock(&inner.holds);
    if holds.contains_key(digest) {
        return Ok(0);
    }
    if path.is_dir() {
        // Out of the way first: removing it takes a while, and half of it must not count.
        let aside = tempfile::tempdir_in(inner.blobs.temporary()).map_err(failed())?;
        let moved = aside.path().join("gone");
        fs::rename(path, &moved).map_err(failed())?;
        drop(holds);
        let size = size_on_disk(&moved).map_err(failed())?;
        remove_tree(&moved).map_err(failed())?;
        return Ok(size);
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        metadata => {
            let size = metadata.map_err(failed())?.blocks() * 512;
            fs::remove_file(path).map_err(failed())?;
            Ok(size)
        }
    }
}

fn size_on_disk(path: &Path) -> io::Result<u64> {
    let mut size = 0;
    let mut ahead: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(path) = ahead.pop() {
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            size += metadata.blocks() * 512;
            if metadata.is_dir() {
                ahead.push(entry.path());
            }
        }
    }
    Ok(size)
}
