//! `POST /v1/instances/{id}/exec`: a command inside, with what goes in and what comes out on one exchange.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aegis_backend::{
    Guest, GuestError,
    guest::{Process, Writer},
};
use aegis_core::instance::Use;
use aegis_harness::message::{Command, WindowSize};
use aegis_wire::runtime::{Exec, ExecInput, LogRecord, Record, RuntimeError, Source, StreamName};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{io::AsyncWriteExt, task::JoinHandle};

use super::{
    call::{Answer, Body, Call, Content, read},
    instances::find,
    stream::{Lines, lines},
};
use crate::{
    guests::environment,
    id,
    instances::{Handle, Lease, unmet},
    journal::Journal,
    output::{Sink, pump},
    state::{Daemon, check_command},
};

/// The longest line of input: 1 MiB of bytes in base64, with room.
const LONGEST_LINE: usize = 2 * 1024 * 1024;
/// Between SIGTERM and SIGKILL for a command whose client is gone.
const GRACE: Duration = Duration::from_secs(2);
/// How long the rest of the output is waited for; a child may hold the pipe for ever.
const REST_OF_OUTPUT: Duration = Duration::from_secs(2);
/// How long a client that has heard the end may go on writing.
const REST_OF_INPUT: Duration = Duration::from_secs(1);
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

pub(super) async fn exec(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let handle = find(&daemon, &call)?;
    let has_input = call.content == Content::Lines;
    let (wish, input) = match call.body {
        Body::Whole(bytes) => (read::<Exec>(&bytes)?, None),
        Body::Stream(body) => {
            let mut input = Input { body, buffer: Vec::new() };
            let first =
                input.line().await?.ok_or_else(|| RuntimeError::bad_request("there is no command"))?;
            (read::<Exec>(&first)?, Some(input))
        }
    };
    check_command(&wish.command)?;
    let identity = handle.identity.clone();
    let mut env: BTreeMap<String, String> =
        environment(&daemon.secrets, identity.app.as_ref(), &identity.run)?;
    env.extend(wish.env);
    let lease = handle.lease(Use::Exec).await.map_err(|error| unmet(handle.id(), &error))?;
    let guest = handle
        .guest()
        .ok_or_else(|| RuntimeError::conflict(format!("instance {} is being stopped", handle.id())))?;
    let command = Command {
        argv: wish.command,
        env,
        directory: None,
        stdin: has_input,
        terminal: wish.terminal.map(|(rows, columns)| WindowSize { rows, columns }),
    };
    let (lines, answer) = lines();
    let running = Running {
        id: id::new("exec", daemon.clock.now()),
        journal: daemon.journal(handle.id()),
        daemon,
        handle,
        guest,
        lines,
        lease,
    };
    // It has a task of its own: a command whose client leaves is ended in good order.
    tokio::spawn(running.run(command, input));
    Ok(answer)
}

struct Running {
    id: String,
    daemon: Arc<Daemon>,
    handle: Handle,
    guest: Guest,
    journal: Journal,
    lines: Lines,
    /// Keeps the instance awake.
    lease: Lease,
}

/// Output goes to the client and into the instance's log. A client that is gone doesn't end the log.
#[derive(Clone)]
struct Both {
    journal: Journal,
    lines: Lines,
}

impl Sink for Both {
    async fn take(&mut self, records: Vec<LogRecord>) -> bool {
        self.journal.take(records.clone()).await;
        self.lines.take(records).await;
        true
    }
}

impl Running {
    async fn run(self, command: Command, input: Option<Input>) {
        self.lines.send(&Record::Header { id: self.id.clone(), kind: "exec".to_owned() }).await;
        let mut started = self.guest.exec(command).await;
        let (stdin, to) = match &mut started {
            Ok(process) => (process.stdin.take(), Some((self.guest.clone(), process.number))),
            // Nobody hears what goes to a command that didn't start; it is read for the client's sake.
            Err(_) => (None, None),
        };
        let mut feeding = input.map(|input| tokio::spawn(feed(input, stdin, to)));
        let (exit_code, error) = match started {
            Ok(process) => self.follow(process, feeding.as_mut()).await,
            Err(GuestError::NotStarted { code, reason }) => (code, Some(reason)),
            Err(GuestError::Closed(_)) => stopped(),
            Err(other) => (-1, Some(other.to_string())),
        };
        self.lines.send(&Record::Done { exit_code, done: true, error }).await;
        drop(self.lease);
        if let Some(feeding) = feeding.filter(|feeding| !feeding.is_finished()) {
            // Hung up on while it still writes, a client loses what it hasn't read yet.
            let stop = feeding.abort_handle();
            let rest = async {
                tokio::select! { _ = feeding => {}, () = self.lines.closed() => {} }
            };
            let _ = tokio::time::timeout(REST_OF_INPUT, rest).await;
            stop.abort();
        }
    }

    async fn follow(&self, process: Process, feeding: Option<&mut JoinHandle<End>>) -> (i32, Option<String>) {
        let Process { number, stdout, stderr, mut exit, .. } = process;
        let sink = Both { journal: self.journal.clone(), lines: self.lines.clone() };
        let pumped = |stream| {
            let (id, clock) = (Some(self.id.clone()), self.daemon.clock.clone());
            let sink = sink.clone();
            move |reader| tokio::spawn(pump(reader, stream, Source::Exec, id, clock, sink))
        };
        let mut output = vec![pumped(StreamName::Stdout)(stdout)];
        output.extend(stderr.map(pumped(StreamName::Stderr)));
        let broken = async {
            let end = match feeding {
                Some(feeding) => feeding.await.ok(),
                None => None,
            };
            if !matches!(end, Some(End::Broken)) {
                std::future::pending::<()>().await;
            }
        };
        let mut stopping = self.handle.watch_guest();
        let ended = tokio::select! {
            biased;
            exit = &mut exit => match exit {
                Ok(exit) => (exit.code, exit.out_of_memory.then(|| "the guest's memory ran out".to_owned())),
                Err(_) => stopped(),
            },
            // An error: the instance is gone.
            () = async { drop(stopping.wait_for(Option::is_none).await) } => stopped(),
            // The client is gone: as long as it may still write, only its input tells.
            () = async { tokio::select! { () = self.lines.closed() => {}, () = broken => {} } } => {
                self.end(number, &mut exit).await;
                (-1, None)
            }
        };
        // What isn't there by then belongs to a process that was left behind.
        let _ = tokio::time::timeout(REST_OF_OUTPUT, futures::future::join_all(output)).await;
        ended
    }

    /// Ends a command that nobody listens to.
    async fn end(&self, number: u32, exit: &mut (impl Future + Unpin)) {
        for signal in [SIGTERM, SIGKILL] {
            if self.guest.signal(number, signal).is_err()
                || tokio::time::timeout(GRACE, &mut *exit).await.is_ok()
            {
                return;
            }
        }
    }
}

fn stopped() -> (i32, Option<String>) {
    (-1, Some("the instance was stopped".to_owned()))
}

/// How a client's input ends.
enum End {
    /// It has no more.
    Whole,
    /// The client is gone.
    Broken,
}

/// Hands the client's input to the command, as fast as it takes it.
async fn feed(mut input: Input, mut stdin: Option<Writer>, to: Option<(Guest, u32)>) -> End {
    loop {
        let line = match input.line().await {
            Ok(Some(line)) => line,
            Ok(None) => return End::Whole,
            Err(_) => return End::Broken,
        };
        let Some((guest, number)) = &to else { continue };
        let Ok(record) = serde_json::from_slice::<ExecInput>(&line) else { continue };
        match record {
            ExecInput::Stdin(text) => {
                let Ok(bytes) = BASE64_STANDARD.decode(text) else { continue };
                if let Some(writer) = &mut stdin
                    && (writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err())
                {
                    // It reads no more; resizes and signals are still for it.
                    stdin = None;
                }
            }
            ExecInput::Eof(_) => stdin = None,
            // One that has just ended hears nothing.
            ExecInput::Resize(rows, columns) => drop(guest.resize(*number, WindowSize { rows, columns })),
            ExecInput::Signal(signal) => drop(guest.signal(*number, signal)),
        }
    }
}

/// A body, line by line.
struct Input {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Input {
    async fn line(&mut self) -> Result<Option<Vec<u8>>, RuntimeError> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(searched + at + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                return Ok(Some(line));
            }
            searched = self.buffer.len();
            if searched > LONGEST_LINE {
                return Err(RuntimeError::too_large(format!("a line is longer than {LONGEST_LINE} bytes")));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    return Err(RuntimeError::bad_request(format!("the body broke off: {error}")));
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(std::mem::take(&mut self.buffer))),
            }
        }
    }
}
