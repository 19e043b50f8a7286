//! Reads what `-f` names, within bounds, and cuts it into documents.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
    ops::Range,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
};

use aegis_core::diagnostic::Diagnostic;

use super::{
    Diagnostics, Input,
    limits::{DOCUMENTS, FILE_BYTES, TOTAL_BYTES},
    parallel::in_parts,
    sniff, split, text, walk,
};

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path as given, or as found in a directory; `<stdin>`.
    pub name: Arc<str>,
    /// All of its text.
    pub text: Arc<str>,
}

/// How to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOptions {
    /// Whether the directories in a directory are read too (`-R`).
    pub recursive: bool,
    /// Whether a directory may be without manifests: for `--prune`, where it means that nothing is wished any more.
    pub allow_empty: bool,
}

/// Everything that was read, in the order in which it was named.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    sources: Vec<Source>,
}

/// One document before it is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Which of [`Sources::sources`] it is in.
    pub source: usize,
    /// Its bytes there.
    pub range: Range<usize>,
    /// The number of its first line, from 1.
    pub first_line: usize,
    /// The digest of its bytes.
    pub hash: blake3::Hash,
}

impl Sources {
    /// Reads all of `inputs`; a file that is named twice is read once. Standard input is what `stdin` yields.
    ///
    /// Errors: all that can't be read, is too large or is no text.
    pub fn read(inputs: &[Input], stdin: &mut dyn Read, options: ReadOptions) -> Result<Self, Diagnostics> {
        let mut reader = Reader { left: TOTAL_BYTES, ..Reader::default() };
        let mut stdin = Some(stdin);
        for input in inputs {
            match input {
                Input::Path(path) if path.is_dir() => reader.directory(path, options),
                Input::Path(path) => reader.file(path),
                Input::Stdin => match stdin.take() {
                    Some(stdin) => reader.stream(&input.to_string().into(), stdin, 0),
                    None => reader.found.add(|| Diagnostic::error("standard input is named twice")),
                },
            }
        }
        if reader.found.is_empty() { Ok(reader.sources) } else { Err(reader.found) }
    }

    /// Sources that are in memory already: names and texts. For tests, and for what isn't a file, such as a git tree.
    pub fn from_texts<N: Into<Arc<str>>, T: Into<Vec<u8>>>(
        texts: impl IntoIterator<Item = (N, T)>,
    ) -> Result<Self, Diagnostics> {
        let mut reader = Reader { left: TOTAL_BYTES, ..Reader::default() };
        for (name, text) in texts {
            let text = text.into();
            reader.stream(&name.into(), &mut text.as_slice(), text.len() as u64);
        }
        if reader.found.is_empty() { Ok(reader.sources) } else { Err(reader.found) }
    }

    /// What was read.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The text of a document of these sources.
    pub fn text(&self, slice: &Slice) -> &str {
        &self.sources[slice.source].text[slice.range.clone()]
    }

    /// The kind and the name of a document, read off its lines: a hint without a check.
    pub fn sniff(&self, slice: &Slice) -> (Option<&str>, Option<&str>) {
        let text = self.text(slice);
        (sniff::kind(text), sniff::name(text))
    }

    /// Cuts all that was read into documents and hashes each. Nothing is parsed.
    ///
    /// Errors: more than [`DOCUMENTS`].
    pub fn slices(&self) -> Result<Vec<Slice>, Diagnostics> {
        let mut pieces = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            pieces.extend(split(&source.text).into_iter().map(|piece| (index, piece)));
            if pieces.len() > DOCUMENTS {
                let message =
                    format!("more than {DOCUMENTS} documents, the last of them in '{}'", source.name);
                return Err(Diagnostic::error(message).help("apply them in several parts").into());
            }
        }
        let hash = |(source, piece): &(usize, split::Piece)| {
            let hash = blake3::hash(&self.sources[*source].text.as_bytes()[piece.range.clone()]);
            Slice { source: *source, range: piece.range.clone(), first_line: piece.first_line, hash }
        };
        // A hash takes less than a microsecond, a thread fifty.
        let hashed = in_parts(&pieces, 1000, |part| part.iter().map(hash).collect::<Vec<_>>());
        Ok(hashed.into_iter().flatten().collect())
    }
}

#[derive(Default)]
struct Reader {
    sources: Sources,
    found: Diagnostics,
    /// Files that were read, by device and inode.
    seen: HashSet<(u64, u64)>,
    /// How many bytes may still be read.
    left: u64,
}

impl Reader {
    fn directory(&mut self, directory: &Path, options: ReadOptions) {
        let manifests = walk::manifests(directory, options.recursive);
        if manifests.is_empty() && !options.allow_empty {
            let help = if options.recursive {
                "the names of manifests end in .yaml or .yml"
            } else {
                "the names of manifests end in .yaml or .yml; -R looks in the directories below too"
            };
            self.found
                .add(|| Diagnostic::error(format!("no manifests in '{}'", directory.display())).help(help));
        }
        for manifest in manifests {
            match manifest {
                Ok(path) => self.file(&path),
                Err((path, error)) => self.unreadable(&path.display().to_string(), &error),
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let name = path.display().to_string();
        let opened = fs::metadata(path).and_then(|metadata| Ok((metadata, File::open(path)?)));
        let (metadata, mut file) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.unreadable(&name, &error),
        };
        if !metadata.is_file() {
            // A pipe, such as a shell's <(…): its size shows while it is read.
            self.stream(&name.into(), &mut file, 0);
        } else if self.seen.insert((metadata.dev(), metadata.ino())) {
            if metadata.len() > FILE_BYTES {
                self.too_large(&name, Some(metadata.len()));
            } else {
                self.stream(&name.into(), &mut file, metadata.len());
            }
        }
    }

    /// Reads to the end. `size` is how much that is likely to be.
    fn stream(&mut self, name: &Arc<str>, from: &mut dyn Read, size: u64) {
        let most = FILE_BYTES.min(self.left);
        // One more than it takes, or the buffer is doubled only to find the end.
        let mut bytes = Vec::with_capacity(usize::try_from(size.min(most) + 1).unwrap_or(0));
        if let Err(error) = from.take(most + 1).read_to_end(&mut bytes) {
            return self.unreadable(name, &error);
        }
        let length = bytes.len() as u64;
        if length > FILE_BYTES {
            return self.too_large(name, None);
        }
        if length > self.left {
            let message = format!("more than {} MiB of manifests, with '{name}'", TOTAL_BYTES >> 20);
            return self.found.add(|| Diagnostic::error(message).help("apply them in several parts"));
        }
        self.left -= length;
        match text::check(name, bytes) {
            Ok(text) => self.sources.sources.push(Source { name: Arc::clone(name), text: text.into() }),
            Err(diagnostic) => self.found.add(|| *diagnostic),
        }
    }

    fn too_large(&mut self, name: &str, size: Option<u64>) {
        let size = size.map_or_else(String::new, |size| format!(" of {} MiB", size >> 20));
        let message =
            format!("'{name}'{size} is too large: a manifest file has at most {} MiB", FILE_BYTES >> 20);
        self.found.add(|| Diagnostic::error(message).help("split it into several files"));
    }

    fn unreadable(&mut self, name: &str, error: &io::Error) {
        let diagnostic = match error.kind() {
            io::ErrorKind::NotFound => Diagnostic::error(format!("no such file or directory: '{name}'")),
            io::ErrorKind::PermissionDenied => Diagnostic::error(format!("no permission to read '{name}'"))
                .help(format!("check who may read it: ls -ld {name}")),
            _ => Diagnostic::error(format!("can't read '{name}': {error}")),
        };
        self.found.add(|| diagnostic);
    }
}
