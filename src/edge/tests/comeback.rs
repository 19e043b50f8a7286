//! A host that was away for longer than its node token lived, against a whole controller in memory. Time is tokio's and
//! paused, so that a weekend passes at once.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use aegis_controller::{Clock as _, ControllerConfig, Environment, TokioClock};
use aegis_core::session::Refused;
use aegis_edge::{
    bootstrap::{Policy, Unattended},
    capabilities::Host,
    clock::{Clock, SystemRandom},
    enroll::{EnrollDeps, EnrollRequest, enroll},
    run::{Control, RunDeps, RunError, RunOptions, run},
    state::{RunStatus, StateDir, StreamState},
};
use aegis_store::MemoryStore;
use aegis_wire::{
    Endpoint,
    dial::{BoxedIo, Dialer, Dialing, connect_plaintext},
    operator::{CreateEnrollmentToken, OperatorClient},
};
use tokio::{
    io::DuplexStream,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_stream::wrappers::UnboundedReceiverStream;

const ADDRESS: &str = "127.0.0.1:50056";

type Arrival = io::Result<(DuplexStream, SocketAddr)>;

/// The network: every connection arrives at the controller.
#[derive(Clone)]
struct Network(mpsc::UnboundedSender<Arrival>);

impl Dialer for Network {
    fn dial(&self, _: &Endpoint) -> Dialing {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let sent = self.0.send(Ok((theirs, "10.0.0.9:1234".parse().unwrap())));
        let gone = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        Box::pin(async move { sent.map(|()| Box::new(ours) as BoxedIo).map_err(gone) })
    }
}

/// The wall clock of all, which goes with tokio's.
struct WallClock(TokioClock);

impl Clock for WallClock {
    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }
}

struct World {
    dir: tempfile::TempDir,
    clock: TokioClock,
    network: Network,
    state: StateDir,
}

/// A daemon, and how it is told to end.
struct Daemon {
    control: mpsc::Sender<Control>,
    task: JoinHandle<Result<(), RunError>>,
}

fn host() -> Host {
    Host { hostname: "laptop".into(), os: "linux", arch: "x86_64", path: vec![] }
}

impl World {
    /// A controller that runs, and a host that has enrolled with it.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = TokioClock::starting_at("2026-11-20T17:00:00Z".parse().unwrap());
        let (connect, connections) = mpsc::unbounded_channel();
        let environment = Environment {
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(clock),
            connections: UnboundedReceiverStream::new(connections),
            address: ADDRESS.parse().unwrap(),
        };
        let config = ControllerConfig { plaintext: true, ..ControllerConfig::default() };
        let (ready, is_ready) = oneshot::channel();
        let data = dir.path().join("controller");
        fs::create_dir(&data).unwrap();
        tokio::spawn(async move {
            let ready = |address| ready.send(address).unwrap();
            aegis_controller::serve(&data, config, environment, ready, std::future::pending()).await
        });
        is_ready.await.unwrap();
        let state = StateDir::of_config(dir.path().join("edge/aegis-config.yaml"));
        let world = Self { dir, clock, network: Network(connect), state };
        world.enroll().await;
        world
    }

    async fn operator(&self) -> OperatorClient {
        let context = fs::read_to_string(self.dir.path().join("controller/admin-context.yaml")).unwrap();
        let token = context.lines().find_map(|line| line.strip_prefix("token: ")).unwrap();
        let network = Arc::new(self.network.clone());
        let channel = connect_plaintext(&ADDRESS.parse().unwrap(), network).await.unwrap();
        OperatorClient::new(channel, token).unwrap()
    }

    async fn enroll(&self) {
        let wish = CreateEnrollmentToken { label: "laptop".into(), tenant: None, ttl_seconds: None };
        let token = self.operator().await.create_enrollment_token(wish).await.unwrap().token;
        fs::create_dir(self.state.dir()).unwrap();
        fs::write(self.state.config(), "cluster:\n  edge:\n    plaintext: true\n").unwrap();
        let request = EnrollRequest {
            token,
            state: self.state.clone(),
            policy: Policy::KeepExisting,
            dry_run: false,
            minimal: false,
        };
        let network = self.network.clone();
        let deps = EnrollDeps {
            clock: &WallClock(self.clock),
            dialer: &move |_| Ok(Arc::new(network.clone())),
            prompter: &mut Unattended,
            host: &host(),
        };
        enroll(&request, deps).await.unwrap();
    }

    fn start(&self) -> Daemon {
        let (control, controls) = mpsc::channel(1);
        let network = self.network.clone();
        let deps = RunDeps {
            clock: Arc::new(WallClock(self.clock)),
            random: Arc::new(SystemRandom),
            dialer: Arc::new(move |_| Ok(Arc::new(network.clone()))),
            host: Box::new(host),
            runtime: None,
            control: controls,
        };
        let options = RunOptions { state: self.state.clone(), watch: false };
        Daemon { control, task: tokio::spawn(run(options, deps)) }
    }

    /// Waits until the daemon is connected, by a stream that began after `since`.
    async fn is_connected(&self, since: i64) {
        let connected = async {
            loop {
                let status = RunStatus::read(&self.state).unwrap();
                if status.is_some_and(|status| {
                    status.status == StreamState::Connected
                        && i64::try_from(status.since_ms).unwrap() >= since
                }) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_mins(5), connected).await;
        assert!(in_time.is_ok(), "never connected: {:?}", RunStatus::read(&self.state));
    }
}

impl Daemon {
    async fn stop(self) {
        self.control.send(Control::Stop).await.unwrap();
        self.task.await.unwrap().unwrap();
    }
    async fn refusal(self) -> RunError {
        tokio::time::timeout(Duration::from_mins(5), self.task).await.unwrap().unwrap().unwrap_err()
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_switched_off_for_a_weekend_comes_back_by_itself() {
    let world = World::new().await;
    let daemon = world.start();
    world.is_connected(0).await;
    daemon.stop().await;
    let old = read(&world.state.node_token());
    tokio::time::advance(Duration::from_hours(60)).await;
    let daemon = world.start();
    world.is_connected(world.clock.now_ms()).await;
    assert_ne!(read(&world.state.node_token()), old);
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_slept_with_its_daemon_running_comes_back_by_itself() {
    let world = World::new().await;
    let daemon = world.start();
    world.is_connected(0).await;
    let old = read(&world.state.node_token());
    tokio::time::advance(Duration::from_hours(60)).await;
    world.is_connected(world.clock.now_ms()).await;
    assert_ne!(read(&world.state.node_token()), old);
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_revoked_while_it_was_away_stays_out() {
    let world = World::new().await;
    tokio::time::advance(Duration::from_hours(60)).await;
    world.operator().await.revoke_node("laptop").await.unwrap();
    let error = world.start().refusal().await;
    assert!(matches!(error, RunError::Refused { refused: Refused::Revoked, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_away_for_too_long_is_told_to_enrol() {
    let world = World::new().await;
    tokio::time::advance(Duration::from_hours(91 * 24)).await;
    let error = world.start().refusal().await;
    assert!(matches!(error, RunError::Refused { refused: Refused::Unauthorized, .. }), "{error}");
    assert!(error.to_string().contains("more than 90 days ago; run 'aegis edge enroll'"), "{error}");
}
