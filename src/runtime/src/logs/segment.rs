//! One file of a log. Segments are linked, each to the next: a reader that holds one has all that follow, also when their files
//! were removed in the meantime.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// How much is looked at in one go for the end of the last whole line.
const PIECE: u64 = 64 * 1024;

const SUFFIX: &str = ".ndjson";

/// One file.
#[derive(Debug)]
pub struct Segment {
    pub(super) number: u64,
    path: PathBuf,
    /// Opened when it is needed: of a log that nobody reads, only the last segment is open.
    file: OnceLock<File>,
    /// Bytes of whole lines. Readers go no further.
    length: AtomicU64,
    next: OnceLock<Arc<Segment>>,
    /// Its bytes are gone: a reader was too slow for too long.
    is_cut: AtomicBool,
}

impl Segment {
    /// The segments of a directory, linked, in order.
    pub fn all(directory: &Path) -> io::Result<Vec<Arc<Self>>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            numbers.extend(
                name.to_str().and_then(|n| n.strip_suffix(SUFFIX)).and_then(|n| n.parse::<u64>().ok()),
            );
        }
        numbers.sort_unstable();
        let last = numbers.last().copied();
        let open = |number| match last {
            Some(last) if last == number => Self::open(directory, number),
            _ => Self::full(directory, number),
        };
        let segments: Vec<Arc<Self>> =
            numbers.into_iter().map(|number| open(number).map(Arc::new)).collect::<Result<_, _>>()?;
        for pair in segments.windows(2) {
            pair[0].next.set(Arc::clone(&pair[1])).ok();
        }
        Ok(segments)
    }

    /// Opens or makes a segment. A line that a crash tore is cut off.
    pub fn open(directory: &Path, number: u64) -> io::Result<Self> {
        let path = directory.join(format!("{number:08}{SUFFIX}"));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        let length = whole_lines(&file)?;
        file.set_len(length)?;
        Ok(Self::new(number, path, file.into(), length))
    }

    /// One that nothing is appended to any more.
    fn full(directory: &Path, number: u64) -> io::Result<Self> {
        let path = directory.join(format!("{number:08}{SUFFIX}"));
        let length = fs::metadata(&path)?.len();
        Ok(Self::new(number, path, OnceLock::new(), length))
    }

    fn new(number: u64, path: PathBuf, file: OnceLock<File>, length: u64) -> Self {
        let (length, next, is_cut) = (length.into(), OnceLock::new(), AtomicBool::new(false));
        Self { number, path, file, length, next, is_cut }
    }

    /// Its file, open. Once it is, its bytes are there, also when its name is gone.
    pub fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        Ok(self.file.get_or_init(|| file))
    }

    /// Appends whole lines: all of them, or none on an error. Only one may append at a time.
    pub fn append(&self, lines: &[u8]) -> io::Result<()> {
        let length = self.len();
        let file = self.file()?;
        if let Err(error) = file.write_all_at(lines, length) {
            // Half a line would be the beginning of the next one. If this fails too, the next line is written over it.
            file.set_len(length).ok();
            return Err(error);
        }
        self.length.store(length + lines.len() as u64, Ordering::Release);
        Ok(())
    }

    /// How many bytes can be read.
    pub fn len(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// Makes sure that it survives the machine.
    pub fn sync(&self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    /// The one that follows. Once there is one, the length doesn't change any more.
    pub fn next(&self) -> Option<&Arc<Self>> {
        self.next.get()
    }

    /// Says which one follows.
    pub fn link(&self, next: Arc<Self>) {
        self.next.set(next).ok();
    }

    /// Reads at most `most` bytes.
    pub fn read(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(most)];
        match self.file()?.read_exact_at(&mut bytes, offset) {
            Err(_) if self.is_cut.load(Ordering::Acquire) => {
                Err(io::Error::other("the reader was too slow for this log"))
            }
            other => other.map(|()| bytes),
        }
    }

    /// Removes the file. Who reads it goes on reading: it is open from here on, unless nobody else has it.
    pub fn unlink(self: &Arc<Self>) -> io::Result<()> {
        if Arc::strong_count(self) > 1 {
            self.file()?;
        }
        fs::remove_file(&self.path)
    }

    /// Gives its room on the disk back, though somebody still reads it.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.file().and_then(|file| file.set_len(0)).ok();
    }
}

/// How many bytes of the file are whole lines.
fn whole_lines(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
        file.read_exact_at(&mut bytes, start)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
