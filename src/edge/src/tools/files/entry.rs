//! What a listing says of one file.

use aegis_kinds::tool::arguments::MOST_ENTRIES;
use rustix::fs::{FileType, Stat};
use serde_json::{Value, json};

use super::place::kind;

/// The entries for programs are at most so many bytes of JSON, so that with what stands around them they are within the
/// 1 MiB that a result may have. The listing for people is shorter.
const LARGEST: usize = (1 << 20) - (64 << 10);

/// `0644`
pub(super) fn octal(stat: &Stat) -> String {
    format!("{:04o}", stat.st_mode & 0o7777)
}

/// When its content was changed last: RFC 3339, to the second.
pub(super) fn modified(stat: &Stat) -> String {
    #[allow(clippy::useless_conversion, reason = "the types differ between architectures")]
    jiff::Timestamp::from_second(stat.st_mtime.into()).map(|time| time.to_string()).unwrap_or_default()
}

/// The word for its kind in JSON.
pub(super) fn word(stat: &Stat) -> &'static str {
    match kind(stat) {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        FileType::Unknown => "unknown",
    }
}

/// What it is, for programs; `name` as text, where it isn't UTF-8 with replacement characters.
pub(super) fn describe(name: &[u8], stat: &Stat, target: Option<&[u8]>) -> Value {
    let mut entry = json!({
        "name": String::from_utf8_lossy(name),
        "type": word(stat),
        "size": stat.st_size,
        "mode": octal(stat),
        "modified": modified(stat),
    });
    if let Some(target) = target {
        entry["target"] = String::from_utf8_lossy(target).into();
    }
    entry
}

/// A listing in the making, up to its limit.
pub(super) struct Listing {
    limit: usize,
    bytes: usize,
    pub entries: Vec<Value>,
    pub text: Vec<u8>,
    /// There is more than is listed.
    pub cut: bool,
}

impl Listing {
    pub fn new(limit: Option<u32>) -> Self {
        let limit = limit.unwrap_or(MOST_ENTRIES).min(MOST_ENTRIES);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, bytes: 0, entries: Vec::new(), text: Vec::new(), cut: false }
    }

    /// Adds an entry with its line. False: there is no more room.
    pub fn add(&mut self, entry: Value, line: &[u8]) -> bool {
        let bytes = entry.to_string().len() + 1;
        if self.entries.len() >= self.limit || self.bytes + bytes > LARGEST {
            self.cut = true;
            return false;
        }
        self.bytes += bytes;
        self.entries.push(entry);
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        true
    }

    /// Says at the end of the text when it was cut.
    pub fn finish(mut self) -> (Vec<Value>, Vec<u8>, bool) {
        if self.cut {
            let line = format!("(cut after {} entries)\n", self.entries.len());
            self.text.extend_from_slice(line.as_bytes());
        }
        (self.entries, self.text, self.cut)
    }
}
