//! The channel against a scripted guest.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{collections::BTreeMap, time::Duration};

use aegis_harness::{
    frame::{self, Decoder, Frame, Kind, MAX_DATA},
    greeting,
    message::{Command, Health, Setup, ToGuest, ToHost},
    stream::{self as numbers, WINDOW},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const TOKEN: &str = "0123456789abcdef";
const LIMIT: Duration = Duration::from_secs(30);

/// The guest's side, frame by frame.
struct Peer {
    channel: DuplexStream,
    decoder: Decoder,
}

impl Peer {
    async fn send(&mut self, kind: Kind, stream: u32, body: &[u8]) {
        let mut bytes = Vec::new();
        frame::write(kind, stream, body, &mut bytes);
        self.channel.write_all(&bytes).await.unwrap();
    }

    async fn say(&mut self, message: &ToHost) {
        self.send(Kind::Control, 0, &serde_json::to_vec(message).unwrap()).await;
    }

    async fn next(&mut self) -> Frame {
        let mut bytes = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return frame;
            }
            let count = tokio::time::timeout(LIMIT, self.channel.read(&mut bytes)).await.unwrap().unwrap();
            assert!(count > 0, "the host closed the channel");
            self.decoder.push(&bytes[..count]);
        }
    }

    async fn hear(&mut self) -> ToGuest {
        let frame = self.next().await;
        assert_eq!(frame.kind, Kind::Control);
        serde_json::from_slice(&frame.body).unwrap()
    }

    async fn greet(&mut self, token: &str) {
        self.channel.write_all(greeting(token).as_bytes()).await.unwrap();
        self.say(&ToHost::Hello { version: aegis_harness::VERSION }).await;
    }
}

fn ends() -> (Channel, Peer) {
    let (ours, theirs) = duplex(64 * 1024);
    (Box::new(ours), Peer { channel: theirs, decoder: Decoder::default() })
}

async fn open() -> (Guest, Peer) {
    let (channel, mut peer) = ends();
    let guest = tokio::spawn(Guest::open(channel, TOKEN, false, Setup::default(), LIMIT));
    peer.greet(TOKEN).await;
    assert!(matches!(peer.hear().await, ToGuest::Setup(_)));
    peer.say(&ToHost::Ready).await;
    (guest.await.unwrap().unwrap(), peer)
}

fn sh() -> Command {
    Command { argv: vec!["sh".into()], env: BTreeMap::new(), stdin: true, ..Command::default() }
}

async fn start(guest: &Guest, peer: &mut Peer) -> Process {
    let handle = guest.clone();
    let started = tokio::spawn(async move { handle.exec(sh()).await });
    let ToGuest::Start { process, .. } = peer.hear().await else { panic!("no start") };
    peer.say(&ToHost::Started { process }).await;
    started.await.unwrap().unwrap()
}

async fn connect(guest: &Guest, peer: &mut Peer) -> (Connection, u32) {
    let handle = guest.clone();
    let opened = tokio::spawn(async move { handle.connect(80).await });
    let ToGuest::Connect { connection, port: 80 } = peer.hear().await else { panic!("no connect") };
    peer.say(&ToHost::Connected { connection }).await;
    (opened.await.unwrap().unwrap(), numbers::connection(connection))
}

#[tokio::test]
async fn a_guest_with_a_wrong_token_hears_nothing() {
    for wrong in ["0123456789abcdeX", "short", ""] {
        let (channel, mut peer) = ends();
        let guest = tokio::spawn(Guest::open(channel, TOKEN, false, Setup::default(), LIMIT));
        peer.greet(wrong).await;
        let error = guest.await.unwrap().unwrap_err();
        assert_eq!(error, GuestError::Greeting("its token is wrong"));
        assert_eq!(peer.channel.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_says_nothing_is_waited_for_no_longer_than_said() {
    let (channel, peer) = ends();
    let error = Guest::open(channel, TOKEN, false, Setup::default(), LIMIT).await.unwrap_err();
    assert_eq!(error, GuestError::TimedOut(LIMIT));
    drop(peer);
}

#[tokio::test]
async fn other_versions_and_failed_setups_are_told() {
    let (channel, mut peer) = ends();
    let guest = tokio::spawn(Guest::open(channel, TOKEN, false, Setup::default(), LIMIT));
    peer.channel.write_all(greeting(TOKEN).as_bytes()).await.unwrap();
    peer.say(&ToHost::Hello { version: 9 }).await;
    assert_eq!(guest.await.unwrap().unwrap_err(), GuestError::Version(9));

    let (channel, mut peer) = ends();
    let guest = tokio::spawn(Guest::open(channel, TOKEN, false, Setup::default(), LIMIT));
    peer.greet(TOKEN).await;
    peer.hear().await;
    peer.say(&ToHost::SetupFailed { reason: "no vda".into() }).await;
    assert_eq!(guest.await.unwrap().unwrap_err(), GuestError::Setup("no vda".into()));
}

#[tokio::test]
async fn a_clone_hears_its_token_before_it_greets() {
    let (channel, mut peer) = ends();
    let guest = tokio::spawn(Guest::open(channel, TOKEN, true, Setup::default(), LIMIT));
    let ToGuest::Setup(setup) = peer.hear().await else { panic!("no setup") };
    peer.greet(&setup.token).await;
    peer.say(&ToHost::Ready).await;
    guest.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_process_has_its_streams_and_its_exit() {
    let (guest, mut peer) = open().await;
    let mut process = start(&guest, &mut peer).await;
    assert_eq!(process.number, 2);
    process.stdin.as_mut().unwrap().write_all(b"in").await.unwrap();
    drop(process.stdin.take());
    assert_eq!(peer.next().await, Frame::new(Kind::Data, numbers::stdin(2), b"in".to_vec()));
    assert_eq!(peer.next().await, Frame::new(Kind::End, numbers::stdin(2), Vec::new()));
    peer.send(Kind::Data, numbers::stdout(2), b"out").await;
    peer.send(Kind::Data, numbers::stderr(2), b"err").await;
    peer.say(&ToHost::Exited { process: 2, code: 143, signal: Some(15), out_of_memory: false }).await;
    let exit = process.exit.await.unwrap();
    assert_eq!((exit.code, exit.signal), (143, Some(15)));
    let (mut out, mut err) = (String::new(), String::new());
    process.stdout.read_to_string(&mut out).await.unwrap();
    process.stderr.unwrap().read_to_string(&mut err).await.unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("out", "err"));
}

#[tokio::test]
async fn what_cannot_be_started_or_reached_says_why_and_leaves_nothing() {
    let (guest, mut peer) = open().await;
    let handle = guest.clone();
    let started = tokio::spawn(async move { handle.start_main(sh()).await });
    peer.hear().await;
    peer.say(&ToHost::NotStarted { process: 1, code: 127, reason: "sh: not found".into() }).await;
    let error = started.await.unwrap().unwrap_err();
    assert_eq!(error, GuestError::NotStarted { code: 127, reason: "sh: not found".into() });

    let handle = guest.clone();
    let opened = tokio::spawn(async move { handle.connect(80).await });
    let ToGuest::Connect { connection, .. } = peer.hear().await else { panic!("no connect") };
    peer.say(&ToHost::Refused { connection, reason: "nobody listens".into() }).await;
    assert!(matches!(opened.await.unwrap(), Err(GuestError::Refused { port: 80, .. })));
    guest.shared().with(|state| assert!(state.streams.is_empty() && state.running.is_empty()));
    // Nothing was said about streams that never were: the next that is heard is the next message.
    guest.signal(1, 15).unwrap();
    assert_eq!(peer.hear().await, ToGuest::Signal { process: 1, signal: 15 });
}

#[tokio::test]
async fn a_connection_closes_half_and_resets_when_dropped() {
    let (guest, mut peer) = open().await;
    let (mut connection, number) = connect(&guest, &mut peer).await;
    connection.write_all(b"GET").await.unwrap();
    connection.shutdown().await.unwrap();
    assert_eq!(peer.next().await.kind, Kind::Data);
    assert_eq!(peer.next().await, Frame::new(Kind::End, number, Vec::new()));
    peer.send(Kind::Data, number, b"200").await;
    peer.send(Kind::End, number, b"").await;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "200");
    drop(connection);

    let (connection, number) = connect(&guest, &mut peer).await;
    drop(connection);
    assert_eq!(peer.next().await, Frame::new(Kind::Reset, number, Vec::new()), "and no reset of the first");
    let (mut connection, number) = connect(&guest, &mut peer).await;
    peer.send(Kind::Reset, number, b"").await;
    let error = connection.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_up_no_other() {
    let (guest, mut peer) = open().await;
    let (mut stuck, first) = connect(&guest, &mut peer).await;
    let (mut other, second) = connect(&guest, &mut peer).await;
    let full = WINDOW as usize / MAX_DATA;
    for _ in 0..full {
        peer.send(Kind::Data, first, &vec![7; MAX_DATA]).await;
    }
    peer.send(Kind::Data, second, b"through").await;
    let mut bytes = [0; 7];
    other.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"through");
    // As it is read, the guest is granted more.
    let mut all = vec![0; WINDOW as usize];
    stuck.read_exact(&mut all).await.unwrap();
    let credit = peer.next().await;
    assert_eq!((credit.kind, credit.stream), (Kind::Credit, first));
}

#[tokio::test]
async fn no_more_is_sent_than_was_granted() {
    let (guest, mut peer) = open().await;
    let (mut connection, number) = connect(&guest, &mut peer).await;
    let writing = tokio::spawn(async move {
        connection.write_all(&vec![1; WINDOW as usize + 5]).await.unwrap();
        connection
    });
    let mut received = 0;
    while received < WINDOW as usize {
        received += peer.next().await.body.len();
    }
    assert_eq!(received, WINDOW as usize);
    guest.signal(1, 1).unwrap();
    assert!(matches!(peer.hear().await, ToGuest::Signal { .. }), "no data beyond the window");
    peer.send(Kind::Credit, number, &5_u32.to_le_bytes()).await;
    assert_eq!(peer.next().await.body.len(), 5);
    writing.await.unwrap();
}

#[tokio::test]
async fn a_guest_that_sends_more_than_it_may_is_given_up() {
    let (guest, mut peer) = open().await;
    let (_stuck, number) = connect(&guest, &mut peer).await;
    for _ in 0..=WINDOW as usize / MAX_DATA {
        peer.send(Kind::Data, number, &vec![7; MAX_DATA]).await;
    }
    assert!(guest.closed().await.to_string().contains("more of a stream than it was granted"));
}

#[tokio::test]
async fn when_the_channel_ends_all_that_waits_ends() {
    let (guest, mut peer) = open().await;
    let mut process = start(&guest, &mut peer).await;
    let (mut connection, _) = connect(&guest, &mut peer).await;
    let (sender, mut packets) = guest.network();
    let mut logs = guest.logs().unwrap();
    let waiting = guest.clone();
    let health = tokio::spawn(async move { waiting.health().await });
    assert_eq!(peer.hear().await, ToGuest::Health);
    drop(peer);
    let gone = GuestError::Closed("it closed its channel".into());
    assert_eq!(health.await.unwrap().unwrap_err(), gone);
    assert_eq!(process.exit.await.unwrap_err(), gone);
    assert_eq!(guest.closed().await, gone);
    assert!(process.stdout.read(&mut [0]).await.is_err());
    assert!(process.stdin.as_mut().unwrap().write(b"x").await.is_err());
    assert!(connection.read(&mut [0]).await.is_err());
    assert_eq!(packets.recv().await, None);
    assert_eq!(logs.recv().await, None);
    assert_eq!(sender.send(b"x").await.unwrap_err(), gone);
    assert_eq!(guest.exec(sh()).await.unwrap_err(), gone);
}

#[tokio::test]
async fn packets_lines_and_health_pass() {
    let (guest, mut peer) = open().await;
    let (sender, mut packets) = guest.network();
    sender.send(b"to the guest").await.unwrap();
    assert_eq!(peer.next().await, Frame::new(Kind::Data, numbers::NETWORK, b"to the guest".to_vec()));
    assert!(!sender.try_send(&vec![0; MAX_DATA + 1]));
    peer.send(Kind::Data, numbers::NETWORK, b"to the host").await;
    assert_eq!(&packets.recv().await.unwrap()[..], b"to the host");
    peer.say(&ToHost::Log { line: "a line".into() }).await;
    assert_eq!(guest.logs().unwrap().recv().await.unwrap(), "a line");
    let asking = guest.clone();
    let health = tokio::spawn(async move { asking.health().await });
    peer.hear().await;
    peer.say(&ToHost::Health(Health { processes: 3, ..Health::default() })).await;
    assert_eq!(health.await.unwrap().unwrap().processes, 3);
}

#[tokio::test]
async fn texts_of_a_guest_are_short_and_steer_nothing() {
    let (guest, mut peer) = open().await;
    let long = format!("\x1b[2J{}", "x".repeat(1 << 20));
    peer.say(&ToHost::Log { line: long.clone() }).await;
    let line = guest.logs().unwrap().recv().await.unwrap();
    assert!(line.starts_with(" [2Jxx") && line.len() <= 2048, "{}", line.len());
    let asking = guest.clone();
    let connecting = tokio::spawn(async move { asking.connect(80).await });
    peer.hear().await;
    peer.say(&ToHost::Refused { connection: 1, reason: long }).await;
    let Err(GuestError::Refused { reason, .. }) = connecting.await.unwrap() else { panic!() };
    assert!(reason.starts_with(" [2Jxx") && reason.len() <= 2048, "{}", reason.len());
}

#[tokio::test]
async fn a_command_that_no_frame_can_hold_is_refused() {
    let (guest, _peer) = open().await;
    let command = Command { argv: vec!["x".repeat(frame::MAX_CONTROL)], ..sh() };
    assert!(matches!(guest.exec(command).await, Err(GuestError::TooLarge { .. })));
    assert!(!guest.is_closed());
}
