//! OCI images: pulled, verified, cached, and made into read-only root file systems.
//!
//! [`ImageStore`] is the way in. An image is known by the digest of its manifest for this machine's architecture; from
//! its layers comes one EROFS image ([`ImageStore::rootfs_image`]) that all instances share, and, for backends without
//! disks, one directory ([`ImageStore::rootfs_directory`]). Entrypoint, command, environment, ports and volumes of an
//! image are ignored: it is a file system here.
//!
//! Nothing of an image is unpacked through the host's file system. Layers are merged in memory into a tree
//! that can't leave its root, and the EROFS image is written from that.

mod blobs;
mod build;
mod digest;
mod directory;
mod erofs;
mod error;
mod guarantee;
mod layer;
mod limits;
mod manifest;
mod progress;
mod reference;
mod registry;
mod source;
mod store;
mod tar;
mod tree;

#[doc(hidden)]
pub use build::merge_and_read;
pub use digest::Digest;
pub use error::{ImageError, Problem, Violation};
pub use limits::Limits;
pub use progress::{Progress, ProgressSink, silent};
pub use reference::Reference;
pub use registry::RegistryConfig;
pub use store::{Freed, Hold, Image, ImageStore, LayerInfo};

/// The length of every root file system image: 16 GiB, most of it a hole. The same as `aegis_backend::ROOTFS_DISK_SIZE`,
/// as a clone's disk can only be replaced by one of the size that its template saw.
pub const ROOTFS_DISK_SIZE: u64 = 16 * 1024 * 1024 * 1024;
