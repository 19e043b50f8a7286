//! The guest of the fake: what a harness says, without anything behind it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use aegis_backend::MachineExit;
use aegis_harness::{
    frame::{Decoder, Frame, Kind},
    greeting,
    message::{Command, Health, ToGuest, ToHost},
    stream,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::{mpsc, watch},
};

use super::World;

const SIGTERM: i32 = 15;

/// A guest that lives until its machine ends.
pub(super) async fn run(
    mut channel: DuplexStream,
    token: String,
    end: watch::Sender<Option<MachineExit>>,
    mut paused: watch::Receiver<bool>,
    world: Arc<World>,
) {
    let mut ended = end.subscribe();
    let live = async {
        channel.write_all(greeting(&token).as_bytes()).await.ok()?;
        let (sender, mut outgoing) = mpsc::unbounded_channel::<Frame>();
        let mut guest = Guest {
            outgoing: sender,
            end,
            world,
            serving: None,
            running: BTreeMap::new(),
            open: BTreeSet::new(),
        };
        guest.say(&ToHost::Hello { version: aegis_harness::VERSION });
        let (mut decoder, mut buffer) = (Decoder::default(), vec![0; 64 * 1024]);
        loop {
            while let Some(frame) = decoder.next_frame().ok()? {
                guest.heed(&frame);
            }
            tokio::select! {
                read = channel.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => return None,
                    Ok(count) => {
                        // A paused guest hears nothing until it runs again.
                        paused.wait_for(|paused| !*paused).await.ok()?;
                        decoder.push(&buffer[..count]);
                    }
                },
                Some(frame) = outgoing.recv() => {
                    let mut bytes = Vec::new();
                    frame.write_to(&mut bytes);
                    channel.write_all(&bytes).await.ok()?;
                }
            }
        }
    };
    let _: Option<()> = tokio::select! {
        result = live => result,
        _ = ended.wait_for(Option::is_some) => None,
    };
}

struct Guest {
    outgoing: mpsc::UnboundedSender<Frame>,
    end: watch::Sender<Option<MachineExit>>,
    world: Arc<World>,
    /// Whether connections are accepted.
    serving: Option<u32>,
    /// Processes that run, and what they do at SIGTERM.
    running: BTreeMap<u32, Vec<String>>,
    /// Connections.
    open: BTreeSet<u32>,
}

impl Guest {
    fn say(&self, message: &ToHost) {
        let body = serde_json::to_vec(message).unwrap();
        let _ = self.outgoing.send(Frame::new(Kind::Control, 0, body));
    }

    fn data(&self, stream: u32, bytes: &[u8]) {
        for piece in bytes.chunks(aegis_harness::frame::MAX_DATA) {
            let _ = self.outgoing.send(Frame::new(Kind::Data, stream, piece));
        }
    }

    fn finish(&self, stream: u32) {
        let _ = self.outgoing.send(Frame::new(Kind::End, stream, Vec::new()));
    }

    fn heed(&mut self, frame: &Frame) {
        match frame.kind {
            Kind::Control => {
                let message: ToGuest = serde_json::from_slice(&frame.body).unwrap();
                self.hear(message);
            }
            // What is written to a connection comes back.
            Kind::Data if self.open.contains(&frame.stream) => self.data(frame.stream, &frame.body),
            // What is written to `cat` comes back on its output.
            Kind::Data if frame.stream.is_multiple_of(4) => self.data(frame.stream | 1, &frame.body),
            Kind::End if frame.stream.is_multiple_of(4) => self.exit(frame.stream >> 2, 0),
            Kind::End | Kind::Reset => {
                self.open.remove(&frame.stream);
                self.finish(frame.stream);
            }
            Kind::Data | Kind::Credit => {}
        }
    }

    fn hear(&mut self, message: ToGuest) {
        match message {
            ToGuest::Setup(_) => self.say(&ToHost::Ready),
            ToGuest::Start { process, command } => self.start(process, &command),
            ToGuest::Signal { process, signal } => {
                let is_stubborn = self.running.get(&process).is_some_and(|argv| argv[0] == "stubborn");
                if signal == SIGTERM && is_stubborn {
                    return;
                }
                self.exit(process, 128 + signal);
            }
            ToGuest::Connect { connection, .. } if self.serving.is_some() => {
                self.open.insert(stream::connection(connection));
                self.say(&ToHost::Connected { connection });
            }
            ToGuest::Connect { connection, .. } => {
                self.say(&ToHost::Refused { connection, reason: "nobody listens".to_owned() });
            }
            ToGuest::Health => {
                let cpu_us = self.world.cpu_us.load(Ordering::SeqCst);
                self.say(&ToHost::Health(Health { cpu_us, ..Health::default() }));
            }
            ToGuest::Shutdown => {
                self.end.send_replace(Some(MachineExit { clean: true, reason: "powered off".to_owned() }));
            }
            _ => {}
        }
    }

    fn start(&mut self, process: u32, command: &Command) {
        self.world.environments.lock().unwrap().push(command.env.clone());
        let words: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        // A guest whose clock stands still.
        if words[0] == "frozen" {
            return;
        }
        if words[0] == "missing" {
            let reason = "missing: no such program in the image".to_owned();
            return self.say(&ToHost::NotStarted { process, code: 127, reason });
        }
        self.running.insert(process, command.argv.clone());
        self.say(&ToHost::Started { process });
        match words.as_slice() {
            ["exit", code] => self.exit(process, code.parse().unwrap()),
            ["echo", rest @ ..] => {
                self.data(stream::stdout(process), format!("{}\n", rest.join(" ")).as_bytes());
                self.exit(process, 0);
            }
            ["flood", lines] => {
                let lines: usize = lines.parse().unwrap();
                let text: Vec<String> = (0..lines).map(|line| format!("line {line}\n")).collect();
                self.data(stream::stdout(process), text.concat().as_bytes());
                self.exit(process, 0);
            }
            // What no harness says: the host ends such a guest.
            ["garbage"] => {
                let _ = self.outgoing.send(Frame::new(Kind::Credit, stream::stdout(process), vec![1]));
            }
            ["serve"] => self.serving = Some(process),
            ["crash"] => {
                let reason = "killed by signal 9".to_owned();
                self.end.send_replace(Some(MachineExit { clean: false, reason }));
            }
            ["sleep", millis] => {
                let (outgoing, time) =
                    (self.outgoing.clone(), Duration::from_millis(millis.parse().unwrap()));
                let exited = ToHost::Exited { process, code: 0, signal: None, out_of_memory: false };
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    for stream in [stream::stdout(process), stream::stderr(process)] {
                        let _ = outgoing.send(Frame::new(Kind::End, stream, Vec::new()));
                    }
                    let body = serde_json::to_vec(&exited).unwrap();
                    let _ = outgoing.send(Frame::new(Kind::Control, 0, body));
                });
            }
            // The others run until they are told to end.
            _ => {}
        }
    }

    fn exit(&mut self, process: u32, code: i32) {
        if self.running.remove(&process).is_none() {
            return;
        }
        if self.serving == Some(process) {
            self.serving = None;
        }
        self.finish(stream::stdout(process));
        self.finish(stream::stderr(process));
        self.say(&ToHost::Exited { process, code, signal: None, out_of_memory: false });
    }
}
