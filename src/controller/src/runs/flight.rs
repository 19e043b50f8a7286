//! One command on its way: to the bus, through a host's stream, and back as a result. Whatever happens to it, its run
//! hears of it exactly once.

use std::{
    fmt, mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
};

use aegis_core::{NodeId, fleet::CommandId};

use super::live::{LiveRun, Said};

/// How much output of all commands together may be on its way to those who watch, beside [`LEAST_WINDOW`] of each.
const ALL_WINDOWS: usize = 16 * 1024 * 1024;
/// Each command gets at most this part of what is left of them.
const PART: usize = 64;
/// The least that a command may send before it has to wait.
const LEAST_WINDOW: usize = 4 * 1024;
/// The most.
const LARGEST_WINDOW: usize = 256 * 1024;
/// How many bytes of the window there are for each piece of output that may wait: a piece takes room of its own.
const WINDOW_OF_PIECE: u32 = 64;

/// How many bytes of windows are given away, of all runs, beside [`LEAST_WINDOW`] of each command.
pub(super) type Aloft = Arc<AtomicUsize>;

/// A command on its way. Shared by its run, the stream that carries it, and the pieces of its output.
pub(crate) struct Flight {
    pub run: Arc<LiveRun>,
    pub target: u32,
    /// How many bytes of output may be sent before the first credit.
    pub window: u32,
    /// Whether it was signed and given to the stream.
    sent: AtomicBool,
    /// Whether its host must be told to end it.
    cancelled: AtomicBool,
    /// Whether the run waits for its result no more.
    over: AtomicBool,
    /// Bytes of output that were taken and that the host hasn't been told of.
    taken: AtomicU32,
    /// Pieces of output that nobody has taken yet.
    pieces: AtomicU32,
    /// Whether its stream took no more orders.
    congested: AtomicBool,
    aloft: Aloft,
}

impl Flight {
    pub(super) fn new(run: &Arc<LiveRun>, target: u32, aloft: &Aloft) -> Arc<Self> {
        let part =
            |given: usize| (ALL_WINDOWS.saturating_sub(given) / PART).min(LARGEST_WINDOW - LEAST_WINDOW);
        let given =
            aloft.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |given| Some(given + part(given)));
        let window = LEAST_WINDOW + part(given.unwrap_or(ALL_WINDOWS));
        Arc::new(Self {
            run: run.clone(),
            target,
            window: u32::try_from(window).unwrap_or(u32::MAX),
            sent: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            over: AtomicBool::new(false),
            taken: AtomicU32::new(0),
            pieces: AtomicU32::new(0),
            congested: AtomicBool::new(false),
            aloft: aloft.clone(),
        })
    }

    /// Its host.
    pub fn node(&self) -> &NodeId {
        &self.run.targets[self.target as usize].node_id
    }

    /// Its id.
    pub fn command(&self) -> CommandId {
        CommandId::of(&self.run.id, self.target)
    }

    /// Its host is to end it.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        self.poke();
    }

    /// Nobody waits for its result any more.
    pub(super) fn give_up(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.poke();
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Its stream took no more orders.
    pub(super) fn note_congested(&self) {
        self.congested.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_congested(&self) -> bool {
        self.congested.load(Ordering::SeqCst)
    }

    /// A piece of its output waits for those who watch.
    pub(super) fn note_piece(&self) {
        self.pieces.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether as many pieces wait as may.
    pub(super) fn is_full(&self) -> bool {
        self.pieces.load(Ordering::Acquire) >= self.most_pieces()
    }

    fn most_pieces(&self) -> u32 {
        self.window / WINDOW_OF_PIECE
    }

    /// A piece of so many bytes of its output is out of the controller's memory.
    pub(super) fn give_back(&self, bytes: u32) {
        let pieces = self.pieces.fetch_sub(1, Ordering::AcqRel);
        // What was gathered meanwhile can go on.
        if pieces == self.most_pieces() / 2 {
            self.poke();
        }
        let before = self.taken.fetch_add(bytes, Ordering::AcqRel);
        // A word for each half of the window is enough to keep it going.
        let enough = self.window / 2;
        if before < enough && before.saturating_add(bytes) >= enough {
            self.poke();
        }
    }

    /// What the host may be told of now; 0: too little for a word.
    pub fn credit(&self) -> u32 {
        if self.taken.load(Ordering::Acquire) < self.window / 2 {
            return 0;
        }
        self.taken.swap(0, Ordering::AcqRel)
    }

    /// Has its stream look at it.
    fn poke(&self) {
        if self.sent.load(Ordering::SeqCst) {
            self.run.bus.poke(self.node());
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.aloft.fetch_sub(self.window as usize - LEAST_WINDOW, Ordering::Relaxed);
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flight").field(&self.command()).finish()
    }
}

/// The duty to tell the run how its command ended. Dropped without a word, it tells that the host is gone: with a bus
/// that has no route, a queue that goes, a stream that ends.
#[derive(Debug)]
pub(crate) struct Ticket(Option<Arc<Flight>>);

impl Ticket {
    pub(super) fn new(flight: Arc<Flight>) -> Self {
        Self(Some(flight))
    }

    /// The command, if it is still to be sent. From here on its stream is told when there is something to look at.
    pub fn board(&self) -> Option<&Arc<Flight>> {
        let flight = self.0.as_ref()?;
        flight.sent.store(true, Ordering::SeqCst);
        (!flight.is_cancelled()).then_some(flight)
    }

    /// It was cancelled before it was sent.
    pub fn call_off(mut self) {
        if let Some(flight) = mem::take(&mut self.0) {
            flight.sent.store(false, Ordering::SeqCst);
            flight.run.say(Said::CalledOff { target: flight.target });
        }
    }

    /// The run has the host's result.
    pub fn land(mut self) {
        self.0 = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(flight) = &self.0 {
            let sent = flight.sent.load(Ordering::SeqCst);
            // A run that has ended doesn't wait for it.
            flight.run.say(Said::Gone { target: flight.target, sent });
        }
    }
}
