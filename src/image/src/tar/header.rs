//! The 512 bytes at the start of each entry.

use super::{Block, EntryKind, TarError, sparse::Map};

/// A header, as far as it stands in its block.
#[derive(Debug)]
pub struct Header {
    /// The type flag.
    pub kind: u8,
    /// The name, with the prefix of ustar.
    pub name: Vec<u8>,
    /// What a link leads to.
    pub link: Vec<u8>,
    /// The mode's lower twelve bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// The length of what follows, in bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// The map of a GNU sparse file, as far as it fits the header.
    pub sparse: Option<Map>,
    /// Whether more of the map follows.
    pub is_sparse_extended: bool,
}

impl Header {
    /// Reads a block; none is one of zeros, the end of the archive.
    pub fn parse(block: &Block) -> Result<Option<Self>, TarError> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        check_sum(block)?;
        let kind = block[156];
        let mut name = text(&block[..100]).to_owned();
        // GNU has the same magic with spaces, and other fields in place of the prefix.
        if &block[257..263] == b"ustar\0" && block[345] != 0 {
            let prefix = text(&block[345..500]);
            name = [prefix, b"/", &name].concat();
        }
        let (sparse, is_sparse_extended) = if kind == b'S' {
            let (map, is_extended) = Map::from_header(block)?;
            (Some(map), is_extended)
        } else {
            (None, false)
        };
        Ok(Some(Self {
            kind,
            name,
            link: text(&block[157..257]).to_owned(),
            mode: u16::try_from(number(&block[100..108])? & 0o7777).unwrap_or_default(),
            uid: id(number(&block[108..116])?, "owner")?,
            gid: id(number(&block[116..124])?, "group")?,
            size: u64::try_from(number(&block[124..136])?)
                .map_err(|_| TarError::broken("a size is negative"))?,
            mtime: u64::try_from(number(&block[136..148])?).unwrap_or_default(),
            sparse,
            is_sparse_extended,
        }))
    }

    /// What the entry of this name is.
    pub fn entry_kind(&self, name: &[u8]) -> EntryKind {
        match self.kind {
            // Before ustar, directories were files with a slash at the end.
            b'0' | 0 if name.ends_with(b"/") => EntryKind::Directory,
            b'0' | b'7' | b'S' | 0 => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' | b'4' => EntryKind::Device,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            other => EntryKind::Unknown(other),
        }
    }
}

/// A user or group: 32 bits, of which the highest value means none.
pub fn id(value: i64, what: &str) -> Result<u32, TarError> {
    let id = u32::try_from(value).ok().filter(|id| *id != u32::MAX);
    id.ok_or_else(|| TarError::broken(format!("its {what} is no 32-bit number")))
}

fn check_sum(block: &Block) -> Result<(), TarError> {
    let wanted = number(&block[148..156])?;
    let blanked =
        block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
    // Old writers added signed bytes.
    let (mut unsigned, mut signed) = (0_i64, 0_i64);
    for byte in blanked {
        unsigned += i64::from(byte);
        signed += i64::from(i8::from_ne_bytes([byte]));
    }
    if wanted == unsigned || wanted == signed {
        Ok(())
    } else {
        Err(TarError::broken("a header has a wrong check sum: this is no tar, or it is damaged"))
    }
}

/// What is before the first zero byte.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number: octal, or binary where the first bit is set.
pub fn number(field: &[u8]) -> Result<i64, TarError> {
    let wrong = || TarError::broken("a number in a header can't be read");
    if field[0] & 0x80 != 0 {
        let is_negative = field[0] & 0x40 != 0;
        let mut value = if is_negative { -1_i128 } else { 0 };
        for (at, byte) in field.iter().enumerate() {
            let bits = if at == 0 {
                i128::from(byte & 0x7f) | if is_negative { !0x7f } else { 0 }
            } else {
                i128::from(*byte)
            };
            value = if at == 0 { bits } else { (value << 8) | bits };
        }
        return i64::try_from(value).map_err(|_| wrong());
    }
    let digits = text(field).trim_ascii();
    if digits.is_empty() {
        return Ok(0);
    }
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value
            .checked_mul(8)
            .and_then(|value| value.checked_add(i64::from(digit - b'0')))
            .ok_or_else(wrong),
        _ => Err(wrong()),
    })
}
