//! Completes an image: directories, inodes, and the superblock at last.

use std::{
    fs::File,
    io::{self, BufWriter, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
};

use super::{
    content::Contents,
    format::{
        BLOCK, BLOCK_BYTES, COMPACT_BYTES, DIRECTORY, DIRENT_BYTES, EXTENDED_BYTES, FEATURES, FILE,
        LAYOUT_INLINE, LAYOUT_PLAIN, MAGIC, SUPERBLOCK, SUPERBLOCK_BYTES, SYMLINK, crc32c, put, superblock,
    },
    plan::{DirectoryEntry, Place, Plan, entries, pack},
    xattr,
};
use crate::{
    ROOTFS_DISK_SIZE,
    tree::{Kind, Tree},
};

/// Completes the image of a tree whose content is there already, and makes it as long as its disk. The same tree and
/// identity make the same image. An image that doesn't fit its disk is an error of the kind `FileTooLarge`.
pub fn write(tree: &Tree, contents: &Contents, identity: [u8; 16]) -> io::Result<()> {
    let plan = Plan::new(tree, contents.next());
    let end = plan.inodes_at + plan.inodes_length.next_multiple_of(BLOCK);
    if end > ROOTFS_DISK_SIZE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut image = contents.image();
    image.seek(SeekFrom::Start(plan.inodes_at))?;
    let mut inodes = BufWriter::with_capacity(256 * 1024, image);
    let mut written = 0;
    for (number, place) in plan.places.iter().enumerate() {
        pad(&mut inodes, place.offset - written)?;
        let record = inode(tree, &plan, place, u32::try_from(number + 1).unwrap_or(u32::MAX));
        inodes.write_all(&record)?;
        inodes.write_all(&xattr::encode(tree.node(place.node).attributes.xattrs.as_deref()))?;
        let beside = beside(tree, &plan, place, contents)?;
        inodes.write_all(&beside)?;
        written = place.offset + (record.len() + place.xattr_bytes + beside.len()) as u64;
    }
    pad(&mut inodes, plan.inodes_length.next_multiple_of(BLOCK) - written)?;
    inodes.flush()?;
    drop(inodes);
    write_superblock(contents.image(), &plan, end, identity)?;
    contents.image().set_len(ROOTFS_DISK_SIZE)
}

fn pad(inodes: &mut impl Write, mut length: u64) -> io::Result<()> {
    const ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
    while length > 0 {
        let piece = usize::try_from(length).unwrap_or(usize::MAX).min(ZEROS.len());
        inodes.write_all(&ZEROS[..piece])?;
        length -= piece as u64;
    }
    Ok(())
}

fn inode(tree: &Tree, plan: &Plan, place: &Place, number: u32) -> Vec<u8> {
    let node = tree.node(place.node);
    let attributes = &node.attributes;
    let kind = match node.kind {
        Kind::Directory(_) => DIRECTORY.0,
        Kind::File(_) => FILE.0,
        Kind::Symlink(_) => SYMLINK.0,
    };
    let mode = kind | attributes.mode;
    let layout = if place.is_inline { LAYOUT_INLINE } else { LAYOUT_PLAIN };
    let has_blocks = place.size > if place.is_inline { place.size % BLOCK } else { 0 };
    let block = if has_blocks { narrow(place.blocks_at / BLOCK) } else { 0 };
    let mut record = vec![0; if place.is_compact { COMPACT_BYTES } else { EXTENDED_BYTES }];
    put(&mut record, 0, (u16::from(!place.is_compact) | (layout << 1)).to_le_bytes());
    put(&mut record, 2, xattr::count(place.xattr_bytes).to_le_bytes());
    put(&mut record, 4, mode.to_le_bytes());
    put(&mut record, 16, block.to_le_bytes());
    put(&mut record, 20, number.to_le_bytes());
    if place.is_compact {
        put(&mut record, 6, u16::try_from(place.links).unwrap_or(u16::MAX).to_le_bytes());
        put(&mut record, 8, narrow(place.size).to_le_bytes());
        put(&mut record, 24, u16::try_from(attributes.uid).unwrap_or(u16::MAX).to_le_bytes());
        put(&mut record, 26, u16::try_from(attributes.gid).unwrap_or(u16::MAX).to_le_bytes());
    } else {
        put(&mut record, 8, place.size.to_le_bytes());
        put(&mut record, 24, attributes.uid.to_le_bytes());
        put(&mut record, 28, attributes.gid.to_le_bytes());
        put(&mut record, 32, attributes.mtime.to_le_bytes());
        put(&mut record, 40, attributes.nanoseconds.to_le_bytes());
        put(&mut record, 44, place.links.to_le_bytes());
    }
    debug_assert!(plan.inodes_length > place.offset);
    record
}

/// Numbers of blocks, and sizes of compact inodes: the disk's size bounds both below 32 bits.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// What follows an inode and its attributes; blocks of its own are written on the way.
fn beside(tree: &Tree, plan: &Plan, place: &Place, contents: &Contents) -> io::Result<Vec<u8>> {
    match &tree.node(place.node).kind {
        Kind::File(content) => contents.tail(content),
        Kind::Symlink(target) if place.is_inline => Ok(target.to_vec()),
        Kind::Symlink(target) => contents.image().write_all_at(target, place.blocks_at).map(|()| Vec::new()),
        Kind::Directory(_) => {
            let entries = entries(tree, place.node, place.parent);
            let (blocks, _) = pack(&entries);
            let last = blocks.len() - 1;
            for (at, range) in blocks.into_iter().enumerate() {
                let block = directory_block(plan, &entries[range]);
                if at == last && place.is_inline {
                    return Ok(block);
                }
                contents.image().write_all_at(&block, place.blocks_at + at as u64 * BLOCK)?;
            }
            Ok(Vec::new())
        }
    }
}

/// Entries first, then their names; what is left of the block stays zero.
fn directory_block(plan: &Plan, entries: &[DirectoryEntry<'_>]) -> Vec<u8> {
    let mut block = vec![0; entries.len() * DIRENT_BYTES];
    for (at, entry) in entries.iter().enumerate() {
        let name_at = u16::try_from(block.len()).unwrap_or(u16::MAX);
        let record = &mut block[at * DIRENT_BYTES..][..DIRENT_BYTES];
        put(record, 0, plan.number(entry.node).to_le_bytes());
        put(record, 8, name_at.to_le_bytes());
        record[10] = entry.kind;
        block.extend_from_slice(entry.name);
    }
    block
}

fn write_superblock(image: &File, plan: &Plan, end: u64, identity: [u8; 16]) -> io::Result<()> {
    let mut block = vec![0; usize::try_from(BLOCK - SUPERBLOCK).unwrap_or(BLOCK_BYTES)];
    let record = &mut block[..SUPERBLOCK_BYTES];
    put(record, superblock::MAGIC_AT, MAGIC.to_le_bytes());
    put(record, superblock::FEATURES_AT, FEATURES.to_le_bytes());
    record[superblock::BLOCK_BITS] = 12;
    put(record, superblock::ROOT, 0_u16.to_le_bytes());
    put(record, superblock::INODES, (plan.places.len() as u64).to_le_bytes());
    put(record, superblock::TIME, plan.time.0.to_le_bytes());
    put(record, superblock::NANOSECONDS, plan.time.1.to_le_bytes());
    put(record, superblock::BLOCKS, narrow(end / BLOCK).to_le_bytes());
    put(record, superblock::INODES_AT, narrow(plan.inodes_at / BLOCK).to_le_bytes());
    put(record, superblock::IDENTITY, identity);
    let checksum = crc32c(&block);
    put(&mut block, superblock::CHECKSUM, checksum.to_le_bytes());
    image.write_all_at(&block, SUPERBLOCK)
}
