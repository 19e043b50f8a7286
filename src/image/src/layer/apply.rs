//! What the entries of a layer do to the tree, and which of them are refused.

use std::{
    io::{self, Read},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    Digest, ImageError, Limits, Violation,
    erofs::Contents,
    tar::{Entry, EntryKind, Reader, TarError},
    tree::{Attributes, Bounds, Kind, NodeId, ROOT, Rule, Tree, Xattrs, split},
};

const WHITEOUT: &[u8] = b".wh.";
/// What begins so says something about the directory, or is for the builder's eyes only.
const WHITEOUT_META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A layer, for messages.
#[derive(Debug, Clone, Copy)]
pub struct LayerRef {
    /// Its place, from 0, the lowest first.
    pub index: usize,
    /// Its digest.
    pub digest: Digest,
}

impl LayerRef {
    /// A refusal of the layer as a whole.
    pub fn refuse(self, rule: impl Into<String>) -> ImageError {
        self.violation(None, rule.into())
    }

    fn violation(self, entry: Option<&[u8]>, rule: String) -> ImageError {
        let entry = entry.map(|name| name[..name.len().min(200)].escape_ascii().to_string());
        ImageError::Refused(Box::new(Violation { layer: self.index + 1, digest: self.digest, entry, rule }))
    }
}

/// Why an entry ends the merge.
enum Stop {
    Rule(Rule),
    Tar(TarError),
    File(io::Error),
    Cancelled,
}

impl From<Rule> for Stop {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

impl From<TarError> for Stop {
    fn from(error: TarError) -> Self {
        Self::Tar(error)
    }
}

/// Layers on their way into one tree.
pub struct Merge<'a> {
    tree: Tree,
    contents: Contents,
    limits: &'a Limits,
    cancelled: &'a AtomicBool,
    entries: u64,
    bytes: u64,
}

impl<'a> Merge<'a> {
    /// An empty tree, whose content goes to `contents`. Once `cancelled` is set, the merge ends soon.
    pub fn new(contents: Contents, limits: &'a Limits, cancelled: &'a AtomicBool) -> Self {
        let tree = Tree::new(Bounds { path_bytes: limits.path_bytes });
        Self { tree, contents, limits, cancelled, entries: 0, bytes: 0 }
    }

    /// What came of it.
    pub fn finish(self) -> (Tree, Contents) {
        (self.tree, self.contents)
    }

    /// Puts a layer on top. The stream is read to its end.
    pub fn layer(&mut self, layer: LayerRef, stream: impl Read) -> Result<(), ImageError> {
        let stream = io::BufReader::with_capacity(64 * 1024, stream);
        let mut reader = Reader::new(stream, self.limits.path_bytes, self.limits.xattr_bytes);
        loop {
            let entry = match reader.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.error(layer, None, error.into())),
            };
            let number = u32::try_from(layer.index).unwrap_or(u32::MAX);
            self.entry(number, &entry, &mut reader)
                .map_err(|stop| self.error(layer, Some(&entry.name), stop))?;
        }
    }

    fn error(&self, layer: LayerRef, entry: Option<&[u8]>, stop: Stop) -> ImageError {
        match stop {
            Stop::Rule(Rule(rule)) => layer.violation(entry, rule),
            Stop::Tar(TarError::Broken { entry: name, rule }) => {
                layer.violation(name.as_deref().or(entry), rule)
            }
            // What the decoders say about bytes; what the system says has a number.
            Stop::Tar(TarError::Read(error)) if error.raw_os_error().is_none() => {
                layer.violation(entry, error.to_string())
            }
            Stop::Tar(TarError::Read(error)) | Stop::File(error) => {
                ImageError::file(self.contents.path())(error)
            }
            Stop::Cancelled => ImageError::Lost("the merge of layers"),
        }
    }

    fn entry<R: Read>(&mut self, layer: u32, entry: &Entry, reader: &mut Reader<R>) -> Result<(), Stop> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Stop::Cancelled);
        }
        self.count(entry)?;
        let parts = split(&entry.name, self.tree.bounds())?;
        let is_meta = |name: &&&[u8]| name.starts_with(WHITEOUT);
        if let Some(name) = parts.directories.iter().find(is_meta) {
            // `.wh..wh.plnk/…` of aufs.
            let is_ignored = name.starts_with(WHITEOUT_META);
            return if is_ignored { Ok(()) } else { Err(Rule::new("a whiteout is no directory").into()) };
        }
        let Some(last) = parts.last else { return self.root(entry) };
        if last.starts_with(WHITEOUT) {
            return self.whiteout(layer, &parts.directories, last, parts.is_absolute);
        }
        let attributes = attributes(entry);
        match entry.kind {
            EntryKind::Directory => {
                let directory = self.tree.make_directories(&parts.directories, layer)?;
                self.tree.insert(
                    directory,
                    last,
                    layer,
                    attributes,
                    Kind::Directory(std::collections::BTreeMap::new()),
                )?;
            }
            EntryKind::Symlink => {
                if entry.link.is_empty() {
                    return Err(Rule::new("a symbolic link leads nowhere").into());
                }
                let directory = self.tree.make_directories(&parts.directories, layer)?;
                let kind = Kind::Symlink(entry.link.as_slice().into());
                self.tree.insert(directory, last, layer, attributes, kind)?;
            }
            EntryKind::HardLink => {
                let target = self.link_target(&entry.link)?;
                let directory = self.tree.make_directories(&parts.directories, layer)?;
                self.tree.link(directory, last, layer, target);
            }
            EntryKind::File => {
                let directory = self.tree.make_directories(&parts.directories, layer)?;
                let content =
                    self.contents.begin(entry.size, attributes.xattrs.as_deref()).map_err(Stop::File)?;
                let content = content.ok_or_else(|| Rule::new("the image is larger than its disk"))?;
                reader.content(entry, |at, piece| {
                    self.contents.write(&content, at, piece).map_err(Stop::File)
                })?;
                self.tree.insert(directory, last, layer, attributes, Kind::File(content))?;
            }
            EntryKind::Device => return Err(Rule::new("it is a device").into()),
            EntryKind::Fifo => return Err(Rule::new("it is a named pipe").into()),
            EntryKind::Unknown(kind) => {
                return Err(Rule::new(format!("it is of the unknown type {}", kind.escape_ascii())).into());
            }
        }
        for content in self.tree.take_released() {
            self.contents.discard(&content);
        }
        Ok(())
    }

    fn count(&mut self, entry: &Entry) -> Result<(), Rule> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Rule::new(format!("the image has more than {} entries", self.limits.entries)));
        }
        if entry.size > self.limits.file_bytes {
            return Err(Rule::new(format!("it is larger than {} bytes", self.limits.file_bytes)));
        }
        self.bytes = self.bytes.saturating_add(entry.size);
        if self.bytes > self.limits.total_bytes {
            return Err(Rule::new(format!(
                "the image's files are larger than {} bytes",
                self.limits.total_bytes
            )));
        }
        Ok(())
    }

    fn root(&mut self, entry: &Entry) -> Result<(), Stop> {
        if entry.kind != EntryKind::Directory {
            return Err(Rule::new("the root can only be a directory").into());
        }
        self.tree.set_root(attributes(entry));
        Ok(())
    }

    fn whiteout(
        &mut self,
        layer: u32,
        directories: &[&[u8]],
        last: &[u8],
        is_absolute: bool,
    ) -> Result<(), Stop> {
        if is_absolute {
            return Err(Rule::new("a whiteout has an absolute name").into());
        }
        let is_opaque = last == OPAQUE;
        if last.starts_with(WHITEOUT_META) && !is_opaque {
            return Ok(());
        }
        let name = &last[WHITEOUT.len()..];
        if matches!(name, b"" | b"." | b"..") {
            return Err(Rule::new("a whiteout names nothing that can be removed").into());
        }
        if let Some(directory) = self.tree.find_directory(directories)? {
            if is_opaque {
                self.tree.clear_lower(directory, layer);
            } else {
                self.tree.remove_lower(directory, name, layer);
            }
        }
        for content in self.tree.take_released() {
            self.contents.discard(&content);
        }
        Ok(())
    }

    fn link_target(&mut self, path: &[u8]) -> Result<NodeId, Rule> {
        let of_target = |Rule(rule): Rule| Rule::new(format!("its hard link's target is refused: {rule}"));
        let parts = split(path, self.tree.bounds()).map_err(of_target)?;
        let directory = self.tree.find_directory(&parts.directories).map_err(of_target)?;
        let child =
            directory.and_then(|directory| self.tree.child(directory, parts.last.unwrap_or_default()));
        let node = child
            .map(|child| child.node)
            .ok_or_else(|| Rule::new("its hard link leads to nothing in the image"))?;
        if node == ROOT || self.tree.children(node).is_some() {
            return Err(Rule::new("its hard link leads to a directory"));
        }
        Ok(node)
    }
}

fn attributes(entry: &Entry) -> Attributes {
    // An overlay's own marks would act on the overlay that a guest mounts above the image; names outside of these
    // spaces can't be stored by EROFS.
    let is_kept = |name: &[u8]| {
        let is_space = [&b"user."[..], b"trusted.", b"security.", b"system.posix_acl_"]
            .iter()
            .any(|s| name.starts_with(s));
        let is_overlay = name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
        crate::erofs::can_store(name) && is_space && !is_overlay
    };
    let kept: Xattrs = entry
        .xattrs
        .iter()
        .filter(|(name, _)| is_kept(name))
        .map(|(name, value)| (name.as_slice().into(), value.as_slice().into()))
        .collect();
    Attributes {
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        nanoseconds: entry.nanoseconds,
        xattrs: if kept.is_empty() { None } else { Some(Box::new(kept)) },
    }
}
