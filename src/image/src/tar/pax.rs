//! Extended headers: what doesn't fit the header of an entry.

use super::{
    TarError,
    header::id,
    sparse::{Map, decimal},
};

const XATTR: &[u8] = b"SCHILY.xattr.";

/// What the headers before an entry said about it.
#[derive(Debug, Default)]
pub struct Extension {
    /// The name.
    pub path: Option<Vec<u8>>,
    /// What a link leads to.
    pub link: Option<Vec<u8>>,
    /// The length of the data.
    pub size: Option<u64>,
    /// The owner.
    pub uid: Option<u32>,
    /// The owning group.
    pub gid: Option<u32>,
    /// Seconds and nanoseconds since 1970.
    pub mtime: Option<(u64, u32)>,
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// What is said about holes.
    pub sparse: Sparse,
}

/// The keys `GNU.sparse.*`.
#[derive(Debug, Default)]
pub struct Sparse {
    /// The real name: the entry has a made-up one, for readers that don't know sparse files.
    pub name: Option<Vec<u8>>,
    /// The real size.
    pub size: Option<u64>,
    major: Option<u64>,
    numbers: Option<Vec<u64>>,
}

impl Sparse {
    /// Whether the map stands at the start of the content (1.0).
    pub fn is_in_content(&self) -> bool {
        self.major == Some(1)
    }

    /// The map that stood in the header (0.0 and 0.1).
    pub fn map(&self) -> Result<Option<Map>, TarError> {
        match (&self.numbers, self.size) {
            (None, _) => Ok(None),
            (Some(_), None) => Err(TarError::broken("its sparse map has no size")),
            (Some(numbers), Some(size)) => Map::new(size, numbers).map(Some),
        }
    }

    fn push(&mut self, value: u64) {
        // The header's length bounds how many there can be.
        self.numbers.get_or_insert_default().push(value);
    }
}

impl Extension {
    /// Takes the records of one header: `LENGTH KEY=VALUE\n` each.
    pub fn merge_pax(&mut self, mut text: &[u8], xattr_bytes: usize) -> Result<(), TarError> {
        let wrong = || TarError::broken("an extended header can't be read");
        let mut xattr_sum: usize = self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        while !text.is_empty() && text[0] != 0 {
            let space =
                text.iter().position(|byte| *byte == b' ').filter(|at| *at <= 20).ok_or_else(wrong)?;
            let length = usize::try_from(decimal(&text[..space])?).map_err(|_| wrong())?;
            let record = text
                .get(space + 1..length)
                .and_then(|record| record.strip_suffix(b"\n"))
                .ok_or_else(wrong)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            if let Some(name) = key.strip_prefix(XATTR) {
                xattr_sum += name.len() + value.len();
                if xattr_sum > xattr_bytes {
                    return Err(TarError::broken(format!(
                        "its attributes are longer than {xattr_bytes} bytes"
                    )));
                }
                self.xattrs.retain(|(known, _)| known != name);
                self.xattrs.push((name.to_owned(), value.to_owned()));
            } else {
                self.set(key, value)?;
            }
            text = &text[length..];
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        // An empty value takes back what an earlier header said.
        let is_set = !value.is_empty();
        let owned = || is_set.then(|| value.to_owned());
        match key {
            b"path" => self.path = owned(),
            b"linkpath" => self.link = owned(),
            b"size" => self.size = is_set.then(|| decimal(value)).transpose()?,
            b"uid" => self.uid = is_set.then(|| number(value, "owner")).transpose()?,
            b"gid" => self.gid = is_set.then(|| number(value, "group")).transpose()?,
            b"mtime" => self.mtime = is_set.then(|| time(value)).transpose()?,
            b"GNU.sparse.name" => self.sparse.name = owned(),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.size = Some(decimal(value)?),
            b"GNU.sparse.major" => self.sparse.major = Some(decimal(value)?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse.push(decimal(value)?),
            b"GNU.sparse.map" => {
                for value in value.split(|byte| *byte == b',').filter(|value| !value.is_empty()) {
                    self.sparse.push(decimal(value)?);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn number(value: &[u8], what: &str) -> Result<u32, TarError> {
    let value = decimal(value)?;
    id(i64::try_from(value).unwrap_or(i64::MAX), what)
}

/// A time with a fraction: `1700000000.25`. Digits beyond nanoseconds are cut; times before 1970 count as 1970.
fn time(value: &[u8]) -> Result<(u64, u32), TarError> {
    let is_negative = value.starts_with(b"-");
    let value = value.strip_prefix(b"-").unwrap_or(value);
    let dot = value.iter().position(|byte| *byte == b'.');
    let (seconds, fraction) = dot.map_or((value, &[][..]), |dot| (&value[..dot], &value[dot + 1..]));
    let seconds = decimal(seconds)?;
    let mut digits = [b'0'; 9];
    for (digit, byte) in digits.iter_mut().zip(fraction) {
        *digit = *byte;
    }
    let nanoseconds = u32::try_from(decimal(&digits)?).unwrap_or_default();
    Ok(if is_negative { (0, 0) } else { (seconds, nanoseconds) })
}
