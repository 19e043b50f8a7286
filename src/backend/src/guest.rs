//! The host's side of the control channel: one handle for all that a guest can be asked.
//!
//! [`Guest::open`] checks the greeting and gives the setup; after that any clone of the handle starts processes, opens
//! connections and so on at the same time. A stream that nobody reads holds up only itself. When the channel ends,
//! all that waits for the guest ends with the reason.

mod error;
mod greeting;
mod link;
mod network;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use aegis_harness::{
    message::{Command, Health, Setup, ToGuest, WindowSize},
    stream as numbers,
};
use tokio::sync::{mpsc, oneshot};

pub use self::{
    error::GuestError,
    greeting::receive as receive_greeting,
    network::{PacketReceiver, PacketSender},
    stream::{Connection, Reader, Writer},
};
use self::{
    link::{Link, Shared},
    stream::Handle,
};
use crate::machine::Channel;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; 128 + the signal's number if one ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the guest's memory ran out on it.
    pub out_of_memory: bool,
}

/// A process in the guest. Dropping its parts doesn't end it: a dropped reader discards, a dropped writer closes.
#[derive(Debug)]
pub struct Process {
    /// Its number, for [`Guest::signal`] and [`Guest::resize`].
    pub number: u32,
    /// Its standard input, if the command asked for one.
    pub stdin: Option<Writer>,
    /// Its standard output; with a terminal, all that it shows.
    pub stdout: Reader,
    /// Its standard error; none with a terminal.
    pub stderr: Option<Reader>,
    /// Done when it has ended and all of its output was received.
    pub exit: ExitFuture,
}

/// Waits for the end of a process.
#[derive(Debug)]
pub struct ExitFuture {
    receiver: oneshot::Receiver<Exit>,
    link: Arc<Link>,
}

impl Future for ExitFuture {
    type Output = Result<Exit, GuestError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(context).map(|exit| exit.map_err(|_| self.link.why_closed()))
    }
}

/// A guest that is set up. Cheap to clone; the channel closes when the last clone, stream and process are dropped.
#[derive(Debug, Clone)]
pub struct Guest {
    link: Arc<Link>,
}

impl Guest {
    /// Checks the guest's greeting, tells it who it is and waits until it is ready, all within `limit`.
    ///
    /// A guest that booted greets first. A clone was waiting for its setup when its template was saved: it hears the new
    /// token in it and greets after that.
    pub async fn open(
        channel: Channel,
        token: &str,
        is_clone: bool,
        setup: Setup,
        limit: Duration,
    ) -> Result<Self, GuestError> {
        let opened = Self::open_unbounded(channel, token, is_clone, setup);
        tokio::time::timeout(limit, opened).await.unwrap_or(Err(GuestError::TimedOut(limit)))
    }

    async fn open_unbounded(
        mut channel: Channel,
        token: &str,
        is_clone: bool,
        mut setup: Setup,
    ) -> Result<Self, GuestError> {
        let decoder = if is_clone {
            token.clone_into(&mut setup.token);
            greeting::send(&mut channel, &ToGuest::Setup(Box::new(setup))).await?;
            greeting::receive(&mut channel, token).await?
        } else {
            let decoder = greeting::receive(&mut channel, token).await?;
            setup.token.clear();
            greeting::send(&mut channel, &ToGuest::Setup(Box::new(setup))).await?;
            decoder
        };
        let (ready, is_ready) = oneshot::channel();
        let link = Link::start(channel, decoder, ready);
        match is_ready.await {
            Ok(Ok(())) => Ok(Self { link }),
            Ok(Err(reason)) => Err(GuestError::Setup(reason)),
            Err(_) => Err(link.why_closed()),
        }
    }

    /// Starts the process that makes the instance: [`numbers::MAIN`].
    pub async fn start_main(&self, command: Command) -> Result<Process, GuestError> {
        self.start(numbers::MAIN, command).await
    }

    /// Starts one process more, under the next free number.
    pub async fn exec(&self, command: Command) -> Result<Process, GuestError> {
        self.start(self.shared().next_process(), command).await
    }

    /// Starts a process under a number that was never used.
    pub async fn start(&self, process: u32, command: Command) -> Result<Process, GuestError> {
        let shared = self.shared();
        let stdin = command.stdin.then(|| Writer::new(self.stream(numbers::stdin(process))));
        let stdout = Reader::new(self.stream(numbers::stdout(process)));
        let stderr = command.terminal.is_none().then(|| Reader::new(self.stream(numbers::stderr(process))));
        let (started, is_started) = oneshot::channel();
        let (exited, exit) = oneshot::channel();
        shared.with(|state| {
            state.starting.insert(process, started);
            state.running.insert(process, exited);
        });
        shared.control(&ToGuest::Start { process, command: Box::new(command) })?;
        match is_started.await {
            Ok(Ok(())) => {}
            Ok(Err((code, reason))) => {
                let dead = [stdin.as_ref().map(Writer::number), Some(stdout.number())];
                let dead = dead.into_iter().chain([stderr.as_ref().map(Reader::number)]).flatten();
                // The guest never had these streams: nothing is to be said about their end.
                shared.with(|state| dead.for_each(|number| drop(state.streams.remove(&number))));
                return Err(GuestError::NotStarted { code, reason });
            }
            Err(_) => return Err(self.link.why_closed()),
        }
        let exit = ExitFuture { receiver: exit, link: Arc::clone(&self.link) };
        Ok(Process { number: process, stdin, stdout, stderr, exit })
    }

    /// Opens a TCP connection to a port of the guest. Dropping it resets it; `shutdown` closes the way there and leaves the
    /// way back open.
    pub async fn connect(&self, port: u16) -> Result<Connection, GuestError> {
        let shared = self.shared();
        let number = shared.next_connection();
        let (opened, is_open) = oneshot::channel();
        // Made first: when this future is dropped half-way, so is the connection, which resets it.
        let connection = Connection::new(self.stream(numbers::connection(number)));
        shared.with(|state| state.connecting.insert(number, opened));
        shared.control(&ToGuest::Connect { connection: number, port })?;
        match is_open.await {
            Ok(Ok(())) => Ok(connection),
            Ok(Err(reason)) => {
                shared.with(|state| state.streams.remove(&numbers::connection(number)));
                Err(GuestError::Refused { port, reason })
            }
            Err(_) => Err(self.link.why_closed()),
        }
    }

    /// Sends a signal to a process and all of its group.
    pub fn signal(&self, process: u32, signal: i32) -> Result<(), GuestError> {
        self.shared().control(&ToGuest::Signal { process, signal })
    }

    /// Tells the size of a process's terminal.
    pub fn resize(&self, process: u32, size: WindowSize) -> Result<(), GuestError> {
        self.shared().control(&ToGuest::Resize { process, size })
    }

    /// Sets its clock, in nanoseconds since 1970: one that was paused is behind by as long.
    pub fn set_clock(&self, unix_ns: u64) -> Result<(), GuestError> {
        self.shared().control(&ToGuest::Clock { unix_ns })
    }

    /// Asks how the guest is.
    pub async fn health(&self) -> Result<Health, GuestError> {
        let (answer, health) = oneshot::channel();
        self.shared().with(|state| state.health.push_back(answer));
        self.shared().control(&ToGuest::Health)?;
        health.await.map_err(|_| self.link.why_closed())
    }

    /// Asks the guest to end everything and power off; [`Self::closed`] says when its channel is gone.
    pub fn shutdown(&self) -> Result<(), GuestError> {
        self.shared().control(&ToGuest::Shutdown)
    }

    /// The guest's network, packet by packet. Whoever asked last receives.
    pub fn network(&self) -> (PacketSender, PacketReceiver) {
        let (sender, receiver) = mpsc::channel(network::QUEUE);
        self.shared().with(|state| state.packets = Some(sender));
        (PacketSender::new(Arc::clone(&self.link)), receiver)
    }

    /// The lines of the harness itself, from the first on; only the first caller gets them.
    pub fn logs(&self) -> Option<mpsc::Receiver<String>> {
        self.shared().with(|state| state.log_receiver.take())
    }

    /// Waits until the channel is gone, and says why.
    pub async fn closed(&self) -> GuestError {
        self.link.closed().await
    }

    /// Whether the channel is gone.
    pub fn is_closed(&self) -> bool {
        self.shared().with(|state| state.closed.is_some())
    }

    fn shared(&self) -> &Shared {
        self.link.shared()
    }

    fn stream(&self, number: u32) -> Handle {
        Handle::open(Arc::clone(&self.link), number)
    }
}
