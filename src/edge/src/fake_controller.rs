//! A controller on loopback, over real TLS, whose answers a test chooses.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aegis_core::{NodeId, ObjectKey, Owner, Revision, Secret, TenantId};
use aegis_wire::{
    ApiError, CaFingerprint, Endpoint, Envelope, PublicKey, ServerSigningKey, SigningKey,
    edge::{EdgeService, EventStream},
    enrollment::{
        AttestRequest, ChallengeRequest, Credential, Enrolled, EnrollmentService, RotateRequest, Rotated,
        is_proven,
    },
    operator::{
        AuditCheck, AuditEvent, Bearer, BeginPlan, Changes, CreateEnrollmentToken, CreateUserToken, Delivery,
        EnrollmentToken, FinishPlan, GetRun, History, HistoryEntry, ListAudit, ListDeliveries, ListHistory,
        ListNodes, ListObjects, ListRuns, ListTools, Node, Object, ObjectWrite, OperatorService, PlanNumber,
        Resolution, RolloutAction, RolloutStatus, Run, RunEvent, ShutdownNode, StartRun, Tenant, Tool,
        UserToken, WhoAmI, WriteResult,
    },
    server::{Services, serve, tcp_connections},
    tls::{Authority, ServerIdentity, TlsConfig},
    token::{Confirmation, EnrollmentClaims, NodeClaims},
};
use bytes::Bytes;
use futures::stream::{BoxStream, Empty};
use tokio::net::TcpListener;

/// 2027, in seconds.
pub const NOW: i64 = 1_800_000_000;

/// Changes what would be answered, or refuses.
type Answer = Box<dyn Fn(Enrolled, &SigningKey) -> Result<Enrolled, ApiError> + Send + Sync>;

/// Changes what would be answered to a rotation, or loses it.
type RotateAnswer = Box<dyn Fn(Rotated) -> Result<Rotated, ApiError> + Send + Sync>;

/// What a test can set and see of the controller.
pub struct Behaviour {
    pub signing: ServerSigningKey,
    pub attest: Mutex<Result<(), ApiError>>,
    pub answer: Mutex<Answer>,
    /// Whether a rotation is refused.
    pub rotation: Mutex<Result<(), ApiError>>,
    /// What is answered to a rotation, once it is done.
    pub rotated: Mutex<RotateAnswer>,
    /// The key of the only node, once a rotation has changed it.
    pub node_key: Mutex<PublicKey>,
    pub calls: AtomicUsize,
}

pub struct FakeController {
    pub endpoint: Endpoint,
    pub pin: CaFingerprint,
    pub behaviour: Arc<Behaviour>,
}

impl FakeController {
    #[allow(clippy::disallowed_methods, reason = "rustls checks certificates against this clock")]
    pub async fn start() -> Self {
        let now = jiff::Timestamp::now();
        let authority = Authority::generate("test CA", now).unwrap();
        let issued = authority.issue(&["127.0.0.1".to_owned()], now).unwrap();
        let identity = ServerIdentity::from_pem(&issued.chain_pem, &issued.key_pem).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
        let behaviour = Arc::new(Behaviour {
            signing: ServerSigningKey::new(SigningKey::from_seed(&[1; 32])),
            attest: Mutex::new(Ok(())),
            answer: Mutex::new(Box::new(|enrolled, _| Ok(enrolled))),
            rotation: Mutex::new(Ok(())),
            rotated: Mutex::new(Box::new(Ok)),
            node_key: Mutex::new(node_key().public()),
            calls: AtomicUsize::new(0),
        });
        let service = Arc::new(Service(Arc::clone(&behaviour)));
        let services =
            Services { enrollment: Arc::clone(&service), edge: Arc::clone(&service), operator: service };
        let tls = TlsConfig::new(identity).unwrap();
        // It ends with the test's runtime.
        tokio::spawn(serve(tcp_connections(listener), Some(tls), services, std::future::pending()));
        Self { endpoint, pin: authority.fingerprint(), behaviour }
    }

    /// An enrolment token for this controller.
    pub fn token(&self, tenant: &str) -> String {
        self.token_with(tenant, |_| {})
    }

    pub fn token_with(&self, tenant: &str, change: impl Fn(&mut EnrollmentClaims)) -> String {
        let mut claims = EnrollmentClaims {
            iss: "aegis".into(),
            sub: "web-1".into(),
            tid: tenant.parse().unwrap(),
            jti: "jti-1".into(),
            iat: NOW,
            nbf: NOW,
            exp: NOW + 900,
            cep: self.endpoint.clone(),
            cfp: self.pin,
            spk: self.behaviour.signing.public(),
        };
        change(&mut claims);
        claims.mint(&self.behaviour.signing).unwrap()
    }

    pub fn calls(&self) -> usize {
        self.behaviour.calls.load(Ordering::Relaxed)
    }
}

/// The key with which the only node that rotates here has enrolled.
pub fn node_key() -> SigningKey {
    SigningKey::from_seed(&[2; 32])
}

/// A node token by `signing` for the node of `key`.
pub fn node_token(signing: &ServerSigningKey, key: &PublicKey, tenant: &TenantId) -> String {
    node_token_of(signing, NodeId::of_public_key(key.as_bytes()), key, tenant)
}

/// A node token for this node with this key.
fn node_token_of(signing: &ServerSigningKey, node_id: NodeId, key: &PublicKey, tenant: &TenantId) -> String {
    let claims = NodeClaims {
        iss: "aegis".into(),
        sub: node_id,
        tid: tenant.clone(),
        role: "edge".into(),
        jti: "node-jti".into(),
        iat: NOW,
        exp: NOW + 86_400,
        cnf: Confirmation::of(key),
    };
    claims.mint(signing).unwrap()
}

struct Service(Arc<Behaviour>);

impl EnrollmentService for Service {
    async fn attest(&self, _: SocketAddr, _: AttestRequest) -> Result<[u8; 32], ApiError> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        self.0.attest.lock().unwrap().clone().map(|()| [7; 32])
    }

    async fn challenge(&self, _: SocketAddr, request: ChallengeRequest) -> Result<Enrolled, ApiError> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        assert!(request.nonce == [7; 32] && is_proven(&request));
        let signing = &self.0.signing;
        let Credential::Enrollment(token) = &request.credential else { panic!("a host enrols") };
        let claims = EnrollmentClaims::verify(token, &[signing.public()], NOW)
            .map_err(|error| ApiError::unauthenticated(error.to_string()))?;
        let enrolled = Enrolled {
            node_id: NodeId::of_public_key(request.public_key.as_bytes()),
            node_token: node_token(signing, &request.public_key, &claims.tid),
            tenant: claims.tid,
            server_key: signing.public(),
            name: claims.sub,
        };
        let answer = self.0.answer.lock().unwrap();
        answer(enrolled, signing.key())
    }

    async fn rotate(&self, _: SocketAddr, request: RotateRequest) -> Result<Rotated, ApiError> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        assert!(request.nonce == [7; 32] && request.has_new_key());
        self.0.rotation.lock().unwrap().clone()?;
        let claims = NodeClaims::peek(&request.node_token).unwrap();
        assert_eq!(request.node_id, claims.node_id);
        let mut key = self.0.node_key.lock().unwrap();
        if *key != request.new_key && !request.is_asked_by(&key) {
            return Err(ApiError::unauthenticated("this node isn't accepted"));
        }
        *key = request.new_key;
        let (signing, answer) = (&self.0.signing, self.0.rotated.lock().unwrap());
        let node_token = node_token_of(signing, request.node_id, &key, &claims.tenant);
        answer(Rotated { node_token, server_key: signing.public() })
    }
}

impl EdgeService for Service {
    type Commands = Empty<Result<Envelope, ApiError>>;
    async fn connect(&self, _: SocketAddr, _: EventStream) -> Result<Self::Commands, ApiError> {
        Err(ApiError::unavailable("no streams here"))
    }
}

/// Nobody operates this controller.
macro_rules! refuse_all {
    ($($method:ident($($argument:ty),*) -> $answer:ty;)*) => {
        impl OperatorService for Service {
            $(async fn $method(&self, _: Bearer $(, _: $argument)*) -> Result<$answer, ApiError> {
                Err(ApiError::permission_denied("this controller only enrols"))
            })*
        }
    };
}

refuse_all! {
    who_am_i() -> WhoAmI;
    list_nodes(ListNodes) -> Vec<Node>;
    resolve_target(String) -> Resolution;
    list_objects(ListObjects) -> Vec<Object>;
    get_object(ObjectKey) -> Object;
    list_changes(Revision) -> Changes;
    list_inventory(Owner) -> Vec<ObjectKey>;
    list_history(ListHistory) -> Vec<HistoryEntry>;
    get_history(PlanNumber) -> History;
    list_tools(ListTools) -> Vec<Tool>;
    list_runs(ListRuns) -> Vec<Run>;
    get_run(GetRun) -> BoxStream<'static, Result<Vec<RunEvent>, ApiError>>;
    get_rollout(String) -> RolloutStatus;
    list_deliveries(ListDeliveries) -> Vec<Delivery>;
    begin_plan(BeginPlan) -> PlanNumber;
    write_objects(PlanNumber, Vec<ObjectWrite>) -> Vec<WriteResult>;
    finish_plan(FinishPlan) -> ();
    revoke_node(String) -> Node;
    shutdown_node(ShutdownNode) -> Node;
    start_run(StartRun) -> BoxStream<'static, Result<Vec<RunEvent>, ApiError>>;
    cancel_run(String) -> Run;
    steer_rollout(String, RolloutAction) -> RolloutStatus;
    get_digest_key() -> Secret<Vec<u8>>;
    create_enrollment_token(CreateEnrollmentToken) -> EnrollmentToken;
    create_user_token(CreateUserToken) -> UserToken;
    create_tenant(TenantId) -> Tenant;
    list_tenants() -> Vec<Tenant>;
    list_audit(ListAudit) -> BoxStream<'static, Result<AuditEvent, ApiError>>;
    verify_audit() -> AuditCheck;
    backup() -> BoxStream<'static, Result<Bytes, ApiError>>;
}
