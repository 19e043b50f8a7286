//! QEMU's control protocol, as much of it as is used (docs/interop/qmp-spec of QEMU).

use std::{
    collections::VecDeque,
    fs::File,
    io,
    mem::MaybeUninit,
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{oneshot, watch},
};

/// No answer that we ask for is nearly as long; a QEMU that a guest took over shall not fill the daemon's memory.
const LONGEST_LINE: u64 = 1024 * 1024;

type Answer = oneshot::Sender<Result<Value, String>>;
type Waiting = Arc<Mutex<Option<VecDeque<Answer>>>>;

/// What QEMU told by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// How often its CPUs were let run.
    pub(crate) resumed: u32,
    /// Why it shuts down, such as `guest-shutdown` and `guest-reset`.
    pub(crate) shutdown: Option<String>,
}

/// A connection to one QEMU.
#[derive(Debug)]
pub(crate) struct Qmp {
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    /// Who waits, in the order in which they asked: QEMU answers in that order. None once the connection is gone.
    waiting: Waiting,
    events: watch::Receiver<Events>,
}

impl Qmp {
    /// Begins to speak. The greeting and the answer to the first command, which leaves negotiation, are waited for.
    pub(crate) async fn connect(stream: UnixStream) -> io::Result<Self> {
        let (reader, writer) = stream.into_split();
        let waiting = Waiting::new(Mutex::new(Some(VecDeque::new())));
        let (told, events) = watch::channel(Events::default());
        tokio::spawn(read(reader, Arc::clone(&waiting), told));
        let qmp = Self { writer: writer.into(), waiting, events };
        qmp.execute("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// Executes a command and gives what it returns.
    pub(crate) async fn execute(&self, command: &str, arguments: Value) -> io::Result<Value> {
        self.send(command, arguments, None).await
    }

    /// Gives QEMU a file under a name, for `fd:NAME`.
    pub(crate) async fn give(&self, name: &str, file: &File) -> io::Result<()> {
        self.send("getfd", json!({"fdname": name}), Some(file)).await.map(drop)
    }

    async fn send(&self, command: &str, arguments: Value, file: Option<&File>) -> io::Result<Value> {
        let line = format!("{}\n", json!({"execute": command, "arguments": arguments}));
        let (answer, answered) = oneshot::channel();
        {
            // Held over both, so that lines are written in the order in which their answers are waited for.
            let mut writer = self.writer.lock().await;
            lock(&self.waiting).as_mut().ok_or(io::ErrorKind::BrokenPipe)?.push_back(answer);
            let mut line = line.as_bytes();
            if let Some(file) = file {
                // The file belongs to the first byte; QEMU keeps it until a command asks for it.
                let sent = send_with_file(writer.as_ref(), &line[..1], file).await?;
                line = &line[sent..];
            }
            writer.write_all(line).await?;
        }
        match answered.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(reason)) => Err(io::Error::other(format!("qemu refused {command}: {reason}"))),
            Err(_) => {
                Err(io::Error::new(io::ErrorKind::BrokenPipe, format!("qemu ended before it did {command}")))
            }
        }
    }

    /// What it told so far.
    pub(crate) fn events(&self) -> Events {
        self.events.borrow().clone()
    }

    /// Waits until its CPUs run.
    pub(crate) async fn running(&self) -> io::Result<()> {
        let mut events = self.events.clone();
        // Asked after the event was subscribed to: either the answer or the event says so.
        if self.execute("query-status", json!({})).await?["running"] == true {
            return Ok(());
        }
        events.wait_for(|events| events.resumed > 0).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(())
    }
}

async fn send_with_file(stream: &UnixStream, bytes: &[u8], file: &File) -> io::Result<usize> {
    loop {
        stream.writable().await?;
        let sent = stream.try_io(Interest::WRITABLE, || {
            let files = [file.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(&files));
            Ok(sendmsg(stream, &[io::IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, Option<VecDeque<Answer>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(reader: OwnedReadHalf, waiting: Waiting, told: watch::Sender<Events>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(1..) if line.ends_with(b"\n") => {}
            _ => break,
        }
        let Ok(mut message) = serde_json::from_slice::<Value>(&line) else { break };
        let answer = if let Some(error) = message.get("error") {
            Err(error["desc"].as_str().unwrap_or("no reason").to_owned())
        } else if let Some(value) = message.get_mut("return") {
            Ok(value.take())
        } else {
            told.send_modify(|events| hear(events, &message));
            continue;
        };
        if let Some(asked) = lock(&waiting).as_mut().and_then(VecDeque::pop_front) {
            // Whoever asked may have gone away since.
            let _ = asked.send(answer);
        }
    }
    // Dropped senders end who waits; who comes later finds none.
    *lock(&waiting) = None;
}

fn hear(events: &mut Events, message: &Value) {
    match message["event"].as_str() {
        Some("RESUME") => events.resumed += 1,
        Some("SHUTDOWN") => events.shutdown = message["data"]["reason"].as_str().map(str::to_owned),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    async fn connected() -> (Arc<Qmp>, BufReader<UnixStream>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let connecting = tokio::spawn(Qmp::connect(ours));
        let mut theirs = BufReader::new(theirs);
        say(&mut theirs, r#"{"QMP": {"version": {}, "capabilities": []}}"#).await;
        assert_eq!(hear_command(&mut theirs).await, "qmp_capabilities");
        say(&mut theirs, r#"{"return": {}}"#).await;
        (Arc::new(connecting.await.unwrap().unwrap()), theirs)
    }

    async fn say(to: &mut BufReader<UnixStream>, line: &str) {
        to.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    }

    async fn hear_command(from: &mut BufReader<UnixStream>) -> String {
        let mut line = String::new();
        from.read_line(&mut line).await.unwrap();
        serde_json::from_str::<Value>(&line).unwrap()["execute"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn answers_go_to_who_asked_and_events_to_nobody() {
        let (qmp, mut qemu) = connected().await;
        let asking = Arc::clone(&qmp);
        let stop = tokio::spawn(async move { asking.execute("stop", json!({})).await });
        assert_eq!(hear_command(&mut qemu).await, "stop");
        let asking = Arc::clone(&qmp);
        let bad = tokio::spawn(async move { asking.execute("bad", json!({"x": 1})).await });
        assert_eq!(hear_command(&mut qemu).await, "bad");
        say(&mut qemu, r#"{"timestamp": {}, "event": "STOP"}"#).await;
        say(&mut qemu, r#"{"return": {"a": 5}}"#).await;
        say(&mut qemu, r#"{"error": {"class": "GenericError", "desc": "no such thing"}}"#).await;
        assert_eq!(stop.await.unwrap().unwrap()["a"], 5);
        assert_eq!(bad.await.unwrap().unwrap_err().to_string(), "qemu refused bad: no such thing");
        say(&mut qemu, r#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}"#).await;
        let mut events = qmp.events.clone();
        events.wait_for(|events| events.shutdown.is_some()).await.unwrap();
        assert_eq!(qmp.events().shutdown.as_deref(), Some("guest-reset"));
    }

    #[tokio::test]
    async fn the_event_is_enough_to_know_that_it_runs() {
        let (qmp, mut qemu) = connected().await;
        let waiting = Arc::clone(&qmp);
        let running = tokio::spawn(async move { waiting.running().await });
        assert_eq!(hear_command(&mut qemu).await, "query-status");
        say(&mut qemu, r#"{"event": "RESUME"}"#).await;
        say(&mut qemu, r#"{"return": {"running": false, "status": "inmigrate"}}"#).await;
        running.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn when_it_ends_all_who_wait_hear_it() {
        let (qmp, mut qemu) = connected().await;
        let asking = Arc::clone(&qmp);
        let stop = tokio::spawn(async move { asking.execute("stop", json!({})).await });
        hear_command(&mut qemu).await;
        drop(qemu);
        assert_eq!(stop.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(qmp.execute("cont", json!({})).await.is_err());
        assert!(qmp.running().await.is_err());
    }
}
