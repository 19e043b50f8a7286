//! What is shared by all handles of one channel, and the two tasks that move its bytes.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::Waker,
};

use aegis_harness::{
    frame::{self, Decoder, Frame, Kind},
    message::{Health, ToGuest, ToHost},
    stream as numbers,
};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::{Notify, mpsc, oneshot, watch},
    task::AbortHandle,
};

use super::{Exit, GuestError, greeting::encode, stream::Stream};
use crate::machine::Channel;

/// With so many bytes waiting for the channel, streams wait and packets are dropped.
const OUTGOING_SOFT: usize = 512 * 1024;
/// With so many, the guest has stopped to read and is given up: messages can't wait for room.
const OUTGOING_HARD: usize = 32 * 1024 * 1024;
/// Lines of the harness that are kept for a reader.
const LOG_LINES: usize = 1024;
/// So much is taken of a text of the guest's: it is kept, and shown in terminals.
const TEXT: usize = 2048;

type Answer<T> = oneshot::Sender<T>;
/// What became of a start; if nothing, the code and the reason.
type Start = Result<(), (i32, String)>;

/// All that changes, under one short lock.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) closed: Option<Arc<str>>,
    pub(super) streams: HashMap<u32, Stream>,
    pub(super) starting: HashMap<u32, Answer<Start>>,
    pub(super) running: HashMap<u32, Answer<Exit>>,
    pub(super) connecting: HashMap<u32, Answer<Result<(), String>>>,
    pub(super) health: VecDeque<Answer<Health>>,
    pub(super) packets: Option<mpsc::Sender<Bytes>>,
    pub(super) log_receiver: Option<mpsc::Receiver<String>>,
    ready: Option<Answer<Result<(), String>>>,
    logs: Option<mpsc::Sender<String>>,
    outgoing: Vec<u8>,
    waiting_for_room: Vec<Waker>,
}

impl State {
    /// Puts a frame in the queue.
    pub(super) fn send(&mut self, kind: Kind, stream: u32, body: &[u8]) {
        if self.closed.is_none() {
            frame::write(kind, stream, body, &mut self.outgoing);
        }
    }

    /// Whether data may be put in the queue; otherwise the waker is called when it may be.
    pub(super) fn has_room(&mut self, waker: Option<&Waker>) -> bool {
        let has_room = self.outgoing.len() < OUTGOING_SOFT || self.closed.is_some();
        if let (false, Some(waker)) = (has_room, waker)
            && !self.waiting_for_room.iter().any(|waiting| waiting.will_wake(waker))
        {
            self.waiting_for_room.push(waker.clone());
        }
        has_room
    }
}

/// The state and what wakes its tasks.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// There are bytes to write, or the channel is closed.
    outgoing: Notify,
    is_closed: watch::Sender<bool>,
    process: AtomicU32,
    connection: AtomicU32,
}

/// Keeps the channel open; the tasks hold only [`Shared`].
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Link {
    /// Starts the tasks. `decoder` has what was read already; `ready` hears what became of the setup.
    pub(super) fn start(channel: Channel, decoder: Decoder, ready: Answer<Result<(), String>>) -> Arc<Self> {
        let (logs, log_receiver) = mpsc::channel(LOG_LINES);
        let state = State {
            ready: Some(ready),
            logs: Some(logs),
            log_receiver: Some(log_receiver),
            ..State::default()
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            outgoing: Notify::new(),
            is_closed: watch::Sender::new(false),
            process: AtomicU32::new(numbers::MAIN),
            connection: AtomicU32::new(0),
        });
        let (reads, writes) = tokio::io::split(channel);
        let reader = tokio::spawn(read(Arc::clone(&shared), reads, decoder));
        let writer = tokio::spawn(write(Arc::clone(&shared), writes));
        Arc::new(Self { shared, tasks: [reader.abort_handle(), writer.abort_handle()] })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn why_closed(&self) -> GuestError {
        GuestError::Closed(
            self.shared.with(|state| state.closed.clone()).unwrap_or_else(|| "no answer".into()),
        )
    }

    pub(super) async fn closed(&self) -> GuestError {
        // The sender is in `shared`, which outlives this call: the only way out is the change.
        let _ = self.shared.is_closed.subscribe().wait_for(|is_closed| *is_closed).await;
        self.why_closed()
    }
}

impl Shared {
    /// Does something under the lock, and wakes the writer if there is something to write after it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut state);
        let (is_waiting, is_stuck) = (!state.outgoing.is_empty(), state.outgoing.len() > OUTGOING_HARD);
        drop(state);
        if is_stuck {
            self.close("it doesn't read its channel");
        } else if is_waiting {
            self.outgoing.notify_one();
        }
        result
    }

    /// Sends a message.
    pub(super) fn control(&self, message: &ToGuest) -> Result<(), GuestError> {
        let body = encode(message)?;
        self.with(|state| {
            if let Some(reason) = &state.closed {
                return Err(GuestError::Closed(Arc::clone(reason)));
            }
            state.send(Kind::Control, 0, &body);
            Ok(())
        })
    }

    pub(super) fn next_process(&self) -> u32 {
        self.process.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn next_connection(&self) -> u32 {
        self.connection.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Ends everything that waits. The first reason stays.
    fn close(&self, reason: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed.get_or_insert_with(|| reason.into());
        state.outgoing = Vec::new();
        state.waiting_for_room.drain(..).for_each(Waker::wake);
        state.streams.values_mut().for_each(Stream::wake);
        // Dropped senders end their receivers.
        state.starting.clear();
        state.running.clear();
        state.connecting.clear();
        state.health.clear();
        (state.ready, state.packets, state.logs) = (None, None, None);
        drop(state);
        self.outgoing.notify_one();
        self.is_closed.send_replace(true);
    }

    /// What a frame of the guest does. An error ends the channel.
    fn receive(&self, frame: Frame) -> Result<(), String> {
        self.with(|state| match frame.kind {
            Kind::Control => control(state, &frame.body),
            Kind::Data if frame.stream == numbers::NETWORK => {
                // Dropped when nobody takes it, as on any network.
                let _ = state.packets.as_ref().map(|packets| packets.try_send(frame.body.into()));
                Ok(())
            }
            // A stream that was given up is no longer known; what was under way then is nothing to anybody.
            kind => state
                .streams
                .get_mut(&frame.stream)
                .map_or(Ok(()), |stream| stream.receive(kind, &frame.body)),
        })
    }
}

/// What a message of the guest does.
fn control(state: &mut State, body: &[u8]) -> Result<(), String> {
    let message: ToHost =
        serde_json::from_slice(body).map_err(|error| format!("a broken message: {error}"))?;
    // Whoever asked may have gone away since: then the answer is dropped.
    match message {
        ToHost::Hello { .. } => return Err("a second hello".to_owned()),
        ToHost::Ready => drop(state.ready.take().map(|ready| ready.send(Ok(())))),
        ToHost::SetupFailed { reason } => {
            drop(state.ready.take().map(|ready| ready.send(Err(plain(&reason)))));
        }
        ToHost::Started { process } => drop(state.starting.remove(&process).map(|it| it.send(Ok(())))),
        ToHost::NotStarted { process, code, reason } => {
            state.running.remove(&process);
            drop(state.starting.remove(&process).map(|it| it.send(Err((code, plain(&reason))))));
        }
        ToHost::Exited { process, code, signal, out_of_memory } => {
            // All of its output is here: what it left open ends with it.
            for number in [numbers::stdout(process), numbers::stderr(process)] {
                if let Some(stream) = state.streams.get_mut(&number) {
                    stream.receive(Kind::End, &[])?;
                }
            }
            if let Some(stream) = state.streams.get_mut(&numbers::stdin(process)) {
                stream.receive(Kind::Reset, &[])?;
            }
            let exit = Exit { code, signal, out_of_memory };
            let _ = state.running.remove(&process).map(|it| it.send(exit));
        }
        ToHost::Connected { connection } => {
            drop(state.connecting.remove(&connection).map(|it| it.send(Ok(()))));
        }
        ToHost::Refused { connection, reason } => {
            drop(state.connecting.remove(&connection).map(|it| it.send(Err(plain(&reason)))));
        }
        ToHost::Health(health) => drop(state.health.pop_front().map(|it| it.send(health))),
        ToHost::Log { line } => drop(state.logs.as_ref().map(|logs| logs.try_send(plain(&line)))),
    }
    Ok(())
}

/// One line of text, not too long, that steers no terminal.
fn plain(text: &str) -> String {
    text.chars().take(TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

async fn read(shared: Arc<Shared>, mut channel: ReadHalf<Channel>, mut decoder: Decoder) {
    let mut bytes = vec![0; 128 * 1024];
    let reason = loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => match shared.receive(frame) {
                Ok(()) => continue,
                Err(reason) => break reason,
            },
            Ok(None) => {}
            Err(malformed) => break malformed.to_string(),
        }
        match channel.read(&mut bytes).await {
            Ok(0) => break "it closed its channel".to_owned(),
            Ok(count) => decoder.push(&bytes[..count]),
            Err(error) => break error.to_string(),
        }
    };
    shared.close(&reason);
}

async fn write(shared: Arc<Shared>, mut channel: WriteHalf<Channel>) {
    loop {
        let (bytes, is_closed) = {
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.waiting_for_room.drain(..).for_each(Waker::wake);
            (std::mem::take(&mut state.outgoing), state.closed.is_some())
        };
        if is_closed {
            return;
        }
        if bytes.is_empty() {
            shared.outgoing.notified().await;
            continue;
        }
        let written = async {
            channel.write_all(&bytes).await?;
            channel.flush().await
        };
        if let Err(error) = written.await {
            return shared.close(&error.to_string());
        }
    }
}
