//! The content of files, written as it is met.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate};

use super::{
    format::{BLOCK, BLOCK_BYTES, EXTENDED_BYTES},
    xattr,
};
use crate::{ROOTFS_DISK_SIZE, tree::Xattrs};

/// Where the content of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Where its blocks begin in the image, in bytes.
    pub start: u64,
    /// How long it is.
    pub size: u64,
    /// Where its last, partial block is among the tails; none if it has a block of the image.
    pub tail: Option<u64>,
}

impl Content {
    /// How much of it is in whole blocks.
    pub fn in_blocks(&self) -> u64 {
        if self.tail.is_some() { self.size - self.size % BLOCK } else { self.size }
    }
}

/// An image in the making: its first part, and the ends of files that will stand beside their inodes.
#[derive(Debug)]
pub struct Contents {
    image: File,
    path: PathBuf,
    tails: File,
    tails_length: u64,
    next: u64,
}

impl Contents {
    /// An empty image in the file `image`, which stands at `path`; `tails` is an empty file that nobody else sees.
    pub fn new(image: File, path: &Path, tails: File) -> Self {
        // The first block is that of the superblock.
        Self { image, path: path.to_owned(), tails, tails_length: 0, next: BLOCK }
    }

    /// Where the image stands, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The image.
    pub fn image(&self) -> &File {
        &self.image
    }

    /// Where the next block goes.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Makes room for a file with these attributes; none if the image would be larger than its disk.
    pub fn begin(&mut self, size: u64, xattrs: Option<&Xattrs>) -> io::Result<Option<Content>> {
        let partial = size % BLOCK;
        let is_inline = partial > 0 && fits_beside(partial, xattr::length(xattrs));
        let blocks = size - partial + if is_inline || partial == 0 { 0 } else { BLOCK };
        let Some(next) = self.next.checked_add(blocks).filter(|next| *next < ROOTFS_DISK_SIZE) else {
            return Ok(None);
        };
        let tail = is_inline.then_some(self.tails_length);
        let content = Content { start: self.next, size, tail };
        self.next = next;
        if is_inline {
            self.tails_length += partial;
            // Holes at the end of a file are zeros.
            self.tails.set_len(self.tails_length)?;
        }
        Ok(Some(content))
    }

    /// Writes a piece of a file.
    pub fn write(&mut self, content: &Content, at: u64, bytes: &[u8]) -> io::Result<()> {
        let split = content.in_blocks().saturating_sub(at);
        let split = usize::try_from(split).unwrap_or(usize::MAX).min(bytes.len());
        let (in_blocks, in_tail) = bytes.split_at(split);
        // A hole reads the same and takes no space.
        if in_blocks.iter().any(|byte| *byte != 0) {
            self.image.write_all_at(in_blocks, content.start + at)?;
        }
        if let (Some(tail), false) = (content.tail, in_tail.is_empty()) {
            self.tails.write_all_at(in_tail, tail + at + split as u64 - content.in_blocks())?;
        }
        Ok(())
    }

    /// Gives back the space of a file that a later layer removed. Where the file system can't do that, it stays taken.
    pub fn discard(&self, content: &Content) {
        let length = content.in_blocks();
        if length > 0 {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = fallocate(&self.image, flags, content.start, length.next_multiple_of(BLOCK));
        }
    }

    /// The end of a file that stands beside its inode.
    pub fn tail(&self, content: &Content) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(content.size - content.in_blocks()).unwrap_or_default()];
        if let Some(tail) = content.tail {
            self.tails.read_exact_at(&mut bytes, tail)?;
        }
        Ok(bytes)
    }
}

/// Whether so many bytes fit into one block with an inode and its attributes.
pub fn fits_beside(bytes: u64, xattr_bytes: usize) -> bool {
    usize::try_from(bytes).is_ok_and(|bytes| EXTENDED_BYTES + xattr_bytes + bytes <= BLOCK_BYTES)
}
