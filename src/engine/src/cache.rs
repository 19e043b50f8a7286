//! What the last plan found unchanged, so that the next one needn't parse and read it again.
//!
//! A document is settled when its bytes are those that were found unchanged at revision R and nothing that it depends
//! on was written after R. The cache is only a shortcut: a missing, old or damaged one costs a full plan, never a
//! wrong one.

use std::collections::{HashMap, HashSet};

use aegis_core::{ObjectKey, Revision};

/// A document that was found unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The object that it declares; for a host its node id.
    pub key: ObjectKey,
    /// The host's name, where the object is a host.
    pub host: Option<String>,
    /// Whether it speaks of hosts by their names, which may come to mean others.
    pub named: bool,
    /// The objects that it names, and whether the same manifests declared each.
    pub references: Vec<(ObjectKey, bool)>,
}

/// The documents of one owner that were found unchanged at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cache {
    /// The realm's revision then.
    pub revision: Revision,
    /// Whether the owner may have declared objects before that aren't among the entries: `--prune` has to ask.
    pub leftovers: bool,
    /// By the digest of a document's text.
    pub entries: HashMap<blake3::Hash, Entry>,
}

/// Of the format; another one reads as no cache.
const MAGIC: &[u8; 8] = b"aegisPC1";

/// What tells a whole cache of this version from any other bytes. Other versions may know other kinds, and find
/// something wrong with a document that this one accepts.
fn digest(body: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_derive_key("aegis plan cache");
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    for info in aegis_kinds::KINDS {
        hasher.update(b"\n").update(info.name.as_bytes());
    }
    hasher.update(b"\n").update(body).finalize()
}

impl Cache {
    /// The objects of the entries.
    pub fn keys(&self) -> HashSet<&ObjectKey> {
        self.entries.values().map(|entry| &entry.key).collect()
    }

    /// As bytes, with a digest at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.entries.len() * 96);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.revision.0.to_le_bytes());
        out.push(u8::from(self.leftovers));
        for (hash, entry) in &self.entries {
            let references = u16::try_from(entry.references.len());
            // More references than that are looked at again each time.
            let Ok(references) = references else { continue };
            out.extend_from_slice(hash.as_bytes());
            out.push(u8::from(entry.named));
            put_key(&mut out, &entry.key);
            put_text(&mut out, entry.host.as_deref().unwrap_or_default());
            out.extend_from_slice(&references.to_le_bytes());
            for (key, declared) in &entry.references {
                put_key(&mut out, key);
                out.push(u8::from(*declared));
            }
        }
        let digest = digest(&out);
        out.extend_from_slice(digest.as_bytes());
        out
    }

    /// From bytes; `None`: they are no cache of this version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, found) = bytes.split_last_chunk::<32>()?;
        if digest(body) != blake3::Hash::from_bytes(*found) {
            return None;
        }
        let mut rest = Reader(body.strip_prefix(MAGIC)?);
        let mut cache = Self {
            revision: Revision(u64::from_le_bytes(rest.take()?)),
            leftovers: rest.byte()? == 1,
            entries: HashMap::with_capacity(body.len() / 96),
        };
        while !rest.0.is_empty() {
            let hash = blake3::Hash::from_bytes(rest.take()?);
            let named = rest.byte()? == 1;
            let key = rest.key()?;
            let host = Some(rest.text()?.to_owned()).filter(|host| !host.is_empty());
            let count = u16::from_le_bytes(rest.take()?);
            let references = (0..count).map(|_| Some((rest.key()?, rest.byte()? == 1)));
            let references = references.collect::<Option<Vec<_>>>()?;
            cache.entries.insert(hash, Entry { key, host, named, references });
        }
        Some(cache)
    }
}

/// With its length.
fn put_text(out: &mut Vec<u8>, text: &str) {
    // Names are at most 253 bytes (`ObjectName`); of a longer text there is nothing to remember.
    let length = u8::try_from(text.len()).unwrap_or(0);
    out.push(length);
    out.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
}

/// The kind by its place in the table, and the name.
fn put_key(out: &mut Vec<u8>, key: &ObjectKey) {
    let kind = aegis_kinds::KINDS.iter().position(|info| info.name == key.kind);
    out.push(kind.and_then(|k| u8::try_from(k).ok()).unwrap_or(u8::MAX));
    put_text(out, &key.name);
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }
    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }
    fn text(&mut self) -> Option<&str> {
        let length = usize::from(self.byte()?);
        let (text, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        std::str::from_utf8(text).ok()
    }
    fn key(&mut self) -> Option<ObjectKey> {
        let kind = aegis_kinds::KINDS.get(usize::from(self.byte()?))?.name;
        Some(ObjectKey::new(kind, self.text()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Cache {
        let entry = |name: &str| Entry {
            key: ObjectKey::new("EdgeGroup", name),
            host: (name == "b").then(|| "web-1".to_owned()),
            named: true,
            references: vec![
                (ObjectKey::new("EdgeNode", "n-1"), false),
                (ObjectKey::new("EdgeGroup", "b"), true),
            ],
        };
        let entries = ["a", "b", "c"].map(|n| (blake3::hash(n.as_bytes()), entry(n)));
        Cache { revision: Revision(41), leftovers: true, entries: entries.into_iter().collect() }
    }

    #[test]
    fn bytes_and_back() {
        assert_eq!(Cache::from_bytes(&sample().to_bytes()), Some(sample()));
        assert_eq!(Cache::from_bytes(&Cache::default().to_bytes()), Some(Cache::default()));
    }

    #[test]
    fn damage_reads_as_no_cache() {
        let bytes = sample().to_bytes();
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1;
            assert_eq!(Cache::from_bytes(&damaged), None, "byte {index}");
            assert_eq!(Cache::from_bytes(&bytes[..index]), None, "cut at {index}");
        }
    }
}
