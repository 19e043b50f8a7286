//! A controller in memory: the other end of every stream that a daemon under test opens.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use aegis_core::{
    NodeId,
    session::{Inbound, Outbound},
};
use aegis_wire::{
    ApiError, Code, Envelope, ServerSigningKey, SigningKey, Unverified,
    edge::{Command, Event},
    enrollment::Enrolled,
    envelope::{Route, open, seal},
    token::{Confirmation, NodeClaims},
};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    fake_offer::{Calls, FakeOffer},
    *,
};
use crate::{
    config::EdgeConfig,
    state::{RunStatus, write_atomic},
};

/// 2027, in milliseconds.
const BASE_MS: i64 = 1_800_000_000_000;

/// A wall clock that goes with tokio's and can be set.
pub(super) struct TestClock {
    start: Instant,
    pub offset_ms: AtomicI64,
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        let passed = i64::try_from(self.start.elapsed().as_millis()).unwrap();
        BASE_MS + passed + self.offset_ms.load(Ordering::Relaxed)
    }
}

/// Counts: nothing in a test is random.
struct Counter(AtomicU64);

impl Random for Counter {
    fn number(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Whether the controller can be reached, and what it says when it can't.
type Reach = Arc<Mutex<Result<(), ApiError>>>;

/// What attesting anew is answered with, once.
type Answer = Arc<Mutex<Option<Result<Enrolled, ApiError>>>>;

struct FakeTransport {
    reach: Reach,
    reattest: Answer,
    opened: mpsc::Sender<FakeEnds>,
}

type FakeEnds = (ReceiverStream<Envelope>, mpsc::Sender<Result<Unverified, ApiError>>);

impl Transport for FakeTransport {
    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Connection>, ApiError>> {
        let reach = self.reach.lock().unwrap().clone();
        let connection = FakeConnection { opened: self.opened.clone(), reattest: self.reattest.clone() };
        async move { reach.map(|()| Box::new(connection) as Box<dyn Connection>) }.boxed()
    }
}

struct FakeConnection {
    opened: mpsc::Sender<FakeEnds>,
    reattest: Answer,
}

impl Connection for FakeConnection {
    fn reattest(&self, _: Reattestation) -> BoxFuture<'static, Result<Enrolled, ApiError>> {
        let answer = self.reattest.lock().unwrap().take();
        async move { answer.expect("nobody is to attest anew") }.boxed()
    }
    fn open(
        self: Box<Self>,
        outgoing: ReceiverStream<Envelope>,
    ) -> BoxFuture<'static, Result<Incoming, ApiError>> {
        async move {
            let (sender, receiver) = mpsc::channel(16);
            self.opened.send((outgoing, sender)).await.map_err(|_| ApiError::unavailable("gone"))?;
            Ok(ReceiverStream::new(receiver).boxed())
        }
        .boxed()
    }
}

/// A daemon under test, its files, and its controller.
pub(super) struct Lab {
    pub dir: tempfile::TempDir,
    pub state: StateDir,
    pub clock: Arc<TestClock>,
    pub server: ServerSigningKey,
    pub node: SigningKey,
    pub reach: Reach,
    pub reattest: Answer,
    pub control: mpsc::Sender<Control>,
    pub calls: Calls,
    streams: mpsc::Receiver<FakeEnds>,
    pub daemon: JoinHandle<Result<(), RunError>>,
}

/// The controller's end of one stream.
pub(super) struct Stream {
    from: ReceiverStream<Envelope>,
    pub to: mpsc::Sender<Result<Unverified, ApiError>>,
    pub outbound: Outbound,
    pub inbound: Option<Inbound>,
    pub id: String,
}

impl Stream {
    /// Waits until the daemon has closed it.
    pub async fn closed(&mut self) {
        let closed = async { while self.from.next().await.is_some() {} };
        tokio::time::timeout(Duration::from_mins(10), closed).await.unwrap();
    }
}

pub(super) const CONFIG: &str = "cluster:\n  edge:\n    endpoint: ctl.example:50056\n    name: web-1\n    localTools: [git]\n    labels: {region: eu}\n";

/// A node token for `node` that lives from `from` to `until`, in seconds from the test's begin.
pub(super) fn node_token(server: &ServerSigningKey, node: &SigningKey, from: i64, until: i64) -> String {
    let id = NodeId::of_public_key(node.public().as_bytes());
    token_of(server, id, node, from, until)
}

/// A node token for the node of this id, which has the key `node` by now.
pub(super) fn token_of(
    server: &ServerSigningKey,
    id: NodeId,
    node: &SigningKey,
    from: i64,
    until: i64,
) -> String {
    let claims = NodeClaims {
        iss: "aegis".into(),
        sub: id,
        tid: "default".parse().unwrap(),
        role: "edge".into(),
        jti: format!("j{from}-{until}"),
        iat: BASE_MS / 1000 + from,
        exp: BASE_MS / 1000 + until,
        cnf: Confirmation::of(&node.public()),
    };
    claims.mint(server).unwrap()
}

impl Lab {
    /// An enrolled host whose daemon runs.
    pub fn start() -> Self {
        Self::start_with(86_400)
    }

    /// As [`Lab::start`], with a node token that lives so many seconds.
    pub fn start_with(token_life: i64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(dir.path().join("aegis-config.yaml"));
        let (server, node) =
            (ServerSigningKey::new(SigningKey::from_seed(&[1; 32])), SigningKey::from_seed(&[2; 32]));
        let pinned = format!("{} {}\n", server.key_id(), server.public().public.to_base64());
        write_atomic(state.config(), 0o644, CONFIG.as_bytes()).unwrap();
        write_atomic(&state.node_key(), 0o600, &node.seed()[..]).unwrap();
        write_atomic(&state.server_key(), 0o644, pinned.as_bytes()).unwrap();
        let token = node_token(&server, &node, 0, token_life);
        write_atomic(&state.node_token(), 0o600, token.as_bytes()).unwrap();
        let clock = Arc::new(TestClock { start: Instant::now(), offset_ms: AtomicI64::new(0) });
        let (control, controls) = mpsc::channel(4);
        let (opened, streams) = mpsc::channel(4);
        let reach: Reach = Arc::new(Mutex::new(Ok(())));
        let reattest = Answer::default();
        let transport = FakeTransport { reach: reach.clone(), reattest: reattest.clone(), opened };
        let deps = RunDeps {
            clock: clock.clone(),
            random: Arc::new(Counter(AtomicU64::new(0))),
            dialer: Arc::new(|_| Ok(Arc::new(aegis_wire::dial::TcpDialer))),
            host: Box::new(|| Host { hostname: "h".into(), os: "linux", arch: "x86_64", path: vec![] }),
            runtime: None,
            control: controls,
        };
        let options = RunOptions { state: state.clone(), watch: false };
        let calls = Calls::default();
        let offer = Box::new(FakeOffer(calls.clone()));
        let daemon = tokio::spawn(async move {
            let (config, _lock): (EdgeConfig, _) = prepare(&options.state)?;
            daemon::run(options, deps, config, Arc::new(transport), offer).await
        });
        Self { dir, state, clock, server, node, reach, reattest, control, calls, streams, daemon }
    }

    /// The next stream that the daemon opens, with nothing read from it.
    pub async fn accept(&mut self) -> Stream {
        let next = tokio::time::timeout(Duration::from_mins(10), self.streams.recv());
        let (from, to) = next.await.unwrap().unwrap();
        Stream { from, to, outbound: Outbound::default(), inbound: None, id: String::new() }
    }

    /// The next stream, live.
    pub async fn live(&mut self) -> Stream {
        let mut stream = self.accept().await;
        assert!(matches!(self.event(&mut stream).await, Event::Hello { .. }));
        self.send(&mut stream, &welcome(false)).await;
        self.wait_for("Connected").await;
        stream
    }

    /// The next event, verified as a controller would.
    pub async fn event(&self, stream: &mut Stream) -> Event {
        self.try_event(stream).await.unwrap()
    }

    /// The next event; `None` when the daemon closes the stream.
    pub async fn try_event(&self, stream: &mut Stream) -> Option<Event> {
        let next = tokio::time::timeout(Duration::from_mins(10), stream.from.next());
        let unverified = Unverified::from(next.await.unwrap()?);
        if stream.inbound.is_none() {
            stream.id = unverified.stream().to_owned();
            stream.inbound = Some(Inbound::new(unverified.sender(), unverified.stream()));
        }
        let inbound = stream.inbound.as_mut().unwrap();
        Some(open(unverified, &self.node.public(), inbound, self.clock.now_ms()).unwrap().body)
    }

    /// A command as the next of the stream.
    pub fn sealed(&self, stream: &mut Stream, command: &Command) -> Unverified {
        let sender = self.server.public().sender();
        let route = Route { sender: &sender, stream: &stream.id };
        seal(self.server.key(), route, &mut stream.outbound, self.clock.now_ms(), command).unwrap().into()
    }

    pub async fn send(&self, stream: &mut Stream, command: &Command) {
        let envelope = self.sealed(stream, command);
        stream.to.send(Ok(envelope)).await.unwrap();
    }

    /// Waits until `status.json` says so.
    pub async fn wait_for(&self, status: &str) -> RunStatus {
        for _ in 0..10_000 {
            if let Some(now) = RunStatus::read(&self.state).unwrap()
                && now.status.as_str() == status
            {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the daemon never was {status}: {:?}", RunStatus::read(&self.state))
    }

    /// What a controller that takes the ended token answers with.
    pub fn reattested(&self, token: String) -> Enrolled {
        Enrolled {
            node_id: NodeId::of_public_key(self.node.public().as_bytes()),
            tenant: "default".parse().unwrap(),
            node_token: token,
            server_key: self.server.public(),
            name: "web-1".into(),
        }
    }

    pub async fn end(self) -> Result<(), RunError> {
        tokio::time::timeout(Duration::from_mins(10), self.daemon).await.unwrap().unwrap()
    }
}

pub(super) fn welcome(drain: bool) -> Command {
    Command::Welcome { name: "web-1".into(), tags: vec!["prod".into()], drain }
}

pub(super) fn refused(message: &str) -> ApiError {
    ApiError::new(Code::Unauthenticated, message)
}
