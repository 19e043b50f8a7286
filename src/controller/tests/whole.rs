//! A whole controller on loopback: its store on disk, TLS, all three services, stopped and started again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aegis_controller::{ControllerConfig, Environment, RunError, SystemClock, restore, serve};
use aegis_core::{
    ObjectKey, Outcome, Owner, Revision,
    session::{Inbound, Outbound},
};
use aegis_store::LmdbStore;
use aegis_wire::{
    Code, Endpoint, SigningKey,
    dial::{Channel, TcpDialer, connect},
    edge::{Capabilities, Command, EdgeClient, Event},
    enrollment::{AttestRequest, ChallengeRequest, Credential, Enrolled, EnrollmentClient, prove},
    envelope::{Route, open, seal},
    operator::{BeginPlan, CreateEnrollmentToken, ListNodes, ObjectWrite, OperatorClient, Write},
    server::tcp_connections,
    token::EnrollmentClaims,
};
use futures::{StreamExt, TryStreamExt};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

struct Running {
    data: PathBuf,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), RunError>>,
}

async fn start(data: &Path, config: ControllerConfig) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let environment = Environment {
        store: Arc::new(LmdbStore::open(&data.join("store")).unwrap()),
        clock: Arc::new(SystemClock),
        connections: tcp_connections(listener),
        address,
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, is_ready) = oneshot::channel();
    let path = data.to_owned();
    let task = tokio::spawn(async move {
        let shutdown = async {
            let _ = stopped.await;
        };
        serve(&path, config, environment, move |address| ready.send(address).unwrap(), shutdown).await
    });
    assert_eq!(is_ready.await.expect("it becomes ready"), address);
    Running { data: data.to_owned(), address, stop, task }
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(8), self.task).await.expect("it stops").unwrap().unwrap();
    }
    /// A field of the admin context.
    fn context(&self, field: &str) -> String {
        let text = std::fs::read_to_string(self.data.join("admin-context.yaml")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}: "))).unwrap();
        line.trim_matches('"').to_owned()
    }
    async fn channel(&self) -> Channel {
        let pin = self.context("ca_fingerprint").parse().unwrap();
        let endpoint: Endpoint = format!("127.0.0.1:{}", self.address.port()).parse().unwrap();
        connect(&endpoint, &pin, Arc::new(TcpDialer)).await.unwrap()
    }
    async fn admin(&self) -> OperatorClient {
        OperatorClient::new(self.channel().await, &self.context("token")).unwrap()
    }
    async fn enroll(&self, key: &SigningKey) -> Enrolled {
        let wish = CreateEnrollmentToken { label: "web-1".into(), tenant: None, ttl_seconds: None };
        let token = self.admin().await.create_enrollment_token(wish).await.unwrap().token;
        let found = EnrollmentClaims::peek(&token).unwrap();
        assert_eq!(found.endpoint.port(), self.address.port(), "the port that is really bound");
        let mut client = EnrollmentClient::new(
            connect(&found.endpoint, &found.ca_fingerprint, Arc::new(TcpDialer)).await.unwrap(),
        );
        let capabilities = Capabilities { hostname: "h".into(), ..Capabilities::default() };
        let attest = AttestRequest { public_key: key.public(), capabilities: capabilities.clone() };
        let nonce = client.attest(attest).await.unwrap();
        let credential = Credential::Enrollment(token);
        let signature = prove(key, &credential, &nonce);
        let challenge =
            ChallengeRequest { public_key: key.public(), nonce, signature, credential, capabilities };
        client.challenge(challenge).await.unwrap()
    }
    /// Opens a stream, and gives what Hello was answered with and what ends the stream.
    async fn hello(
        &self,
        key: &SigningKey,
        enrolled: &Enrolled,
    ) -> (Command, aegis_wire::edge::CommandStream) {
        let route = Route { sender: enrolled.node_id.as_str(), stream: &format!("s-{}", self.address) };
        let hello =
            Event::Hello { node_token: enrolled.node_token.clone(), capabilities: Capabilities::default() };
        let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        let envelope = seal(key, route, &mut Outbound::default(), now, &hello).unwrap();
        let outgoing = futures::stream::iter([envelope]).chain(futures::stream::pending());
        let mut commands = EdgeClient::new(self.channel().await).connect(outgoing).await.unwrap();
        let first = commands.next().await.unwrap().unwrap();
        let mut inbound = Inbound::new(enrolled.server_key.sender(), route.stream);
        let command = open(first, &enrolled.server_key.public, &mut inbound, now).unwrap().body;
        (command, commands)
    }
}

async fn write_group(client: &OperatorClient, name: &'static str) -> Revision {
    let owner = Owner::new("fleet").unwrap();
    let key = ObjectKey::new("EdgeGroup", name);
    let plan =
        client.begin_plan(BeginPlan { owner, source: "test".into(), owns: vec![key.clone()] }).await.unwrap();
    let body = bytes::Bytes::from_static(br#"{"spec":{"selector":"all"}}"#);
    let write = ObjectWrite {
        key,
        base: Revision(0),
        write: Write::Put(body),
        steps: vec![],
        outcome: Outcome::Created,
        value: None,
    };
    client.write_objects(plan, vec![write]).await.unwrap().remove(0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_is_itself_again_after_a_stop_and_after_a_restore() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let first = start(&data, ControllerConfig::default()).await;
    let mode = data.join("admin-context.yaml").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (ca, token) = (first.context("ca_fingerprint"), first.context("token"));
    let admin = first.admin().await;
    assert!(admin.who_am_i().await.unwrap().controller_scope);

    let key = SigningKey::generate().unwrap();
    let enrolled = first.enroll(&key).await;
    let (welcome, stream) = first.hello(&key, &enrolled).await;
    assert!(matches!(welcome, Command::Welcome { .. }), "{welcome:?}");
    let nodes = admin.list_nodes(ListNodes { connected: true, ..ListNodes::default() }).await.unwrap();
    assert_eq!((nodes[0].name.as_str(), nodes.len()), ("web-1", 1));
    let revision = write_group(&admin, "web").await;
    let pieces: Vec<_> = admin.backup().await.unwrap().try_collect().await.unwrap();
    let backup = directory.path().join("backup.tar");
    std::fs::write(&backup, pieces.concat()).unwrap();
    write_group(&admin, "late").await;
    drop(admin);
    first.stop().await;
    let last: Vec<_> = stream.collect().await;
    assert!(
        last.iter().any(|item| item.as_ref().is_err_and(|error| error.code == Code::Unavailable)),
        "{last:?}"
    );

    let second = start(&data, ControllerConfig::default()).await;
    assert_eq!((second.context("ca_fingerprint"), second.context("token")), (ca.clone(), token.clone()));
    let admin = second.admin().await;
    assert_eq!(admin.get_object(&ObjectKey::new("EdgeGroup", "web")).await.unwrap().revision, revision);
    admin.get_object(&ObjectKey::new("EdgeGroup", "late")).await.unwrap();
    assert!(admin.verify_audit().await.unwrap().intact);
    second.hello(&key, &enrolled).await;
    drop(admin);
    second.stop().await;

    let new = directory.path().join("new");
    restore(&backup, &new).unwrap();
    let third = start(&new, ControllerConfig::default()).await;
    assert_eq!((third.context("ca_fingerprint"), third.context("token")), (ca, token));
    let admin = third.admin().await;
    admin.get_object(&ObjectKey::new("EdgeGroup", "web")).await.unwrap();
    let late = admin.get_object(&ObjectKey::new("EdgeGroup", "late")).await.unwrap_err();
    assert_eq!(late.code, Code::NotFound);
    assert!(
        !admin.list_changes(revision).await.unwrap().complete,
        "what the lost one said isn't taken for current"
    );
    assert!(admin.verify_audit().await.unwrap().intact);
    third.hello(&key, &enrolled).await;
    drop(admin);
    third.stop().await;
}

#[tokio::test]
async fn a_damaged_context_is_written_anew_and_its_endpoint_follows() {
    let directory = tempfile::tempdir().unwrap();
    let first = start(directory.path(), ControllerConfig::default()).await;
    let token = first.context("token");
    first.stop().await;
    let public: Endpoint = "localhost:7".parse().unwrap();
    let config = ControllerConfig { public_endpoint: Some(public), ..ControllerConfig::default() };
    let second = start(directory.path(), config).await;
    assert_eq!(
        (second.context("endpoint"), second.context("token")),
        ("localhost:7".to_owned(), token.clone())
    );
    second.stop().await;
    std::fs::write(directory.path().join("admin-context.yaml"), "endpoint: [").unwrap();
    let third = start(directory.path(), ControllerConfig::default()).await;
    assert_ne!(third.context("token"), token);
    third.admin().await.who_am_i().await.unwrap();
    third.stop().await;
}

#[tokio::test]
async fn plain_text_is_for_loopback_only() {
    let directory = tempfile::tempdir().unwrap();
    let config = ControllerConfig { plaintext: true, ..ControllerConfig::default() };
    let running = start(directory.path(), config.clone()).await;
    let endpoint: Endpoint = running.address.to_string().parse().unwrap();
    let channel = aegis_wire::dial::connect_plaintext(&endpoint, Arc::new(TcpDialer)).await.unwrap();
    OperatorClient::new(channel, &running.context("token")).unwrap().who_am_i().await.unwrap();
    running.stop().await;
    let environment = Environment {
        store: Arc::new(aegis_store::MemoryStore::new()),
        clock: Arc::new(SystemClock),
        connections: futures::stream::empty::<std::io::Result<(tokio::io::DuplexStream, SocketAddr)>>(),
        address: "10.0.0.1:50056".parse().unwrap(),
    };
    let error =
        serve(directory.path(), config, environment, |_| (), std::future::pending()).await.unwrap_err();
    assert!(matches!(error, RunError::Plaintext(_)), "{error}");
}
