//! Reads images that [`write`](super::write) made: for the directory form, and to check them.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::{
    format::{
        BLOCK, BLOCK_BYTES, COMPACT_BYTES, DIRECTORY, DIRENT_BYTES, EXTENDED_BYTES, FILE, LAYOUT_INLINE,
        LAYOUT_PLAIN, MAGIC, SLOT, SUPERBLOCK, SUPERBLOCK_BYTES, SYMLINK, TYPE_MASK, superblock,
    },
    xattr,
};
use crate::tree::{Attributes, Xattrs};

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InodeKind {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A symbolic link.
    Symlink,
}

/// An inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Its number; names with the same one are hard links.
    pub number: u64,
    /// What it is.
    pub kind: InodeKind,
    /// Owner, mode and so on.
    pub attributes: Attributes,
    /// How many names it has.
    pub links: u32,
    /// How long its content is.
    pub size: u64,
    blocks_at: u64,
    /// Where the last, partial block is, if it follows the inode.
    inline_at: Option<u64>,
}

/// An image.
#[derive(Debug)]
pub struct Image {
    file: File,
    inodes_at: u64,
    root: u64,
    time: (u64, u32),
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} of the EROFS image can't be read"))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

impl Image {
    /// Opens an image.
    pub fn open(file: File) -> io::Result<Self> {
        let mut record = [0; SUPERBLOCK_BYTES];
        file.read_exact_at(&mut record, SUPERBLOCK)?;
        if u32_at(&record, superblock::MAGIC_AT) != MAGIC || record[superblock::BLOCK_BITS] != 12 {
            return Err(broken("the superblock"));
        }
        Ok(Self {
            file,
            inodes_at: u64::from(u32_at(&record, superblock::INODES_AT)) * BLOCK,
            root: u64::from(u16_at(&record, superblock::ROOT)),
            time: (u64_at(&record, superblock::TIME), u32_at(&record, superblock::NANOSECONDS)),
        })
    }

    /// The root directory.
    pub fn root(&self) -> io::Result<Inode> {
        self.inode(self.root)
    }

    /// The inode with this number.
    pub fn inode(&self, number: u64) -> io::Result<Inode> {
        let at = self.inodes_at + number * SLOT;
        let mut record = [0; EXTENDED_BYTES];
        // The very last inode may be compact and end with the image; the image has blocks up to its disk's size.
        self.file.read_exact_at(&mut record, at)?;
        let format = u16_at(&record, 0);
        let is_compact = format & 1 == 0;
        let mode = u16_at(&record, 4);
        let length = if is_compact { COMPACT_BYTES } else { EXTENDED_BYTES };
        let xattr_count = usize::from(u16_at(&record, 2));
        let xattr_bytes = if xattr_count == 0 { 0 } else { 12 + 4 * (xattr_count - 1) };
        let mut xattrs = vec![0; xattr_bytes];
        self.file.read_exact_at(&mut xattrs, at + length as u64)?;
        let xattrs: Xattrs = xattr::decode(&xattrs).ok_or_else(|| broken("an attribute"))?;
        let (size, uid, gid, (mtime, nanoseconds), links) = if is_compact {
            let (uid, gid) = (u16_at(&record, 24).into(), u16_at(&record, 26).into());
            (u32_at(&record, 8).into(), uid, gid, self.time, u16_at(&record, 6).into())
        } else {
            let time = (u64_at(&record, 32), u32_at(&record, 40));
            (u64_at(&record, 8), u32_at(&record, 24), u32_at(&record, 28), time, u32_at(&record, 44))
        };
        let kind = match mode & TYPE_MASK {
            kind if kind == DIRECTORY.0 => InodeKind::Directory,
            kind if kind == FILE.0 => InodeKind::File,
            kind if kind == SYMLINK.0 => InodeKind::Symlink,
            _ => return Err(broken("an inode's type")),
        };
        let inline_at = match format >> 1 {
            LAYOUT_PLAIN => None,
            LAYOUT_INLINE => Some(at + (length + xattr_bytes) as u64),
            _ => return Err(broken("an inode's layout")),
        };
        let xattrs = if xattrs.is_empty() { None } else { Some(Box::new(xattrs)) };
        let attributes = Attributes { mode: mode & !TYPE_MASK, uid, gid, mtime, nanoseconds, xattrs };
        let blocks_at = u64::from(u32_at(&record, 16)) * BLOCK;
        Ok(Inode { number, kind, attributes, links, size, blocks_at, inline_at })
    }

    /// Reads content in pieces; `take` gets each and where it lies.
    pub fn content(
        &self,
        inode: &Inode,
        mut take: impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let tail = if inode.inline_at.is_some() { inode.size % BLOCK } else { 0 };
        let in_blocks = inode.size - tail;
        let mut buffer = vec![0; usize::try_from(inode.size.min(256 * 1024)).unwrap_or_default()];
        let mut at = 0;
        while at < in_blocks {
            let length = usize::try_from(in_blocks - at).unwrap_or(usize::MAX).min(buffer.len());
            self.file.read_exact_at(&mut buffer[..length], inode.blocks_at + at)?;
            take(at, &buffer[..length])?;
            at += length as u64;
        }
        if let (Some(inline_at), true) = (inode.inline_at, tail > 0) {
            let piece = &mut buffer[..usize::try_from(tail).unwrap_or_default()];
            self.file.read_exact_at(piece, inline_at)?;
            take(at, piece)?;
        }
        Ok(())
    }

    /// Where a symbolic link leads.
    pub fn target(&self, inode: &Inode) -> io::Result<Vec<u8>> {
        let mut target = Vec::new();
        self.content(inode, |_, piece| {
            target.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(target)
    }

    /// The names and inode numbers in a directory, without `.` and `..`.
    pub fn entries(&self, inode: &Inode) -> io::Result<Vec<(Vec<u8>, u64)>> {
        let mut entries = Vec::new();
        self.content(inode, |_, piece| {
            for block in piece.chunks(BLOCK_BYTES) {
                block_entries(block, &mut entries).ok_or_else(|| broken("a directory"))?;
            }
            Ok(())
        })?;
        Ok(entries)
    }

    /// Visits everything below the root: the path, and the inode. A directory comes before what is in it.
    pub fn walk(&self, mut visit: impl FnMut(&[u8], &Inode) -> io::Result<()>) -> io::Result<()> {
        let mut ahead: Vec<(Vec<u8>, u64)> = vec![(Vec::new(), self.root)];
        while let Some((path, number)) = ahead.pop() {
            let inode = self.inode(number)?;
            if !path.is_empty() {
                visit(&path, &inode)?;
            }
            if inode.kind == InodeKind::Directory {
                for (name, number) in self.entries(&inode)?.into_iter().rev() {
                    let child = if path.is_empty() { name } else { [&path[..], b"/", &name].concat() };
                    ahead.push((child, number));
                }
            }
        }
        Ok(())
    }
}

fn block_entries(block: &[u8], entries: &mut Vec<(Vec<u8>, u64)>) -> Option<()> {
    let first = usize::from(u16_at(block.get(..DIRENT_BYTES)?, 8));
    let count = first / DIRENT_BYTES;
    for at in 0..count {
        let record = block.get(at * DIRENT_BYTES..(at + 1) * DIRENT_BYTES)?;
        let name_at = usize::from(u16_at(record, 8));
        let end = if at + 1 < count {
            usize::from(u16_at(block.get((at + 1) * DIRENT_BYTES..(at + 2) * DIRENT_BYTES)?, 8))
        } else {
            block.len()
        };
        let name = block.get(name_at..end)?.split(|byte| *byte == 0).next()?;
        if !matches!(name, b"." | b"..") {
            entries.push((name.to_owned(), u64_at(record, 0)));
        }
    }
    Some(())
}
