//! One log, as its writer sees it. What is appended is with the kernel at once: a kill of the daemon loses nothing. It is with the
//! disk when a segment is full and when the log is synced, as at the end of a task: a dead machine may lose what came after.

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use aegis_wire::runtime::LogRecord;
use tokio::sync::watch;

use super::{Query, Reader, Rotation, segment::Segment};

/// How many segments a reader may be behind. Then their room is given back under it: a terminal that somebody froze must not
/// fill the disk.
const BEHIND: usize = 64;

/// One log.
#[derive(Debug)]
pub struct Log {
    directory: PathBuf,
    rotation: Rotation,
    inner: Mutex<Inner>,
    /// How many records were appended; closed when there won't be more.
    grown: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    segments: VecDeque<Arc<Segment>>,
    removed: VecDeque<Weak<Segment>>,
    is_closed: bool,
}

impl Log {
    /// Opens the log of a directory, or makes one.
    pub(super) fn open(directory: PathBuf, rotation: Rotation) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let mut segments: VecDeque<Arc<Segment>> = Segment::all(&directory)?.into();
        if segments.is_empty() {
            segments.push_back(Arc::new(Segment::open(&directory, 1)?));
        }
        let inner = Inner { segments, removed: VecDeque::new(), is_closed: false };
        let log = Self { directory, rotation, inner: Mutex::new(inner), grown: watch::Sender::default() };
        log.drop_old(&mut log.lock());
        Ok(log)
    }

    /// Appends a record.
    pub fn append(&self, record: &LogRecord) -> io::Result<()> {
        self.append_all(std::slice::from_ref(record))
    }

    /// Appends records, all or none.
    pub fn append_all(&self, records: &[LogRecord]) -> io::Result<()> {
        let mut lines = Vec::with_capacity(records.len() * 128);
        for record in records {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        let mut inner = self.lock();
        if inner.is_closed {
            return Err(io::ErrorKind::NotFound.into());
        }
        let last = self.last(&mut inner, lines.len() as u64)?;
        last.append(&lines)?;
        drop(inner);
        self.grown.send_modify(|count| *count = count.saturating_add(records.len() as u64));
        Ok(())
    }

    /// Makes sure that all of it survives the machine.
    pub fn sync(&self) -> io::Result<()> {
        let last = self.lock().segments.back().cloned();
        last.map_or(Ok(()), |last| last.sync())
    }

    /// Reads what there is, as the query says; then, if it says so, what comes.
    pub fn read(self: &Arc<Self>, query: Query) -> Reader {
        // Subscribed before looking at what there is, so that nothing falls between.
        let grown = self.grown.subscribe();
        Reader::new(Arc::clone(self), self.lock().segments.make_contiguous(), grown, query)
    }

    /// There won't be more, and its files are about to be removed.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        for segment in &inner.segments {
            segment.file().ok();
        }
        drop(inner);
        self.grown.send_modify(|count| *count = u64::MAX);
    }

    /// The segment that has room, which may be a new one.
    fn last(&self, inner: &mut Inner, bytes: u64) -> io::Result<Arc<Segment>> {
        let last = inner.segments.back().cloned().ok_or(io::ErrorKind::NotFound)?;
        if last.len() == 0 || last.len() + bytes <= self.rotation.size {
            return Ok(last);
        }
        let next = Arc::new(Segment::open(&self.directory, last.number + 1)?);
        if let Err(error) = last.sync() {
            tracing::warn!(%error, directory = %self.directory.display(), "a log can't be synced");
        }
        last.link(Arc::clone(&next));
        inner.segments.push_back(Arc::clone(&next));
        self.drop_old(inner);
        Ok(next)
    }

    fn drop_old(&self, inner: &mut Inner) {
        while inner.segments.len() > self.rotation.count.max(1)
            && let Some(first) = inner.segments.pop_front()
        {
            inner.removed.push_back(Arc::downgrade(&first));
            if let Err(error) = first.unlink() {
                tracing::warn!(%error, directory = %self.directory.display(), "an old part of a log can't be removed");
            }
        }
        while inner.removed.len() > BEHIND
            && let Some(first) = inner.removed.pop_front()
        {
            if let Some(segment) = first.upgrade() {
                segment.cut();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
