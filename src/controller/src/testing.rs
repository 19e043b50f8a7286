//! A controller without files or a network, and hosts that enrol and connect to it: for tests of every part.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{net::SocketAddr, pin::Pin, sync::Arc};

use aegis_core::{
    NodeId, TenantId,
    session::{Inbound, Outbound},
};
use aegis_kinds::tool::{ToolClass, ToolDescriptor};
use aegis_store::{LocalBus, MemoryStore, Store};
use aegis_wire::{
    ApiError, Envelope, ServerSigningKey, SigningKey, Unverified,
    edge::{Capabilities, Command, Event},
    enrollment::{AttestRequest, ChallengeRequest, Credential, Enrolled, EnrollmentService, prove},
    envelope::{Route, open, seal},
    operator::Bearer,
    token::{Role, Scope},
};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::{
    assignments::Secrets,
    clock::TokioClock,
    config::EnrollmentLimits,
    enrollment::Enrollments,
    operator::Operators,
    session::Session,
    state::{Controller, Order, Parts},
};

pub(crate) const START: &str = "2026-11-20T12:00:00Z";
pub(crate) const NO_LIMIT: EnrollmentLimits =
    EnrollmentLimits { rate_per_second: 1_000_000, burst: 1_000_000 };

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn peer() -> SocketAddr {
    "10.1.2.3:4567".parse().unwrap()
}

/// A controller with the tenants `default` and `t-other`.
pub(crate) async fn controller() -> Arc<Controller> {
    with_parts(|_| ()).await
}

pub(crate) async fn with_parts(change: impl FnOnce(&mut Parts)) -> Arc<Controller> {
    let mut parts = Parts {
        store: Arc::new(MemoryStore::new()),
        bus: Arc::new(LocalBus::<Order>::default()),
        clock: Arc::new(TokioClock::starting_at(START.parse().unwrap())),
        signing: ServerSigningKey::new(SigningKey::from_seed(&[200; 32])),
        ca: "ab".repeat(32).parse().unwrap(),
        public_endpoint: Some("fleet.example:50056".parse().unwrap()),
        limits: NO_LIMIT,
        secrets: Secrets::of_key(&[9; 32]),
        data_dir: std::path::PathBuf::from("/nonexistent"),
    };
    change(&mut parts);
    let controller = Arc::new(Controller::new(parts).unwrap());
    for name in ["default", "t-other"] {
        controller.create_tenant(&tenant(name), "test").await.unwrap();
    }
    controller
}

/// A controller that starts again on the same store.
pub(crate) fn restarted(old: &Controller) -> Arc<Controller> {
    let parts = Parts {
        store: old.store.clone(),
        bus: Arc::new(LocalBus::<Order>::default()),
        clock: old.clock.clone(),
        signing: old.signing.clone(),
        ca: old.ca,
        public_endpoint: old.public_endpoint.clone(),
        limits: NO_LIMIT,
        secrets: old.secrets.clone(),
        data_dir: old.data_dir.clone(),
    };
    Arc::new(Controller::new(parts).unwrap())
}

pub(crate) fn capabilities(hostname: &str) -> Capabilities {
    Capabilities {
        hostname: hostname.to_owned(),
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        local_tools: vec!["docker".to_owned()],
        labels: [("region".to_owned(), "eu".to_owned())].into(),
        version: "0.1.0".to_owned(),
        tools: vec![],
    }
}

/// A tool that a host's owner declared; it takes the text `name`.
pub(crate) fn owners_tool(name: &str) -> ToolDescriptor {
    let parameters = serde_json::json!({"type": "object", "properties": {"name": {"type": "string"}},
        "additionalProperties": false});
    ToolDescriptor {
        name: name.to_owned(),
        summary: "does as its owner likes".to_owned(),
        class: ToolClass::ReadOnly,
        fleet_capable: true,
        timeout: None,
        parameters,
    }
}

pub(crate) fn enrollment_token(controller: &Controller, of: &str, label: &str) -> String {
    controller.mint_enrollment_token(&tenant(of), label, 0).unwrap().token
}

/// Attest and Challenge, as a host does them.
pub(crate) async fn enroll(
    controller: &Arc<Controller>,
    key: &SigningKey,
    token: &str,
    hostname: &str,
) -> Result<Enrolled, ApiError> {
    attest_with(controller, key, Credential::Enrollment(token.to_owned()), hostname).await
}

/// As [`enroll`], with a token of either kind.
pub(crate) async fn attest_with(
    controller: &Arc<Controller>,
    key: &SigningKey,
    credential: Credential,
    hostname: &str,
) -> Result<Enrolled, ApiError> {
    let service = Enrollments(controller.clone());
    let capabilities = capabilities(hostname);
    let attest = AttestRequest { public_key: key.public(), capabilities: capabilities.clone() };
    let nonce = service.attest(peer(), attest).await?;
    let signature = prove(key, &credential, &nonce);
    let challenge = ChallengeRequest { public_key: key.public(), nonce, signature, credential, capabilities };
    service.challenge(peer(), challenge).await
}

/// An enrolled host.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub key: SigningKey,
    pub id: NodeId,
    pub name: String,
    pub token: String,
}

/// Enrols a host called `name` into the tenant, with a key of its own for each number.
pub(crate) async fn host(controller: &Arc<Controller>, of: &str, number: u8, name: &str) -> Host {
    let key = SigningKey::from_seed(&[number; 32]);
    let token = enrollment_token(controller, of, "");
    let enrolled = enroll(controller, &key, &token, name).await.unwrap();
    Host { key, id: enrolled.node_id, name: enrolled.name, token: enrolled.node_token }
}

/// The daemon's end of a stream.
pub(crate) struct Daemon {
    pub key: SigningKey,
    pub sender: String,
    pub stream: String,
    pub outbound: Outbound,
    pub inbound: Inbound,
    pub events: mpsc::UnboundedSender<Result<Unverified, ApiError>>,
    pub commands: Pin<Box<dyn Stream<Item = Result<Envelope, ApiError>> + Send>>,
    pub controller: Arc<Controller>,
}

impl Daemon {
    /// Opens a stream; nothing is sent.
    pub fn open(controller: &Arc<Controller>, host: &Host, stream: &str) -> Self {
        let (events, incoming) = mpsc::unbounded_channel();
        let incoming = tokio_stream::wrappers::UnboundedReceiverStream::new(incoming);
        let session = Session::new(controller.clone(), peer(), incoming);
        Self {
            key: host.key.clone(),
            sender: host.id.to_string(),
            stream: stream.to_owned(),
            outbound: Outbound::default(),
            inbound: Inbound::new(controller.sender.clone(), stream),
            events,
            commands: Box::pin(session.into_commands()),
            controller: controller.clone(),
        }
    }

    /// Opens a stream and says Hello; the answer was Welcome.
    pub async fn connect(controller: &Arc<Controller>, host: &Host, stream: &str) -> Self {
        let mut daemon = Self::open(controller, host, stream);
        daemon.send(&hello(host));
        let welcome = daemon.command().await.unwrap();
        assert!(matches!(welcome, Command::Welcome { .. }), "{welcome:?}");
        daemon
    }

    /// The next envelope, signed now.
    pub fn sealed(&mut self, event: &Event) -> Envelope {
        let route = Route { sender: &self.sender, stream: &self.stream };
        let now = self.controller.clock.now_ms();
        seal(&self.key, route, &mut self.outbound, now, event).unwrap()
    }

    pub fn send(&mut self, event: &Event) {
        let envelope = self.sealed(event);
        self.deliver(envelope);
    }

    pub fn deliver(&self, envelope: Envelope) {
        // A session that has ended hears nothing any more.
        let _ = self.events.send(Ok(envelope.into()));
    }

    /// The next command, verified.
    pub async fn command(&mut self) -> Result<Command, ApiError> {
        // The clock is paused: this passes at once when nothing else can happen.
        let patience = std::time::Duration::from_mins(10);
        let next = tokio::time::timeout(patience, self.commands.next()).await.expect("a command comes");
        let envelope = next.expect("the stream goes on")?;
        let now = self.controller.clock.now_ms();
        let verified = open(envelope.into(), &self.controller.keys[0].public, &mut self.inbound, now);
        Ok(verified.unwrap().body)
    }

    /// What the stream ends with.
    pub async fn end(&mut self) -> Option<ApiError> {
        // The clock is paused: this passes at once when nothing else can happen.
        let patience = std::time::Duration::from_mins(10);
        while let Some(item) =
            tokio::time::timeout(patience, self.commands.next()).await.expect("the stream ends")
        {
            if let Err(error) = item {
                assert!(self.commands.next().await.is_none(), "an error is the last item");
                return Some(error);
            }
        }
        None
    }

    /// Lets the session run until it waits.
    pub async fn heartbeat(&mut self) {
        self.send(&Event::Heartbeat { draining: false, in_flight: 0 });
        assert_eq!(self.command().await.unwrap(), Command::HeartbeatAck);
    }
}

pub(crate) fn hello(host: &Host) -> Event {
    Event::Hello { node_token: host.token.clone(), capabilities: capabilities(&host.name) }
}

/// An operator, with a token of this role for the tenant.
pub(crate) struct Operator {
    pub service: Operators,
    token: String,
}

impl Operator {
    pub fn new(controller: &Arc<Controller>, of: &str, role: Role) -> Self {
        Self::scoped(controller, of, role, None)
    }
    pub fn root(controller: &Arc<Controller>) -> Self {
        Self::scoped(controller, "default", Role::Admin, Some(Scope::Controller))
    }
    fn scoped(controller: &Arc<Controller>, of: &str, role: Role, scope: Option<Scope>) -> Self {
        let token = controller.mint_user_token(&tenant(of), "tester", role, scope, 0).unwrap().token;
        Self { service: Operators(controller.clone()), token }
    }
    /// The bearer of a call.
    pub fn call(&self, method: &str) -> Bearer {
        Bearer::new(&*self.token, None, method).expect("a method of the table")
    }
}

/// The audit log as `action outcome object: detail` lines.
pub(crate) fn audit_lines(controller: &Controller) -> Vec<String> {
    let mut lines = Vec::new();
    crate::audit::each(&*controller.store as &dyn Store, 0, &mut |_, link| {
        let event = &link.unwrap().event;
        lines.push(format!("{} {:?} {}: {}", event.action, event.outcome, event.object, event.detail));
        true
    })
    .unwrap();
    lines
}
