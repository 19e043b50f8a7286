//! One who reads a log: what there is, then what comes, from the files and at its own pace.

use std::{collections::VecDeque, io, sync::Arc};

use aegis_wire::runtime::LogRecord;
use tokio::{sync::watch, task::spawn_blocking};

use super::{Log, Query, segment::Segment};

/// How much is read in one go. A longer line takes more.
const PIECE: usize = 256 * 1024;

/// Where a reader is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) segment: Arc<Segment>,
    pub(super) offset: u64,
}

impl Place {
    pub(super) fn beginning(segment: &Arc<Segment>) -> Self {
        Self { segment: Arc::clone(segment), offset: 0 }
    }

    pub(super) fn end(segment: &Arc<Segment>) -> Self {
        Self { segment: Arc::clone(segment), offset: segment.len() }
    }

    /// Reads the next records before `end`, with where they begin, and goes there. At least one if there is one.
    pub(super) fn records(&mut self, end: u64) -> io::Result<Vec<(u64, LogRecord)>> {
        let left = usize::try_from(end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let mut most = PIECE;
        let (bytes, whole) = loop {
            let bytes = self.segment.read(self.offset, most.min(left))?;
            match bytes.iter().rposition(|byte| *byte == b'\n') {
                Some(at) => break (bytes, at + 1),
                None if bytes.len() >= left => break (bytes, left),
                None => most *= 2,
            }
        };
        let mut records = Vec::new();
        for line in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(record) => records.push((self.offset, record)),
                // A machine that died may leave anything in a file.
                Err(error) => {
                    tracing::warn!(%error, segment = self.segment.number, "a record of a log is damaged");
                }
            }
            self.offset += line.len() as u64;
        }
        Ok(records)
    }
}

/// Reads a log. Nothing is left out and nothing comes twice.
#[derive(Debug)]
pub struct Reader {
    query: Query,
    grown: watch::Receiver<u64>,
    /// So that a log that nobody writes to, as of an instance that is stopped, isn't opened twice and then followed in vain.
    _log: Arc<Log>,
    /// The ends of what there was when reading began: to find the beginning in. Empty once that is found.
    there: Vec<Place>,
    place: Option<Place>,
    /// Where to stop.
    end: Option<Place>,
    ready: VecDeque<LogRecord>,
}

impl Reader {
    pub(super) fn new(
        log: Arc<Log>,
        segments: &[Arc<Segment>],
        grown: watch::Receiver<u64>,
        query: Query,
    ) -> Self {
        let there: Vec<Place> = segments.iter().map(Place::end).collect();
        let end = there.last().filter(|_| !query.follow).cloned();
        Self { query, grown, _log: log, there, place: None, end, ready: VecDeque::new() }
    }

    /// The next record that is wanted. None: there won't be more.
    pub async fn next(&mut self) -> io::Result<Option<LogRecord>> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            // Seen before looking, so that what comes after looking wakes.
            let is_closed = *self.grown.borrow_and_update() == u64::MAX;
            if self.advance().await? {
                continue;
            }
            if self.end.is_some() || is_closed || self.grown.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Records that can be had without waiting, at least one. None: there won't be more.
    pub async fn next_batch(&mut self) -> io::Result<Option<Vec<LogRecord>>> {
        let Some(first) = self.next().await? else { return Ok(None) };
        Ok(Some(std::iter::once(first).chain(self.ready.drain(..)).collect()))
    }

    /// Stops at what was appended until now: for who knows that there won't be more that matters.
    pub fn stop_following(&mut self) {
        if self.end.is_none() {
            let Some(from) = self.place.as_ref().or(self.there.last()) else { return };
            let mut last = Arc::clone(&from.segment);
            while let Some(next) = last.next() {
                last = Arc::clone(next);
            }
            self.end = Some(Place::end(&last));
        }
    }

    /// Reads on. False: there is nothing to read now. Given up in the middle, it has changed nothing.
    async fn advance(&mut self) -> io::Result<bool> {
        let (query, there) = (self.query.clone(), self.there.clone());
        let (place, end) = (self.place.clone(), self.end.clone());
        let reading = spawn_blocking(move || {
            let mut place = match place {
                Some(place) => Some(place),
                None => query.start(&there)?,
            };
            let read = place.as_mut().map_or(Ok(None), |place| step(place, end.as_ref(), &query))?;
            io::Result::Ok((place, read))
        });
        let (place, read) = reading.await.map_err(io::Error::other)??;
        self.place = place;
        self.there.clear();
        let Some(records) = read else { return Ok(false) };
        self.ready.extend(records);
        Ok(true)
    }
}

/// One step: some records, or on to the next segment. None: there is nothing now.
fn step(place: &mut Place, end: Option<&Place>, query: &Query) -> io::Result<Option<Vec<LogRecord>>> {
    // In this order: when there is a next one, the length is final.
    let next = place.segment.next().cloned();
    let length = place.segment.len();
    let is_last = end.is_some_and(|end| end.segment.number == place.segment.number);
    let length = end.filter(|_| is_last).map_or(length, |end| end.offset);
    if place.offset < length {
        let records = place.records(length)?;
        return Ok(Some(
            records.into_iter().map(|(_, record)| record).filter(|record| query.wants(record)).collect(),
        ));
    }
    match next.filter(|_| !is_last) {
        Some(next) => {
            *place = Place::beginning(&next);
            Ok(Some(Vec::new()))
        }
        None => Ok(None),
    }
}
