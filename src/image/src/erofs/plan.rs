//! Where each inode will stand: known before the first is written, as directories name them.

use std::{collections::HashMap, ops::Range};

use super::{
    content::fits_beside,
    format::{
        BLOCK, BLOCK_BYTES, COMPACT_BYTES, DIRECTORY, DIRENT_BYTES, EXTENDED_BYTES, FILE, SLOT, SYMLINK,
    },
    xattr,
};
use crate::tree::{Kind, NodeId, ROOT, Tree};

/// The place of one inode.
#[derive(Debug, Clone)]
pub struct Place {
    /// The node.
    pub node: NodeId,
    /// The directory that it was met in first; the root's is itself.
    pub parent: NodeId,
    /// Where it stands, in bytes from where inodes begin.
    pub offset: u64,
    /// Whether it is a compact one.
    pub is_compact: bool,
    /// How long its attributes are.
    pub xattr_bytes: usize,
    /// The length that it has for a reader.
    pub size: u64,
    /// Where its blocks begin, in bytes.
    pub blocks_at: u64,
    /// Whether its last, partial block follows it.
    pub is_inline: bool,
    /// How many names it has.
    pub links: u32,
}

/// All inodes.
#[derive(Debug)]
pub struct Plan {
    /// In the order in which they stand.
    pub places: Vec<Place>,
    /// The place of each node, by the node's index.
    by_node: Vec<u32>,
    /// Where inodes begin, in bytes.
    pub inodes_at: u64,
    /// How long they are.
    pub inodes_length: u64,
    /// The time of compact inodes.
    pub time: (u64, u32),
}

impl Plan {
    /// Places the inodes of a tree; blocks of directories and links go to `next` and behind it.
    pub fn new(tree: &Tree, mut next: u64) -> Self {
        let time = commonest_time(tree);
        let mut places: Vec<Place> = Vec::new();
        let mut by_node = vec![u32::MAX; tree.node_count()];
        let mut offset = 0;
        // A directory's inodes follow it closely, in the order of names; the root is the very first, as the superblock has
        // only 16 bits for it.
        let mut ahead = vec![(ROOT, ROOT)];
        while let Some((id, parent)) = ahead.pop() {
            if by_node[id.index()] != u32::MAX {
                continue;
            }
            by_node[id.index()] = u32::try_from(places.len()).unwrap_or(u32::MAX);
            let place = place(tree, (id, parent), time, &mut offset, &mut next);
            places.push(place);
            let children = tree.children(id).into_iter().flatten();
            ahead.extend(children.rev().map(|(_, child)| (child.node, id)));
        }
        Self { places, by_node, inodes_at: next, inodes_length: offset, time }
    }

    /// The number of a node's inode.
    pub fn number(&self, node: NodeId) -> u64 {
        self.places[self.by_node[node.index()] as usize].offset / SLOT
    }
}

fn place(
    tree: &Tree,
    (id, parent): (NodeId, NodeId),
    time: (u64, u32),
    offset: &mut u64,
    next: &mut u64,
) -> Place {
    let node = tree.node(id);
    let attributes = &node.attributes;
    let xattr_bytes = xattr::length(attributes.xattrs.as_deref());
    let (size, links) = match &node.kind {
        Kind::Directory(_) => {
            let entries = entries(tree, id, parent);
            let (blocks, last) = pack(&entries);
            let subdirectories = entries.iter().filter(|entry| entry.kind == DIRECTORY.1).count();
            (
                (blocks.len() as u64 - 1) * BLOCK + last as u64,
                u32::try_from(subdirectories).unwrap_or(u32::MAX),
            )
        }
        Kind::File(content) => (content.size, node.names),
        Kind::Symlink(target) => (target.len() as u64, node.names),
    };
    let is_compact = (attributes.mtime, attributes.nanoseconds) == time
        && u16::try_from(attributes.uid).is_ok()
        && u16::try_from(attributes.gid).is_ok()
        && u16::try_from(links).is_ok()
        && u32::try_from(size).is_ok();
    let partial = size % BLOCK;
    let (is_inline, blocks_at) = match &node.kind {
        Kind::File(content) => (content.tail.is_some(), content.start),
        Kind::Directory(_) | Kind::Symlink(_) => {
            let is_inline = partial > 0 && fits_beside(partial, xattr_bytes);
            let start = *next;
            *next += if is_inline { size - partial } else { size.next_multiple_of(BLOCK) };
            (is_inline, start)
        }
    };
    let inode = if is_compact { COMPACT_BYTES } else { EXTENDED_BYTES };
    let length = (inode + xattr_bytes) as u64 + if is_inline { partial } else { 0 };
    // The kernel wants an inode with what follows it in one block. What is larger than a block has no inline data.
    if *offset % BLOCK + length > BLOCK {
        *offset = offset.next_multiple_of(BLOCK);
    }
    let at = *offset;
    *offset = (at + length).next_multiple_of(SLOT);
    Place { node: id, parent, offset: at, is_compact, xattr_bytes, size, blocks_at, is_inline, links }
}

/// The time that most nodes have: it needs no inode of its own kind. Of several the latest, so that the same tree always
/// makes the same image.
fn commonest_time(tree: &Tree) -> (u64, u32) {
    let mut counts: HashMap<(u64, u32), u64> = HashMap::new();
    let mut ahead = vec![ROOT];
    while let Some(id) = ahead.pop() {
        let attributes = &tree.node(id).attributes;
        *counts.entry((attributes.mtime, attributes.nanoseconds)).or_default() += 1;
        ahead.extend(tree.children(id).into_iter().flatten().map(|(_, child)| child.node));
    }
    counts.into_iter().max_by_key(|(time, count)| (*count, *time)).map(|(time, _)| time).unwrap_or_default()
}

/// An entry of a directory, as it is written.
#[derive(Debug)]
pub struct DirectoryEntry<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Where it leads.
    pub node: NodeId,
    /// The type that stands with it.
    pub kind: u8,
}

/// All entries of a directory in the order of their bytes, by which the kernel searches, `.` and `..` among them.
pub fn entries(tree: &Tree, id: NodeId, parent: NodeId) -> Vec<DirectoryEntry<'_>> {
    let kind = |node: NodeId| match tree.node(node).kind {
        Kind::Directory(_) => DIRECTORY.1,
        Kind::File(_) => FILE.1,
        Kind::Symlink(_) => SYMLINK.1,
    };
    let dots = [(&b"."[..], id), (b"..", parent)];
    let children = tree.children(id).into_iter().flatten().map(|(name, child)| (&**name, child.node));
    let mut entries: Vec<DirectoryEntry<'_>> = dots
        .into_iter()
        .chain(children)
        .map(|(name, node)| DirectoryEntry { name, node, kind: kind(node) })
        .collect();
    entries.sort_unstable_by_key(|entry| entry.name);
    entries
}

/// Which entries go into which block, and how much of the last block is used.
pub fn pack(entries: &[DirectoryEntry<'_>]) -> (Vec<Range<usize>>, usize) {
    let mut blocks = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, entry) in entries.iter().enumerate() {
        let length = DIRENT_BYTES + entry.name.len();
        if used + length > BLOCK_BYTES {
            blocks.push(start..at);
            (start, used) = (at, 0);
        }
        used += length;
    }
    blocks.push(start..entries.len());
    (blocks, used)
}
