//! Extended attributes, as they follow an inode.

use super::format::put;
use crate::tree::Xattrs;

/// Names are stored without these; a name of zero length means that the prefix is all of it.
const PREFIXES: [(&[u8], u8); 5] = [
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
];
const HEADER_BYTES: usize = 12;
const ENTRY_BYTES: usize = 4;

/// Whether the format has a place for an attribute of this name.
pub fn can_store(name: &[u8]) -> bool {
    index(name).is_some_and(|(index, rest)| {
        let is_whole = matches!(index, 2 | 3);
        rest.len() <= 255 && rest.is_empty() == is_whole
    })
}

fn index(name: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES.iter().find_map(|(prefix, index)| name.strip_prefix(*prefix).map(|rest| (*index, rest)))
}

/// How long the attributes are on the disk; a multiple of four.
pub fn length(xattrs: Option<&Xattrs>) -> usize {
    encode(xattrs).len()
}

/// What an inode says about that length.
pub fn count(length: usize) -> u16 {
    if length == 0 { 0 } else { u16::try_from((length - HEADER_BYTES) / 4 + 1).unwrap_or(u16::MAX) }
}

/// The attributes as they stand behind an inode.
pub fn encode(xattrs: Option<&Xattrs>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(xattrs) = xattrs.filter(|xattrs| !xattrs.is_empty()) else { return bytes };
    bytes.resize(HEADER_BYTES, 0);
    for (name, value) in xattrs {
        let Some((index, rest)) = index(name) else { continue };
        let mut head = [0; ENTRY_BYTES];
        head[0] = u8::try_from(rest.len()).unwrap_or(u8::MAX);
        head[1] = index;
        put(&mut head, 2, u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(rest);
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// Reads what [`encode`] wrote; none if it isn't that.
pub fn decode(mut bytes: &[u8]) -> Option<Xattrs> {
    let mut xattrs = Xattrs::new();
    if bytes.is_empty() {
        return Some(xattrs);
    }
    bytes = bytes.get(HEADER_BYTES..)?;
    while !bytes.is_empty() {
        let head = bytes.get(..ENTRY_BYTES)?;
        let (name_length, index) = (usize::from(head[0]), head[1]);
        let value_length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let (prefix, _) = PREFIXES.iter().find(|(_, known)| *known == index)?;
        let value_at = ENTRY_BYTES + name_length;
        let name = [*prefix, bytes.get(ENTRY_BYTES..value_at)?].concat();
        let value = bytes.get(value_at..value_at + value_length)?;
        xattrs.insert(name.into(), value.into());
        bytes = bytes.get((value_at + value_length).next_multiple_of(4)..)?;
    }
    Some(xattrs)
}
