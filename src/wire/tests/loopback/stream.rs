//! Enrolment and the daemon's stream, from end to end.

use aegis_core::session::{Inbound, Outbound};
use aegis_wire::{
    ApiError, Code, Envelope, SigningKey, Unverified,
    edge::{Capabilities, Command, CommandStream, EdgeClient, Event},
    enrollment::{AttestRequest, ChallengeRequest, Credential, EnrollmentClient, RotateRequest, prove},
    envelope::{Route, open, seal},
};
use futures::{StreamExt, channel::mpsc};

use crate::{
    Running,
    controller::{NONCE, NOW_MS, TOKEN, node_id, node_key, server_key},
};

fn capabilities(hostname: &str) -> Capabilities {
    Capabilities { hostname: hostname.into(), os: "linux".into(), ..Capabilities::default() }
}

#[tokio::test]
async fn a_host_enrols() {
    let server = Running::start(&["127.0.0.1"]).await;
    let mut client = EnrollmentClient::new(server.connect().await);
    let (key, capabilities) = (node_key(), capabilities("web-1"));
    let attest = AttestRequest { public_key: key.public(), capabilities: capabilities.clone() };
    let nonce = client.attest(attest).await.unwrap();
    assert_eq!(nonce, NONCE);
    let credential = Credential::Enrollment(TOKEN.into());
    let challenge = ChallengeRequest {
        public_key: key.public(),
        nonce,
        signature: prove(&key, &credential, &nonce),
        credential,
        capabilities,
    };
    let enrolled = client.challenge(challenge.clone()).await.unwrap();
    assert_eq!((enrolled.node_id, enrolled.name.as_str()), (node_id(), "web-1"));
    assert_eq!(enrolled.server_key, server_key().public());

    // As a node token, the same text gets nothing.
    let credential = Credential::Node(TOKEN.into());
    let (signature, was) = (prove(&key, &credential, &nonce), challenge.clone());
    let moved = ChallengeRequest { credential, signature, ..was };
    assert_eq!(client.challenge(moved).await.unwrap_err().code, Code::Unauthenticated);

    let forged = ChallengeRequest { signature: vec![0; 64].into(), ..challenge };
    let error = client.challenge(forged).await.unwrap_err();
    assert_eq!(error, ApiError::unauthenticated("the proof doesn't fit; the token is still good"));
}

#[tokio::test]
async fn a_key_is_rotated() {
    let server = Running::start(&["127.0.0.1"]).await;
    let mut client = EnrollmentClient::new(server.connect().await);
    let new = SigningKey::from_seed(&[9; 32]);
    let request = RotateRequest::sign(node_id(), "token".into(), NONCE, &node_key(), &new);
    let rotated = client.rotate(request.clone()).await.unwrap();
    assert_eq!((rotated.node_token.as_str(), rotated.server_key), ("token-next", server_key().public()));
    let forged = RotateRequest { old_signature: vec![0; 64].into(), ..request };
    assert_eq!(client.rotate(forged).await.unwrap_err().code, Code::Unauthenticated);
}

#[tokio::test]
async fn a_refusal_keeps_its_hint() {
    let server = Running::start(&["127.0.0.1"]).await;
    let mut client = EnrollmentClient::new(server.connect().await);
    let attest = AttestRequest { public_key: node_key().public(), capabilities: capabilities("flood") };
    let error = client.attest(attest).await.unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), (Code::Exhausted, Some("try again in a second")));
}

/// The daemon's end of a stream.
struct Daemon {
    outgoing: mpsc::UnboundedSender<Envelope>,
    commands: CommandStream,
    outbound: Outbound,
    inbound: Inbound,
}

const STREAM: &str = "s-1";

fn sealed(outbound: &mut Outbound, event: &Event) -> Envelope {
    let sender = node_id().to_string();
    seal(&node_key(), Route { sender: &sender, stream: STREAM }, outbound, NOW_MS, event).unwrap()
}

impl Daemon {
    async fn connect(server: &Running) -> Result<Self, ApiError> {
        let mut outbound = Outbound::default();
        let hello = Event::Hello { node_token: "node-token".into(), capabilities: capabilities("web-1") };
        let (outgoing, events) = mpsc::unbounded();
        outgoing.unbounded_send(sealed(&mut outbound, &hello)).unwrap();
        let commands = EdgeClient::new(server.connect().await).connect(events).await?;
        let inbound = Inbound::new(server_key().public().sender(), STREAM);
        Ok(Self { outgoing, commands, outbound, inbound })
    }

    fn send(&mut self, event: &Event) {
        self.outgoing.unbounded_send(sealed(&mut self.outbound, event)).unwrap();
    }

    async fn receive(&mut self) -> Result<Command, ApiError> {
        let unverified: Unverified = self.commands.next().await.unwrap()?;
        Ok(open(unverified, &server_key().public().public, &mut self.inbound, NOW_MS).unwrap().body)
    }
}

#[tokio::test]
async fn a_daemon_talks_with_its_controller() {
    let server = Running::start(&["127.0.0.1"]).await;
    let mut daemon = Daemon::connect(&server).await.unwrap();
    let welcome = Command::Welcome { name: "web-1".into(), tags: vec!["prod".into()], drain: false };
    assert_eq!(daemon.receive().await.unwrap(), welcome);
    for (event, command) in [
        (Event::Heartbeat { draining: false, in_flight: 0 }, Command::HeartbeatAck),
        (Event::TokenRequest, Command::NodeToken { token: "next".into() }),
        (Event::CapabilityUpdate(capabilities("web-2")), Command::Drain { enabled: true }),
    ] {
        daemon.send(&event);
        assert_eq!(daemon.receive().await.unwrap(), command);
    }
    daemon.send(&Event::Ack { sequence: 4 });
    let end = daemon.receive().await.unwrap_err();
    assert_eq!(end, ApiError::permission_denied("revoked after 4").hint("enrol again"));
    assert!(daemon.commands.next().await.is_none());
}

#[tokio::test]
async fn a_replayed_event_ends_the_stream() {
    let server = Running::start(&["127.0.0.1"]).await;
    let mut daemon = Daemon::connect(&server).await.unwrap();
    daemon.receive().await.unwrap();
    let beat = sealed(&mut daemon.outbound, &Event::Heartbeat { draining: false, in_flight: 0 });
    daemon.outgoing.unbounded_send(beat.clone()).unwrap();
    daemon.receive().await.unwrap();
    daemon.outgoing.unbounded_send(beat).unwrap();
    let end = daemon.receive().await.unwrap_err();
    assert_eq!(end, ApiError::unauthenticated("the envelope's sequence is 2, expected 3"));
}

/// What is larger than anybody needs to say who it is.
fn large() -> Capabilities {
    Capabilities { local_tools: vec!["x".repeat(70 * 1024)], ..capabilities("web-1") }
}

#[tokio::test]
async fn a_first_message_is_small_and_later_ones_need_not_be() {
    let server = Running::start(&["127.0.0.1"]).await;
    let (outgoing, events) = mpsc::unbounded();
    let hello = Event::Hello { node_token: "node-token".into(), capabilities: large() };
    outgoing.unbounded_send(sealed(&mut Outbound::default(), &hello)).unwrap();
    let refused = EdgeClient::new(server.connect().await).connect(events).await.unwrap_err();
    assert_eq!(refused, ApiError::exhausted("the first message is larger than 64 KiB"));

    let mut daemon = Daemon::connect(&server).await.unwrap();
    daemon.receive().await.unwrap();
    for _ in 0..3 {
        daemon.send(&Event::CapabilityUpdate(large()));
        assert_eq!(daemon.receive().await.unwrap(), Command::Drain { enabled: true });
    }
}

#[tokio::test]
async fn a_thousand_events_arrive_in_order() {
    let server = Running::start(&["127.0.0.1"]).await;
    let mut daemon = Daemon::connect(&server).await.unwrap();
    daemon.receive().await.unwrap();
    for in_flight in 0..1000 {
        daemon.send(&Event::Heartbeat { draining: false, in_flight });
    }
    for _ in 0..1000 {
        assert_eq!(daemon.receive().await.unwrap(), Command::HeartbeatAck);
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_daemon_and_the_server_stops() {
    let server = Running::start(&["127.0.0.1"]).await;
    let mut daemon = Daemon::connect(&server).await.unwrap();
    daemon.receive().await.unwrap();
    daemon.outgoing.close_channel();
    assert!(daemon.commands.next().await.is_none());
    drop(daemon);
    server.stop().await;
}
