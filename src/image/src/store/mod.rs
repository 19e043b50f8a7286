//! The images of this machine.

mod catalogue;
mod collect;
mod pull;
mod rootfs;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::{sync::RwLock, task::spawn_blocking};

use crate::{
    Digest, ImageError, Limits, ProgressSink, Reference, RegistryConfig, blobs::Blobs, registry::Connector,
    source::Transfers,
};
use catalogue::Record;
use rootfs::Builds;

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// The layer.
    pub digest: Digest,
    /// Its size as transferred, in bytes.
    pub size: u64,
}

/// An image that is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The digest of the manifest for this machine's architecture.
    pub digest: Digest,
    /// The names that it was pulled by, in full, and that nothing else was pulled by since.
    pub references: BTreeSet<String>,
    /// Its layers, the lowest first.
    pub layers: Vec<LayerInfo>,
    /// The size of all layers as transferred, in bytes.
    pub size: u64,
    /// The architecture, as Go names them: `amd64`.
    pub architecture: String,
    /// When it was made, as its configuration says it.
    pub created: Option<String>,
}

/// What a prune freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Freed {
    /// How many images were removed.
    pub count: u64,
    /// How much of the disk became free, in bytes.
    pub bytes: u64,
}

/// How often each digest is held: images in use, and blobs that a pull needs.
type Holds = Arc<Mutex<BTreeMap<Digest, usize>>>;

/// As long as one lives, its image is in use: it is neither removed nor pruned.
#[derive(Debug)]
#[must_use]
pub struct Hold {
    digest: Digest,
    holds: Holds,
}

impl Hold {
    /// The image.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut holds = lock(&self.holds);
        if let Some(count) = holds.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                holds.remove(&self.digest);
            }
        }
    }
}

/// What is behind a mutex; nothing that panics is done under one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Inner {
    directory: PathBuf,
    limits: Limits,
    connector: Connector,
    blobs: Blobs,
    records: Mutex<BTreeMap<Digest, Record>>,
    holds: Holds,
    transfers: Transfers,
    builds: Builds,
    /// Shared by imports, whose digests are known only at their end: nothing is collected meanwhile.
    collecting: Arc<RwLock<()>>,
}

/// The images of this machine. Clones are the same store; one process has one at a time (aegisd's lock sees to that).
#[derive(Clone)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for ImageStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageStore").field("directory", &self.inner.directory).finish_non_exhaustive()
    }
}

impl ImageStore {
    /// Opens the store in `directory`, which is made if it isn't there. What an earlier process left half-made is removed.
    pub async fn open(
        directory: PathBuf,
        limits: Limits,
        registries: RegistryConfig,
    ) -> Result<Self, ImageError> {
        let opened = spawn_blocking(move || {
            let blobs = Blobs::open(&directory)?;
            rootfs::make_directories(&directory)?;
            let records = Mutex::new(catalogue::read(&directory)?);
            let connector = Connector::new(registries);
            Ok(Inner {
                directory,
                limits,
                connector,
                blobs,
                records,
                holds: Holds::default(),
                transfers: Transfers::default(),
                builds: Builds::default(),
                collecting: Arc::default(),
            })
        });
        let inner = opened.await.map_err(|_| ImageError::Lost("the opening of the image store"))??;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The digest that `reference` means now: that of the manifest for this machine's architecture, as [`Image::digest`]
    /// has it. Asks the registry for small documents at most, and for nothing but a digest when it is here already; a
    /// reference with the digest of an image that is here asks nobody. An archive has to be read whole.
    pub async fn resolve(&self, reference: &Reference) -> Result<Digest, ImageError> {
        pull::resolve(&self.inner, reference).await
    }

    /// Brings the image here and says what it is. Only layers that aren't here are transferred; two pulls of one layer
    /// at once transfer it once. May be dropped at any time.
    pub async fn pull(&self, reference: &Reference, progress: ProgressSink) -> Result<Image, ImageError> {
        pull::pull(&self.inner, reference, &progress).await
    }

    /// Takes the file system in a tar file (plain, gzip or zstd) as an image of one layer, with the reference `base`. Its
    /// digest follows from the content; when it is here already, the file is read but nothing is written.
    pub async fn base_image(&self, tar: &Path) -> Result<Digest, ImageError> {
        pull::import_base(&self.inner, tar).await
    }

    /// The image's root file system as a read-only EROFS image, [`crate::ROOTFS_DISK_SIZE`] long and sparse. It is made
    /// on the first call, once for whoever waits; later calls only look whether it is there. Don't write to it, and
    /// [`hold`](Self::hold) the image as long as it is used.
    pub async fn rootfs_image(&self, digest: &Digest) -> Result<PathBuf, ImageError> {
        rootfs::image(&self.inner, digest).await
    }

    /// The image's root file system as a directory, made on the first call. Don't write to it, and
    /// [`hold`](Self::hold) the image as long as it is used. As root it has owners, modes and attributes of the image;
    /// without root all files belong to the daemon's user, and set-user-id, set-group-id and the attributes that need
    /// privileges are left out, as no kernel lets a user keep them. Directories are then always readable and writable by
    /// their owner, and files readable.
    pub async fn rootfs_directory(&self, digest: &Digest) -> Result<PathBuf, ImageError> {
        rootfs::directory(&self.inner, digest).await
    }

    /// All images, by digest.
    #[allow(clippy::unused_async, reason = "that the catalogue is in memory is no promise")]
    pub async fn list(&self) -> Result<Vec<Image>, ImageError> {
        Ok(lock(&self.inner.records).values().map(|record| record.image.clone()).collect())
    }

    /// The image with this digest.
    #[allow(clippy::unused_async, reason = "that the catalogue is in memory is no promise")]
    pub async fn get(&self, digest: &Digest) -> Result<Image, ImageError> {
        let records = lock(&self.inner.records);
        records.get(digest).map(|record| record.image.clone()).ok_or(ImageError::Unknown(*digest))
    }

    /// Keeps the image from being removed as long as the guard lives. For what runs; what is only written down (a
    /// release) goes into `in_use` of [`Self::remove`] and [`Self::prune`].
    pub fn hold(&self, digest: &Digest) -> Hold {
        self.inner.hold(digest)
    }

    /// Removes an image, its root file systems, and the layers that no other image has. Refused when it is in `in_use` or
    /// held.
    pub async fn remove(&self, digest: &Digest, in_use: &BTreeSet<Digest>) -> Result<Freed, ImageError> {
        if in_use.contains(digest) {
            return Err(ImageError::InUse(*digest));
        }
        let _collecting = self.inner.collecting.clone().write_owned().await;
        let (inner, digest) = (self.inner.clone(), *digest);
        let removed = spawn_blocking(move || collect::remove(&inner, &digest)).await;
        removed.map_err(|_| ImageError::Lost("the removal of an image"))?
    }

    /// Removes all images that are neither in `in_use` nor held, and whatever belongs to no image. The base image is one
    /// like the others: name it in `in_use`.
    pub async fn prune(&self, in_use: &BTreeSet<Digest>) -> Result<Freed, ImageError> {
        let _collecting = self.inner.collecting.clone().write_owned().await;
        let (inner, in_use) = (self.inner.clone(), in_use.clone());
        let pruned = spawn_blocking(move || collect::prune(&inner, &in_use)).await;
        pruned.map_err(|_| ImageError::Lost("the prune"))?
    }
}

impl Inner {
    fn hold(&self, digest: &Digest) -> Hold {
        *lock(&self.holds).entry(*digest).or_default() += 1;
        Hold { digest: *digest, holds: self.holds.clone() }
    }
}
