//! What happened in a run, for those who watch it. What is kept is told once it is on the disk; output is told as it
//! comes, and is gone then.
//!
//! Memory is bounded whoever watches how slowly: of what is kept only the newest is held here, the rest is read from the
//! store; output that nobody has taken yet counts against the host's window.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use aegis_store::Store;
use aegis_wire::{
    ApiError,
    operator::{Run, RunChange, RunEvent},
};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{flight::Flight, live::LiveRun, rows};
use crate::lock;

/// How many bytes of events are held in memory, so that whoever keeps up sees results whole.
const HELD: usize = 8 * 1024 * 1024;
/// How many bytes of output are told at once.
const TOLD_AT_ONCE: usize = 256 * 1024;

/// What happened in a run, and who watches.
pub(crate) struct Journal(Mutex<Inner>);

struct Inner {
    /// The run as it is at the moment.
    run: Run,
    /// The newest of what is kept, in order.
    held: VecDeque<Piece>,
    bytes: usize,
    /// The last event that is kept; 0: none.
    last: u64,
    watchers: Vec<mpsc::UnboundedSender<Item>>,
    over: bool,
}

/// Events that are stored, and told, together.
pub(super) struct Piece {
    pub first: u64,
    pub events: Arc<[RunEvent]>,
    pub bytes: usize,
}

/// A word to a watcher.
#[derive(Clone)]
enum Item {
    /// What is kept goes up to this event.
    Kept(u64),
    Output(Arc<Chunk>),
    /// The run can't go on.
    Failed(ApiError),
}

/// A piece of output. When the last who watches has taken it, its host may send as much again.
pub(crate) struct Chunk {
    flight: Arc<Flight>,
    stderr: bool,
    data: Bytes,
    time: Timestamp,
}

impl Chunk {
    pub(super) fn new(flight: Arc<Flight>, stderr: bool, data: Bytes, time: Timestamp) -> Self {
        flight.note_piece();
        Self { flight, stderr, data, time }
    }

    fn event(&self) -> RunEvent {
        let (target, stderr, data) = (self.flight.target, self.stderr, self.data.clone());
        RunEvent { sequence: 0, time: self.time, what: RunChange::Output { target, stderr, data } }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.flight.give_back(u32::try_from(self.data.len()).unwrap_or(u32::MAX));
    }
}

impl Journal {
    /// Of a run of which nothing is kept yet.
    pub(super) fn new(run: Run) -> Self {
        Self(Mutex::new(Inner {
            run,
            held: VecDeque::new(),
            bytes: 0,
            last: 0,
            watchers: Vec::new(),
            over: false,
        }))
    }

    /// The run as it is at the moment.
    pub fn run(&self) -> Run {
        lock(&self.0).run.clone()
    }

    /// These are on the disk; `run` is what they lead to.
    pub(super) fn keep(&self, pieces: Vec<Piece>, run: Run) {
        let mut inner = lock(&self.0);
        inner.run = run;
        for piece in pieces {
            inner.last = piece.first + piece.events.len() as u64 - 1;
            inner.bytes += piece.bytes;
            inner.held.push_back(piece);
        }
        // Whoever comes later reads the store.
        let bound = if inner.watchers.is_empty() { 0 } else { HELD };
        while inner.bytes > bound
            && let Some(oldest) = inner.held.pop_front()
        {
            inner.bytes -= oldest.bytes;
        }
        let item = Item::Kept(inner.last);
        inner.tell(&item);
    }

    /// Tells those who watch; nobody keeps it.
    pub(super) fn tell(&self, chunk: &Arc<Chunk>) {
        lock(&self.0).tell(&Item::Output(chunk.clone()));
    }

    /// Nothing more will happen.
    pub(super) fn end(&self, failure: Option<ApiError>) {
        let mut inner = lock(&self.0);
        if let Some(error) = failure {
            inner.tell(&Item::Failed(error));
        }
        inner.over = true;
        inner.watchers.clear();
    }

    /// What is held of the events from `first` on.
    fn held(&self, first: u64) -> Option<Arc<[RunEvent]>> {
        let inner = lock(&self.0);
        let at = inner.held.binary_search_by_key(&first, |piece| piece.first).ok()?;
        inner.held.get(at).map(|piece| piece.events.clone())
    }

    fn join(&self) -> (u64, Option<mpsc::UnboundedReceiver<Item>>) {
        let mut inner = lock(&self.0);
        if inner.over {
            return (inner.last, None);
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        inner.watchers.push(sender);
        (inner.last, Some(receiver))
    }
}

impl Inner {
    fn tell(&mut self, item: &Item) {
        self.watchers.retain(|watcher| watcher.send(item.clone()).is_ok());
    }
}

/// Follows a run, from its first event on.
pub(crate) struct Watcher {
    store: Arc<dyn Store>,
    source: Source,
    /// The next event of what is kept.
    next: u64,
    /// The last one that is known to be there.
    last: u64,
    items: Option<mpsc::UnboundedReceiver<Item>>,
    /// Why the run can't go on, until that is told.
    failure: Option<ApiError>,
    /// What was handed out and isn't known to be taken.
    out: Vec<Arc<Chunk>>,
}

enum Source {
    Live(Arc<LiveRun>),
    Stored(rows::Place),
}

impl Watcher {
    /// Of a run under way; until it ends, or only what is kept by now.
    pub(super) fn live(store: Arc<dyn Store>, run: Arc<LiveRun>, follow: bool) -> Self {
        let (last, items) = run.journal.join();
        let items = items.filter(|_| follow);
        Self { store, source: Source::Live(run), next: 1, last, items, failure: None, out: Vec::new() }
    }

    /// Of a run that has ended.
    pub(super) fn stored(store: Arc<dyn Store>, place: rows::Place) -> Self {
        let source = Source::Stored(place);
        Self { store, source, next: 1, last: u64::MAX, items: None, failure: None, out: Vec::new() }
    }

    /// Whether more is known to be kept than was handed out.
    pub const fn is_behind(&self) -> bool {
        self.next <= self.last
    }

    /// The next events, in order. None: that was all.
    pub async fn next(&mut self) -> Option<Result<Vec<RunEvent>, ApiError>> {
        self.out.clear();
        loop {
            if self.next <= self.last {
                match self.kept() {
                    Ok(Some(events)) => return Some(Ok(events)),
                    Ok(None) => self.last = self.next - 1,
                    Err(error) => {
                        (self.last, self.items) = (0, None);
                        return Some(Err(crate::failed(error)));
                    }
                }
                continue;
            }
            if let Some(error) = self.failure.take() {
                return Some(Err(error));
            }
            match self.items.as_mut()?.recv().await? {
                Item::Kept(last) => self.last = last,
                Item::Output(chunk) => return Some(Ok(self.output(chunk))),
                Item::Failed(error) => return Some(Err(error)),
            }
        }
    }

    /// The events at [`Self::next`]; none: there are none.
    fn kept(&mut self) -> Result<Option<Vec<RunEvent>>, aegis_store::StoreError> {
        let events = match &self.source {
            Source::Live(run) => match run.journal.held(self.next) {
                Some(held) => Some(held.to_vec()),
                None => rows::read(&*self.store, &rows::Place::of(run), self.next)?,
            },
            Source::Stored(place) => rows::read(&*self.store, place, self.next)?,
        };
        self.next += events.as_ref().map_or(0, |events| events.len() as u64);
        Ok(events)
    }

    /// This piece of output and those that wait behind it, up to the next thing that is kept: a host's result comes
    /// after all that it printed.
    fn output(&mut self, first: Arc<Chunk>) -> Vec<RunEvent> {
        let mut bytes = first.data.len();
        let mut events = vec![first.event()];
        self.out.push(first);
        while bytes < TOLD_AT_ONCE
            && let Some(Ok(item)) = self.items.as_mut().map(mpsc::UnboundedReceiver::try_recv)
        {
            match item {
                Item::Output(chunk) => {
                    bytes += chunk.data.len();
                    events.push(chunk.event());
                    self.out.push(chunk);
                }
                Item::Kept(last) => {
                    self.last = last;
                    break;
                }
                Item::Failed(error) => {
                    self.failure = Some(error);
                    break;
                }
            }
        }
        events
    }

    /// As a stream.
    pub fn into_stream(self) -> impl futures::Stream<Item = Result<Vec<RunEvent>, ApiError>> + Send {
        futures::stream::unfold(self, |mut watcher| async move {
            let events = watcher.next().await?;
            Some((events, watcher))
        })
    }
}
