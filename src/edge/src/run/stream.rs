//! What the daemon sends, and how a stream begins and ends.

use std::{collections::VecDeque, time::Duration};

use aegis_core::session::{Input, SILENCE_LIMIT};
use aegis_wire::edge::Event;
use tokio::time::Instant;

use super::{
    daemon::Running,
    link::{Link, Outgoing, QUEUE},
    session::Session,
};

/// How long what was sent last may take to arrive when a stream is closed.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// While so many events wait for room, nothing is read that could ask for more.
const MOST: usize = 64;
/// Pieces of output and results are only sent while fewer than so many events wait for the network: what waits behind
/// them isn't held up, and nothing is signed long before it leaves, since an envelope may be 30 s old at most.
const AHEAD: usize = 4;

/// Events that wait for room, in their order. All are small: output and results are taken from the tools when there is
/// room for them, and not before.
pub(super) struct Outbox {
    events: VecDeque<Event>,
    /// When the stream last took something.
    moved: Instant,
}

impl Outbox {
    pub fn new() -> Self {
        Self { events: VecDeque::new(), moved: Instant::now() }
    }
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
    /// Whether so much waits that nothing more is to be asked for.
    pub fn is_full(&self) -> bool {
        self.events.len() >= MOST
    }
    /// Whether a heartbeat waits, since when the stream has taken nothing.
    fn waiting_heartbeat(&self) -> Option<Instant> {
        let waits = self.events.iter().any(|event| matches!(event, Event::Heartbeat { .. }));
        waits.then_some(self.moved)
    }
}

/// Waits for room for the next event; for ever, while there is no stream.
pub(super) async fn room(outgoing: Option<&Outgoing>) {
    match outgoing {
        Some(outgoing) => outgoing.room(1).await,
        None => std::future::pending().await,
    }
}

/// Waits until output may be sent; not at all while there is no stream, since then it is dropped.
pub(super) async fn room_for_output(outgoing: Option<&Outgoing>) {
    if let Some(outgoing) = outgoing {
        outgoing.room(QUEUE - AHEAD + 1).await;
    }
}

impl Running {
    /// Begins the stream with Hello.
    pub(super) fn hello(&mut self) -> Option<Input> {
        let (link, connection) = (self.link.as_mut()?, self.connection.take()?);
        let mut session = Session::new(self.deps.random.id(), &self.identity);
        let hello =
            Event::Hello { node_token: self.identity.token.clone(), capabilities: self.capabilities.clone() };
        match session.seal(&self.identity, &hello, self.deps.clock.now_ms()) {
            Ok(envelope) => link.open(connection, envelope),
            Err(error) => {
                self.fail(&error.to_string());
                return Some(Input::StreamEnded);
            }
        }
        (self.session, self.welcomed, self.hello_at) = (Some(session), false, Instant::now());
        self.renewal_asked = None;
        self.contexts.begin_stream();
        None
    }

    /// Still here. A stream that has taken nothing for so long that the other side gave it up is over.
    pub(super) fn heartbeat(&mut self) -> Option<Input> {
        self.look_at_identity();
        match self.outbox.waiting_heartbeat() {
            Some(moved) if moved.elapsed() >= SILENCE_LIMIT => {
                self.fail("the stream takes nothing more");
                Some(Input::StreamEnded)
            }
            Some(_) => None,
            None => {
                let in_flight = u32::try_from(self.work.in_flight()).unwrap_or(u32::MAX);
                self.send(Event::Heartbeat { draining: self.draining, in_flight })
            }
        }
    }

    /// Sends an event on the stream that is open, as soon as there is room.
    pub(super) fn send(&mut self, event: Event) -> Option<Input> {
        self.session.as_ref()?;
        self.outbox.events.push_back(event);
        self.flush()
    }

    /// Sends what waits, as far as there is room. Signed is only what leaves.
    pub(super) fn flush(&mut self) -> Option<Input> {
        while let (Some(session), Some(link)) = (&mut self.session, &self.link)
            && link.outgoing().is_some_and(|outgoing| outgoing.has_room())
            && let Some(event) = self.outbox.events.pop_front()
        {
            let sealed = session.seal(&self.identity, &event, self.deps.clock.now_ms());
            if !sealed.is_ok_and(|envelope| link.send(envelope).is_ok()) {
                self.fail("the stream takes nothing more");
                return Some(Input::StreamEnded);
            }
            self.outbox.moved = Instant::now();
        }
        None
    }

    /// Gives the stream up.
    pub(super) fn fail(&mut self, why: &str) -> Vec<Input> {
        tracing::error!("{why}; the stream is given up");
        self.reporter.failed(why);
        self.hang_up();
        vec![Input::StreamEnded]
    }

    /// Forgets the stream, and ends what it asked for.
    pub(super) fn hang_up(&mut self) {
        self.let_go();
    }

    /// As [`Running::hang_up`], but gives the link to whoever wants to close it well.
    pub(super) fn let_go(&mut self) -> Option<Link> {
        (self.connection, self.session, self.welcomed) = (None, None, false);
        self.outbox = Outbox::new();
        self.work.abandon();
        self.link.take()
    }

    /// Sends what waits and closes the stream, within its time.
    pub(super) async fn close(&mut self) {
        let close = async {
            while !self.outbox.is_empty() && self.session.is_some() {
                room(self.link.as_ref().and_then(Link::outgoing).as_ref()).await;
                self.flush();
            }
            if let Some(link) = self.link.take() {
                link.close().await;
            }
        };
        // The controller answers our end of the stream with its own; if not, we don't wait for it.
        let _ = tokio::time::timeout(CLOSE_WITHIN, close).await;
    }
}
