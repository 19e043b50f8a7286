//! What `docker save` and `podman save` make: a tar file with `manifest.json`, a configuration and layers.

use std::{
    collections::BTreeMap,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use serde::Deserialize;

use super::{
    layout::bounded,
    local::{Section, import, keep_manifest},
};
use crate::{
    Digest, ImageError, Limits,
    blobs::Blobs,
    layer::Compression,
    manifest::{Manifest, parse},
    tar::{EntryKind, Reader, TarError},
};

/// The most members of an archive: far more than the layers that an image may have.
const MEMBERS: usize = 20_000;
/// Old archives have links from a layer to an equal one.
const MOST_LINKS: usize = 10;

/// An archive whose members are known.
pub struct Archive {
    path: PathBuf,
    file: Arc<File>,
    members: BTreeMap<String, Member>,
}

enum Member {
    File { offset: u64, length: u64 },
    Link(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Archive {
    /// Reads what is in the archive.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                ImageError::NotFound { reference: "archive".to_owned(), place: path.display().to_string() }
            }
            _ => ImageError::file(path)(error),
        })?;
        let wrong = |reason: String| ImageError::malformed(path.display().to_string(), reason);
        let mut reader = BufReader::new(&file);
        let mut start = [0; 4];
        let length =
            std::os::unix::fs::FileExt::read_at(&file, &mut start, 0).map_err(ImageError::file(path))?;
        let compression = Compression::of_magic(&start[..length]);
        if compression != Compression::Plain {
            return Err(wrong(format!(
                "the archive is compressed with {}: decompress it first",
                compression.name()
            )));
        }
        let mut members = BTreeMap::new();
        let mut tar = Reader::new(&mut reader, 4_095, 65_536);
        let broken = |error: TarError| match error {
            TarError::Read(error) => ImageError::file(path)(error),
            TarError::Broken { rule, .. } => wrong(rule),
        };
        while let Some(entry) = tar.next_entry().map_err(broken)? {
            let name = clean(&entry.name, "");
            let member = match entry.kind {
                EntryKind::File => Member::File { offset: tar.content_position(), length: entry.size },
                EntryKind::Symlink => Member::Link(clean(&entry.link, &name)),
                EntryKind::HardLink => Member::Link(clean(&entry.link, "")),
                _ => continue,
            };
            members.insert(name, member);
            if members.len() > MEMBERS {
                return Err(wrong(format!("it has more than {MEMBERS} members")));
            }
        }
        Ok(Self { path: path.to_owned(), file: Arc::new(file), members })
    }

    /// Takes the image with this name, or the only one: its manifest, which is kept with all that it names.
    pub fn import(
        &self,
        name: Option<&str>,
        blobs: &Blobs,
        limits: &Limits,
        cancelled: &AtomicBool,
    ) -> Result<(Digest, Manifest), ImageError> {
        let text = self.document("manifest.json", limits.document_bytes)?;
        let entries: Vec<Entry> = parse(&format!("manifest.json of {}", self.path.display()), &text)?;
        let entry = self.select(&entries, name)?;
        if entry.layers.len() > limits.layers {
            return Err(self.wrong(format!("the image has more than {} layers", limits.layers)));
        }
        let config = self.document(&entry.config, limits.document_bytes)?;
        let config = (blobs.keep(&config)?, config.len() as u64);
        let layers = entry.layers.iter().map(|layer| import(blobs, &self.section(layer)?, limits, cancelled));
        let layers = layers.collect::<Result<Vec<_>, ImageError>>()?;
        keep_manifest(blobs, Manifest::new(config, layers))
    }

    fn select<'e>(&self, entries: &'e [Entry], name: Option<&str>) -> Result<&'e Entry, ImageError> {
        let tags = |entry: &Entry| entry.repo_tags.clone().unwrap_or_default();
        match (name, entries) {
            (None, [only]) => Ok(only),
            (None, _) => {
                let all: Vec<String> = entries.iter().flat_map(tags).take(20).collect();
                Err(self.wrong(format!("it has {} images; name one: {}", entries.len(), all.join(", "))))
            }
            (Some(name), entries) => {
                let fits = |tag: &String| tag == name || *tag == format!("{name}:latest");
                let found = entries.iter().find(|entry| tags(entry).iter().any(fits));
                let place = self.path.display().to_string();
                found.ok_or_else(|| ImageError::NotFound { reference: name.to_owned(), place })
            }
        }
    }

    fn document(&self, name: &str, most: u64) -> Result<Vec<u8>, ImageError> {
        bounded(self.section(name)?, &self.path, most)
    }

    fn section(&self, name: &str) -> Result<Section, ImageError> {
        let mut name = clean(name.as_bytes(), "");
        for _ in 0..MOST_LINKS {
            match self.members.get(&name) {
                Some(Member::Link(target)) => name.clone_from(target),
                Some(Member::File { offset, length }) => {
                    let (file, path) = (self.file.clone(), self.path.clone());
                    return Ok(Section { file, path, offset: *offset, length: *length });
                }
                None => break,
            }
        }
        Err(self.wrong(format!("it has no {name}")))
    }

    fn wrong(&self, reason: String) -> ImageError {
        ImageError::malformed(self.path.display().to_string(), reason)
    }
}

/// A member's name without dots; that of a link's target begins where the link is.
fn clean(name: &[u8], link: &str) -> String {
    let name = String::from_utf8_lossy(name);
    let from = if name.starts_with('/') { "" } else { link };
    let mut parts: Vec<&str> = from.split('/').filter(|part| !part.is_empty()).collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
