//! A reader of tar streams that trusts nothing: every length has a bound, and nothing is taken into memory but metadata.
//!
//! It reads ustar, GNU (long names, sparse files) and PAX (names, sizes, times, extended attributes, sparse files 0.0,
//! 0.1 and 1.0), as Docker, Podman, Buildah, GNU tar and bsdtar write them.

mod header;
mod pax;
mod sparse;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub mod writer;

use std::io::{self, Read};

use header::Header;
use pax::Extension;
use sparse::Segment;

/// What tar counts in.
const BLOCK: u64 = 512;
/// A unit of it in memory.
type Block = [u8; 512];
/// The longest extended header: more than any real one has, as attributes are bounded on their own.
const EXTENSION_BYTES: u64 = 1024 * 1024;
/// The most that is read at once.
const CHUNK: usize = 256 * 1024;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file with content.
    File,
    /// Another name of an earlier entry.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Directory,
    /// A character or block device.
    Device,
    /// A named pipe.
    Fifo,
    /// A type that isn't known.
    Unknown(u8),
}

/// One entry, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name as it stands there.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// What a link leads to.
    pub link: Vec<u8>,
    /// The mode's lower twelve bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// When it was changed, in seconds since 1970; times before that count as 1970.
    pub mtime: u64,
    /// The nanoseconds of that.
    pub nanoseconds: u32,
    /// Extended attributes, with their whole names.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// How long the content is for a reader, holes included.
    pub size: u64,
    /// Where the data lies in it, ascending. The rest is holes.
    segments: Vec<Segment>,
}

/// Why a stream can't be read on.
#[derive(Debug)]
pub enum TarError {
    /// The stream fails.
    Read(io::Error),
    /// The stream is no tar, or goes beyond a bound.
    Broken {
        /// The entry, if it had a name already.
        entry: Option<Vec<u8>>,
        /// What is wrong.
        rule: String,
    },
}

impl TarError {
    fn broken(rule: impl Into<String>) -> Self {
        Self::Broken { entry: None, rule: rule.into() }
    }

    /// Names the entry, where the error doesn't yet.
    fn of(self, name: &[u8]) -> Self {
        match self {
            Self::Broken { entry: None, rule } => Self::Broken { entry: Some(name.to_owned()), rule },
            other => other,
        }
    }
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::broken("ends in the middle")
        } else {
            Self::Read(error)
        }
    }
}

/// A tar stream.
pub struct Reader<R> {
    source: R,
    /// Data of the current entry that wasn't read.
    unread: u64,
    /// What follows it up to the next header.
    padding: u64,
    /// Bytes from the start.
    position: u64,
    buffer: Vec<u8>,
    /// The longest name and link.
    path_bytes: usize,
    /// The most that one entry's attributes take.
    xattr_bytes: usize,
}

impl<R: Read> Reader<R> {
    /// Reads `source`, which should be buffered.
    pub fn new(source: R, path_bytes: usize, xattr_bytes: usize) -> Self {
        Self { source, unread: 0, padding: 0, position: 0, buffer: vec![0; CHUNK], path_bytes, xattr_bytes }
    }

    /// The next entry; none at the end, where the rest of the stream has been read.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        self.skip_content()?;
        let mut extension = Extension::default();
        loop {
            let Some(block) = self.block()? else { return self.drain() };
            let Some(header) = Header::parse(&block)? else { return self.drain() };
            match header.kind {
                b'x' | b'X' => {
                    let text = self.extension(header.size, EXTENSION_BYTES, "an extended header")?;
                    extension.merge_pax(&text, self.xattr_bytes)?;
                }
                // Global headers have comments of `git archive`; Docker skips them too.
                b'g' => {
                    self.extension(header.size, EXTENSION_BYTES, "a global header")?;
                }
                b'L' => extension.path = Some(self.long_name(header.size)?),
                b'K' => extension.link = Some(self.long_name(header.size)?),
                _ => {
                    let name = extension.path.clone().unwrap_or_else(|| header.name.clone());
                    return self
                        .entry(header, extension, name.clone())
                        .map_err(|error| error.of(&name))
                        .map(Some);
                }
            }
        }
    }

    /// Reads the content of the entry that was returned last: `take` gets pieces and where they lie, ascending.
    pub fn content<E: From<TarError>>(
        &mut self,
        entry: &Entry,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut buffer = std::mem::take(&mut self.buffer);
        for segment in &entry.segments {
            let mut at = segment.offset;
            let end = segment.offset + segment.length;
            while at < end {
                let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
                let piece = &mut buffer[..length];
                self.source.read_exact(piece).map_err(|error| TarError::from(error).of(&entry.name))?;
                self.position += length as u64;
                self.unread -= length as u64;
                take(at, piece)?;
                at += length as u64;
            }
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Where the content of the entry that was returned last begins in the stream.
    pub fn content_position(&self) -> u64 {
        self.position
    }

    fn entry(&mut self, header: Header, extension: Extension, name: Vec<u8>) -> Result<Entry, TarError> {
        let kind = header.entry_kind(&name);
        let stored = extension.size.unwrap_or(header.size);
        // These have no content, whatever the header says; all readers agree on it.
        let has_content = matches!(kind, EntryKind::File | EntryKind::Unknown(_));
        self.unread = if has_content { stored } else { 0 };
        self.padding = self.unread.next_multiple_of(BLOCK) - self.unread;
        let map = if has_content { self.sparse_map(&header, &extension)? } else { None };
        let (size, segments) = match map {
            Some(map) => (map.size, map.checked(self.unread)?),
            None => (self.unread, sparse::whole(self.unread)),
        };
        let name = extension.sparse.name.unwrap_or(name);
        let link = extension.link.unwrap_or(header.link);
        for text in [&name, &link] {
            if text.contains(&0) {
                return Err(TarError::broken("a name has a zero byte"));
            }
            if text.len() > self.path_bytes {
                return Err(TarError::broken(format!("a name is longer than {} bytes", self.path_bytes)));
            }
        }
        let (mtime, nanoseconds) = extension.mtime.unwrap_or((header.mtime, 0));
        Ok(Entry {
            name,
            kind,
            link,
            mode: header.mode,
            uid: extension.uid.unwrap_or(header.uid),
            gid: extension.gid.unwrap_or(header.gid),
            mtime,
            nanoseconds,
            xattrs: extension.xattrs,
            size,
            segments,
        })
    }

    fn sparse_map(
        &mut self,
        header: &Header,
        extension: &Extension,
    ) -> Result<Option<sparse::Map>, TarError> {
        if let Some(mut map) = header.sparse.clone() {
            let mut is_extended = header.is_sparse_extended;
            while is_extended {
                let block = self.block()?.ok_or_else(|| TarError::broken("ends in the middle"))?;
                is_extended = map.extend_from_block(&block)?;
            }
            return Ok(Some(map));
        }
        if extension.sparse.is_in_content() {
            let mut map = sparse::InContent::new(extension.sparse.size)?;
            loop {
                if self.unread < BLOCK {
                    return Err(TarError::broken("its sparse map ends in the middle"));
                }
                let block = self.block()?.ok_or_else(|| TarError::broken("ends in the middle"))?;
                self.unread -= BLOCK;
                if let Some(map) = map.push(&block)? {
                    return Ok(Some(map));
                }
            }
        }
        extension.sparse.map()
    }

    /// The next block; none at the end of the stream.
    fn block(&mut self) -> Result<Option<Block>, TarError> {
        let mut block: Block = [0; 512];
        let first = loop {
            match self.source.read(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if first == 0 {
            return Ok(None);
        }
        self.source.read_exact(&mut block[first..])?;
        self.position += BLOCK;
        Ok(Some(block))
    }

    fn extension(&mut self, size: u64, most: u64, what: &str) -> Result<Vec<u8>, TarError> {
        if size > most {
            return Err(TarError::broken(format!("{what} is longer than {most} bytes")));
        }
        let mut text = vec![0; usize::try_from(size).unwrap_or_default()];
        self.source.read_exact(&mut text)?;
        self.position += size;
        self.unread = 0;
        self.padding = size.next_multiple_of(BLOCK) - size;
        self.skip_content()?;
        Ok(text)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        let mut name = self.extension(size, self.path_bytes as u64 + 1, "a name")?;
        if let Some(end) = name.iter().position(|byte| *byte == 0) {
            name.truncate(end);
        }
        Ok(name)
    }

    fn skip_content(&mut self) -> Result<(), TarError> {
        let mut left = self.unread.saturating_add(self.padding);
        self.position = self.position.saturating_add(left);
        (self.unread, self.padding) = (0, 0);
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            self.source.read_exact(&mut self.buffer[..length])?;
            left -= length as u64;
        }
        Ok(())
    }

    /// Reads what is behind the end: a digest of the stream covers it.
    fn drain(&mut self) -> Result<Option<Entry>, TarError> {
        loop {
            match self.source.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
