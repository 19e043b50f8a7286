//! A controller that enrols one kind of host and answers heartbeats.

use std::net::SocketAddr;

use aegis_core::{
    NodeId, TenantId,
    session::{Inbound, Outbound},
};
use aegis_wire::{
    ApiError, Envelope, ServerSigningKey, SigningKey, Unverified,
    edge::{Command, EdgeService, Event, EventStream},
    enrollment::{
        AttestRequest, ChallengeRequest, Credential, Enrolled, EnrollmentService, RotateRequest, Rotated,
        is_proven,
    },
    envelope::{Route, open, seal},
};
use futures::{StreamExt, stream, stream::BoxStream};

pub const NONCE: [u8; 32] = [5; 32];
pub const TOKEN: &str = "enrolment-token";
pub const NOW_MS: i64 = 1_790_000_000_000;

pub fn node_key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

pub fn node_id() -> NodeId {
    NodeId::of_public_key(node_key().public().as_bytes())
}

pub fn server_key() -> ServerSigningKey {
    ServerSigningKey::new(SigningKey::from_seed(&[2; 32]))
}

pub struct Controller;

impl EnrollmentService for Controller {
    async fn attest(&self, peer: SocketAddr, request: AttestRequest) -> Result<[u8; 32], ApiError> {
        assert!(peer.ip().is_loopback());
        if request.capabilities.hostname == "flood" {
            return Err(
                ApiError::exhausted("too many requests from this address").hint("try again in a second")
            );
        }
        Ok(NONCE)
    }

    async fn challenge(&self, _: SocketAddr, request: ChallengeRequest) -> Result<Enrolled, ApiError> {
        if request.nonce != NONCE
            || request.credential != Credential::Enrollment(TOKEN.into())
            || !is_proven(&request)
        {
            return Err(ApiError::unauthenticated("the proof doesn't fit; the token is still good"));
        }
        Ok(Enrolled {
            node_id: NodeId::of_public_key(request.public_key.as_bytes()),
            tenant: TenantId::new("default").unwrap(),
            node_token: "node-token".into(),
            server_key: server_key().public(),
            name: request.capabilities.hostname,
        })
    }

    async fn rotate(&self, _: SocketAddr, request: RotateRequest) -> Result<Rotated, ApiError> {
        if request.nonce != NONCE || !request.has_new_key() || !request.is_asked_by(&node_key().public()) {
            return Err(ApiError::unauthenticated("the node's key or token isn't accepted"));
        }
        Ok(Rotated { node_token: request.node_token + "-next", server_key: server_key().public() })
    }
}

/// One stream, at the controller.
struct Session {
    incoming: EventStream,
    inbound: Inbound,
    outbound: Outbound,
    stream: String,
}

impl Session {
    fn answer(&mut self, unverified: Unverified) -> Result<Envelope, ApiError> {
        let refused = |error: &dyn std::fmt::Display| ApiError::unauthenticated(error.to_string());
        let verified = open::<Event>(unverified, &node_key().public(), &mut self.inbound, NOW_MS)
            .map_err(|error| refused(&error))?;
        let command = match verified.body {
            Event::Hello { capabilities, .. } => {
                Command::Welcome { name: capabilities.hostname, tags: vec!["prod".into()], drain: false }
            }
            Event::Heartbeat { .. } => Command::HeartbeatAck,
            Event::TokenRequest => Command::NodeToken { token: "next".into() },
            Event::CapabilityUpdate(_) => Command::Drain { enabled: true },
            Event::CommandResult(result) => Command::Cancel { command: result.command },
            Event::CommandProgress { command, data, .. } => {
                Command::OutputCredit { command, bytes: u32::try_from(data.len()).unwrap() }
            }
            Event::ReportResult { revision, .. } => Command::Assign { revision, objects: vec![] },
            Event::Ack { sequence } => {
                return Err(
                    ApiError::permission_denied(format!("revoked after {sequence}")).hint("enrol again")
                );
            }
        };
        let (key, sender) = (server_key(), server_key().public().sender());
        let route = Route { sender: &sender, stream: &self.stream };
        Ok(seal(key.key(), route, &mut self.outbound, NOW_MS, &command).unwrap())
    }
}

impl EdgeService for Controller {
    type Commands = BoxStream<'static, Result<Envelope, ApiError>>;

    async fn connect(&self, _: SocketAddr, mut incoming: EventStream) -> Result<Self::Commands, ApiError> {
        let first = incoming.next().await.ok_or_else(|| ApiError::invalid("no Hello"))??;
        let stream = first.stream().to_owned();
        let inbound = Inbound::new(node_id().to_string(), stream.clone());
        let mut session = Session { incoming, inbound, outbound: Outbound::default(), stream };
        let welcome = session.answer(first)?;
        let rest = stream::unfold(Some(session), |session| async {
            let mut session = session?;
            let answer = match session.incoming.next().await? {
                Ok(unverified) => session.answer(unverified),
                Err(error) => Err(error),
            };
            let next = answer.is_ok().then_some(session);
            Some((answer, next))
        });
        Ok(stream::iter([Ok(welcome)]).chain(rest).boxed())
    }
}
