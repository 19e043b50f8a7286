//! One controller, one daemon and one operator on a simulated network.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use aegis_controller::{ControllerConfig, Environment, serve};
use aegis_edge::{
    bootstrap::{Policy, Unattended},
    capabilities::Host,
    enroll::{EnrollDeps, EnrollRequest, enroll},
    run::{RunDeps, RunOptions, run},
    state::{RunStatus, StateDir},
};
use aegis_store::MemoryStore;
use aegis_wire::{
    Endpoint,
    dial::{BoxedIo, Dialer, Dialing, connect},
    operator::{CreateEnrollmentToken, ListAudit, ListNodes, Node, NodeStatus, OperatorClient},
};
use futures::stream;
use tokio::{sync::mpsc, time::Instant};

const CONTROLLER: &str = "controller";
const DAEMON: &str = "daemon";
const PORT: u16 = 50056;
/// How often a condition is looked at, in simulated time.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Nothing passes between controller and daemon any more.
pub fn cut() {
    turmoil::partition(CONTROLLER, DAEMON);
}

/// Everything passes again.
pub fn heal() {
    turmoil::repair(CONTROLLER, DAEMON);
}

/// The time of day: the simulation's, since its begin. It can be set wrong.
#[derive(Debug, Clone)]
struct SimulatedClock {
    /// Certificates are checked by the system's clock, so the simulation begins now.
    begin_ms: i64,
    wrong_ms: Arc<AtomicI64>,
}

impl SimulatedClock {
    fn new() -> Self {
        let begin_ms = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        Self { begin_ms, wrong_ms: Arc::default() }
    }

    fn ms(&self) -> i64 {
        let passed = turmoil::sim_elapsed().unwrap_or_default().as_millis();
        self.begin_ms + i64::try_from(passed).unwrap() + self.wrong_ms.load(Ordering::Relaxed)
    }
}

impl aegis_controller::Clock for SimulatedClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.ms()).unwrap()
    }
}

impl aegis_edge::clock::Clock for SimulatedClock {
    fn now_ms(&self) -> i64 {
        self.ms()
    }
}

/// Counts: nothing here is random.
struct Counter(AtomicU64);

impl aegis_edge::clock::Random for Counter {
    fn number(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// TCP in the simulation.
struct Simulated;

impl Dialer for Simulated {
    fn dial(&self, endpoint: &Endpoint) -> Dialing {
        let (host, port) = (endpoint.host().to_owned(), endpoint.port());
        Box::pin(async move {
            let stream = turmoil::net::TcpStream::connect((host, port)).await?;
            Ok(Box::new(stream) as BoxedIo)
        })
    }
}

/// What a simulation needs before it begins.
pub struct Lab {
    directory: tempfile::TempDir,
    latency: Duration,
}

impl Lab {
    /// A network on which a message takes up to `latency`.
    pub fn new(latency: Duration) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), latency }
    }

    /// Runs the simulation until `story` is told.
    pub fn run(self, story: impl AsyncFnOnce(Operator) + 'static) -> turmoil::Result {
        let mut simulation = turmoil::Builder::new()
            .simulation_duration(Duration::from_hours(48))
            .tick_duration(Duration::from_millis(50))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(self.latency)
            .rng_seed(7)
            .build();
        let data = self.directory.path().join(CONTROLLER);
        std::fs::create_dir(&data).unwrap();
        let state = StateDir::of_config(self.directory.path().join(DAEMON).join("aegis-config.yaml"));
        let (right, wrong) = (SimulatedClock::new(), SimulatedClock::new());

        let (controllers_data, clock) = (data.clone(), right.clone());
        simulation.host(CONTROLLER, move || controller(controllers_data.clone(), clock.clone()));
        let (daemons_state, clock) = (state.clone(), wrong.clone());
        simulation.host(DAEMON, move || daemon(daemons_state.clone(), clock.clone()));
        simulation.client("operator", async move {
            let client = operator_client(&data).await;
            story(Operator { client, state, clock: right, daemons_clock: wrong }).await;
            Ok(())
        });
        simulation.run()
    }
}

async fn controller(data: PathBuf, clock: SimulatedClock) -> turmoil::Result {
    let listener = turmoil::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let environment = Environment {
        store: Arc::new(MemoryStore::new()),
        clock: Arc::new(clock),
        address: listener.local_addr()?,
        connections: stream::unfold(
            listener,
            |listener| async move { Some((listener.accept().await, listener)) },
        ),
    };
    let endpoint = Endpoint::new(CONTROLLER, PORT)?;
    let config = ControllerConfig { public_endpoint: Some(endpoint), ..ControllerConfig::default() };
    serve(&data, config, environment, |_| (), std::future::pending()).await?;
    Ok(())
}

/// Waits until the host is enrolled, then runs its daemon. It is a fault if that ends.
async fn daemon(state: StateDir, clock: SimulatedClock) -> turmoil::Result {
    while !state.node_token().exists() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let (_kept, control) = mpsc::channel(1);
    let deps = RunDeps {
        clock: Arc::new(clock),
        random: Arc::new(Counter(AtomicU64::new(0))),
        dialer: Arc::new(|_| Ok(Arc::new(Simulated))),
        host: Box::new(host),
        runtime: None,
        control,
    };
    run(RunOptions { state, watch: false }, deps).await?;
    Err("the daemon ended".into())
}

fn host() -> Host {
    Host { hostname: "web-1".into(), os: "linux", arch: "x86_64", path: vec![] }
}

/// The administrator's client, once the controller has written the context.
async fn operator_client(data: &Path) -> OperatorClient {
    let path = data.join("admin-context.yaml");
    while !path.exists() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let text = std::fs::read_to_string(path).unwrap();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap();
        line.trim_matches('"').to_owned()
    };
    let endpoint = field("endpoint").parse().unwrap();
    let pin = field("ca_fingerprint").parse().unwrap();
    let channel = connect(&endpoint, &pin, Arc::new(Simulated)).await.unwrap();
    OperatorClient::new(channel, &field("token")).unwrap()
}

/// Who tells the story: an operator, who also sees the daemon's files and sets its clock.
pub struct Operator {
    client: OperatorClient,
    state: StateDir,
    clock: SimulatedClock,
    daemons_clock: SimulatedClock,
}

impl Operator {
    /// Enrols the host.
    pub async fn enroll(&self) {
        let wish = CreateEnrollmentToken { label: "web-1".into(), tenant: None, ttl_seconds: None };
        let token = self.client.create_enrollment_token(wish).await.unwrap().token;
        let state = self.state.clone();
        let request =
            EnrollRequest { token, state, policy: Policy::NonInteractive, dry_run: false, minimal: true };
        let deps = EnrollDeps {
            clock: &self.clock,
            dialer: &|_| Ok(Arc::new(Simulated)),
            prompter: &mut Unattended,
            host: &host(),
        };
        enroll(&request, deps).await.unwrap();
    }

    /// The time of day.
    pub fn now(&self) -> jiff::Timestamp {
        aegis_controller::Clock::now(&self.clock)
    }

    /// Sets the daemon's clock wrong by so many seconds.
    pub fn set_daemon_clock(&self, wrong_seconds: i64) {
        self.daemons_clock.wrong_ms.store(wrong_seconds * 1000, Ordering::Relaxed);
    }

    /// The host, as the controller sees it.
    pub async fn node(&self) -> Node {
        let mut nodes = self.client.list_nodes(ListNodes::default()).await.unwrap();
        assert_eq!(nodes.len(), 1);
        nodes.remove(0)
    }

    /// Waits until the controller says so.
    pub async fn wait_for(&self, status: NodeStatus, bound: Duration) {
        let begin = Instant::now();
        while self.node().await.status != status {
            assert!(begin.elapsed() <= bound, "not {status} after {bound:?}: {:?}", self.daemon_status());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the daemon's status names an error with this word.
    pub async fn until_daemon_says(&self, word: &str, bound: Duration) -> String {
        let begin = Instant::now();
        loop {
            let said = self.daemon_status().and_then(|status| status.last_error).unwrap_or_default();
            if said.contains(word) {
                return said;
            }
            assert!(begin.elapsed() <= bound, "'{word}' wasn't said after {bound:?}: {said}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn daemon_status(&self) -> Option<RunStatus> {
        RunStatus::read(&self.state).unwrap()
    }

    /// The host's node token.
    pub fn node_token(&self) -> String {
        std::fs::read_to_string(self.state.node_token()).unwrap()
    }

    /// How many events of this action are in the audit log.
    pub async fn audited(&self, action: &str) -> usize {
        let events = self.client.list_audit(ListAudit { after: 0, limit: Some(100_000) }).await.unwrap();
        events.iter().filter(|event| event.action == action && event.outcome.to_string() == "ok").count()
    }

    /// The chain is whole.
    pub async fn audit_is_intact(&self) {
        assert!(self.client.verify_audit().await.unwrap().intact);
    }
}
