//! The images of this machine.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Digest, ImageError, Limits, ProgressSink, Reference, RegistryConfig};

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

/// As long as one lives, its image is in use: it is neither removed nor pruned.
#[derive(Debug)]
#[must_use]
pub struct Hold {
    digest: Digest,
}

impl Hold {
    /// The image.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// The images of this machine. Clones are the same store; one process has one at a time (aegisd's lock sees to that).
#[derive(Debug, Clone)]
pub struct ImageStore {
    directory: PathBuf,
}

#[allow(clippy::unused_async, reason = "the surface comes before its inside")]
impl ImageStore {
    /// Opens the store in `directory`, which is made if it isn't there. What an earlier process left half-made is removed.
    pub async fn open(
        directory: PathBuf,
        limits: Limits,
        registries: RegistryConfig,
    ) -> Result<Self, ImageError> {
        let _ = (limits, registries);
        Ok(Self { directory })
    }

    /// The digest that `reference` means now: that of the manifest for this machine's architecture, as [`Image::digest`]
    /// has it. Asks the registry for one small document at most; a reference with the digest of an image that is here
    /// asks nobody.
    pub async fn resolve(&self, reference: &Reference) -> Result<Digest, ImageError> {
        let _ = reference;
        Err(ImageError::Lost("resolve"))
    }

    /// Brings the image here and says what it is. Only layers that aren't here are transferred; two pulls of one layer
    /// at once transfer it once. May be dropped at any time.
    pub async fn pull(&self, reference: &Reference, progress: ProgressSink) -> Result<Image, ImageError> {
        let _ = (reference, progress);
        Err(ImageError::Lost("pull"))
    }

    /// Takes the file system in a tar file (plain, gzip or zstd) as an image of one layer.
    pub async fn base_image(&self, tar: &Path) -> Result<Digest, ImageError> {
        let _ = tar;
        Err(ImageError::Lost("import"))
    }

    /// The image's root file system as a read-only EROFS image, [`crate::ROOTFS_DISK_SIZE`] long and sparse. It is made
    /// on the first call, once for whoever waits; later calls only look whether it is there. Don't write to it.
    pub async fn rootfs_image(&self, digest: &Digest) -> Result<PathBuf, ImageError> {
        Err(ImageError::Unknown(*digest))
    }

    /// The image's root file system as a directory, made on the first call. Don't write to it. As root it has owners,
    /// modes and attributes of the image; without root all files belong to the daemon's user, and set-user-id,
    /// set-group-id and the attributes that need privileges are left out, as no kernel lets a user keep them. Directories
    /// are then always readable and writable by their owner.
    pub async fn rootfs_directory(&self, digest: &Digest) -> Result<PathBuf, ImageError> {
        Err(ImageError::Unknown(*digest))
    }

    /// All images, by digest.
    pub async fn list(&self) -> Result<Vec<Image>, ImageError> {
        Ok(Vec::new())
    }

    /// The image with this digest.
    pub async fn get(&self, digest: &Digest) -> Result<Image, ImageError> {
        Err(ImageError::Unknown(*digest))
    }

    /// Keeps the image from being removed as long as the guard lives. For what runs; what is only written down (a
    /// release) goes into `in_use` of [`Self::remove`] and [`Self::prune`].
    pub fn hold(&self, digest: &Digest) -> Hold {
        Hold { digest: *digest }
    }

    /// Removes an image, its root file systems, and the layers that no other image has. Refused when it is in `in_use` or
    /// held.
    pub async fn remove(&self, digest: &Digest, in_use: &BTreeSet<Digest>) -> Result<Freed, ImageError> {
        if in_use.contains(digest) {
            Err(ImageError::InUse(*digest))
        } else {
            Err(ImageError::Unknown(*digest))
        }
    }

    /// Removes all images that are neither in `in_use` nor held, and whatever belongs to no image.
    pub async fn prune(&self, in_use: &BTreeSet<Digest>) -> Result<Freed, ImageError> {
        let _ = (in_use, &self.directory);
        Ok(Freed::default())
    }
}
