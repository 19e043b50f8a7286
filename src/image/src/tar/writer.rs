//! Makes tar streams for tests, hostile ones too: whatever is said is written.

#![allow(clippy::needless_pass_by_value, reason = "chains of calls read best so")]

/// A stream in the making.
#[derive(Default, Clone)]
pub struct Writer {
    bytes: Vec<u8>,
}

/// A header to be changed before it is written.
pub struct Draft {
    pub kind: u8,
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: u64,
    pub size: Option<u64>,
    pub pax: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Draft {
    pub fn new(kind: u8, name: impl AsRef<[u8]>) -> Self {
        let mode = if kind == b'5' { 0o755 } else { 0o644 };
        Self {
            kind,
            name: name.as_ref().to_owned(),
            link: Vec::new(),
            mode,
            uid: 0,
            gid: 0,
            mtime: 1_700_000_000,
            size: None,
            pax: Vec::new(),
        }
    }

    pub fn link(mut self, link: impl AsRef<[u8]>) -> Self {
        self.link = link.as_ref().to_owned();
        self
    }

    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    pub fn owner(mut self, uid: u64, gid: u64) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    pub fn pax(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax(format!("SCHILY.xattr.{name}"), value)
    }
}

impl Writer {
    pub fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.entry(Draft::new(b'0', name), content.as_ref())
    }

    pub fn directory(self, name: impl AsRef<[u8]>) -> Self {
        self.entry(Draft::new(b'5', name), b"")
    }

    pub fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(Draft::new(b'2', name).link(target).mode(0o777), b"")
    }

    pub fn hard_link(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(Draft::new(b'1', name).link(target), b"")
    }

    pub fn entry(mut self, draft: Draft, content: &[u8]) -> Self {
        let mut pax = draft.pax.clone();
        if draft.name.len() > 100 {
            pax.push((b"path".to_vec(), draft.name.clone()));
        }
        if draft.link.len() > 100 {
            pax.push((b"linkpath".to_vec(), draft.link.clone()));
        }
        if !pax.is_empty() {
            let text: Vec<u8> = pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            let header = Draft::new(b'x', "extension");
            self.raw(&header, text.len() as u64, &text);
        }
        self.raw(&draft, draft.size.unwrap_or(content.len() as u64), content);
        self
    }

    /// A header and what follows it, whether or not they fit each other.
    pub fn raw(&mut self, draft: &Draft, size: u64, content: &[u8]) {
        self.bytes.extend_from_slice(&header(draft, size));
        self.append(content);
    }

    /// Bytes, filled up to whole blocks.
    pub fn append(&mut self, content: &[u8]) {
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    /// The entries of another one behind those of this one.
    pub fn join(mut self, other: Self) -> Self {
        self.bytes.extend(other.bytes);
        self
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

pub fn header(draft: &Draft, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    let name = &draft.name[..draft.name.len().min(100)];
    block[..name.len()].copy_from_slice(name);
    octal(&mut block[100..108], u64::from(draft.mode));
    octal(&mut block[108..116], draft.uid);
    octal(&mut block[116..124], draft.gid);
    octal(&mut block[124..136], size);
    octal(&mut block[136..148], draft.mtime);
    block[156] = draft.kind;
    let link = &draft.link[..draft.link.len().min(100)];
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..263].copy_from_slice(b"ustar\0");
    block[263..265].copy_from_slice(b"00");
    sign(&mut block);
    block
}

/// Sets the check sum.
pub fn sign(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An octal number, or a binary one where that is too short.
fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    if text.len() <= digits {
        field[..digits].copy_from_slice(text.as_bytes());
    } else {
        let start = field.len() - 8;
        field[start..].copy_from_slice(&value.to_be_bytes());
        field[0] |= 0x80;
    }
}

fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}
