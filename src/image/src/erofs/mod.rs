//! EROFS images: written from a merged tree, uncompressed, and read back.
//!
//! The format is that of Linux' `fs/erofs/erofs_fs.h` without any incompatible feature, so that every kernel since 5.4
//! mounts it. In the file, content comes first, as it is met in the layers, then the blocks of large directories, then the
//! inodes: the superblock says where they begin. So an image is written in one pass, whatever its layers remove again.

mod content;
mod format;
mod plan;
mod reader;
#[cfg(test)]
mod tests;
mod writer;
mod xattr;

pub use content::{Content, Contents};
pub use reader::{Image, Inode, InodeKind};
pub use writer::write;
pub use xattr::can_store;
