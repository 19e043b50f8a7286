//! First contact: two calls before there is an identity (2-protocol.md, "Enrolment"). The same two calls bring back a
//! node that was away for longer than its node token lived.

use std::{net::SocketAddr, sync::Arc};

use aegis_core::{NodeId, TenantId};
use bytes::Bytes;
use tonic::{Request, Response, Status};

use crate::{
    dial::Channel,
    edge::Capabilities,
    error::ApiError,
    keys::{PublicKey, ServerKey, SigningKey},
    proto::{self, challenge_request, enrollment_client, enrollment_server},
    server::peer_of,
};

/// Asks for a nonce.
#[derive(Debug, Clone)]
pub struct AttestRequest {
    /// The node's key.
    pub public_key: PublicKey,
    /// What the host is.
    pub capabilities: Capabilities,
}

/// What a host shows, beside the possession of its key, to get a node token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Who enrols: an enrolment token.
    Enrollment(String),
    /// Who comes back after its node token has ended: that token. It is worth nothing without the key.
    Node(String),
}

impl Credential {
    /// In front of what is signed: a signature made for one kind of token is none for the other.
    const fn domain(&self) -> &'static [u8] {
        match self {
            Self::Enrollment(_) => b"aegis-edge-enroll",
            Self::Node(_) => b"aegis-edge-reattest",
        }
    }
    fn token(&self) -> &str {
        match self {
            Self::Enrollment(token) | Self::Node(token) => token,
        }
    }
}

/// Asks for a node token.
#[derive(Debug, Clone)]
pub struct ChallengeRequest {
    /// The node's key.
    pub public_key: PublicKey,
    /// The nonce from [`AttestRequest`].
    pub nonce: [u8; 32],
    /// See [`prove`]. Check it with [`is_proven`].
    pub signature: Bytes,
    /// Why it should get one.
    pub credential: Credential,
    /// What the host is.
    pub capabilities: Capabilities,
}

/// What an enrolled node gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The node's id.
    pub node_id: NodeId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The `NodeSecurityToken`.
    pub node_token: String,
    /// The controller's signing key, to be pinned.
    pub server_key: ServerKey,
    /// The host's name in listings.
    pub name: String,
}

/// What is signed to prove the possession of the key: bound to this token and its kind, this nonce, this key.
fn proof_bytes(credential: &Credential, nonce: &[u8; 32], key: &PublicKey) -> Vec<u8> {
    let token = credential.token();
    // A token longer than 4 GiB doesn't fit a gRPC message.
    let length = u32::try_from(token.len()).unwrap_or(u32::MAX).to_be_bytes();
    [credential.domain(), &length, token.as_bytes(), nonce, key.as_bytes()].concat()
}

/// Signs for [`ChallengeRequest::signature`].
pub fn prove(key: &SigningKey, credential: &Credential, nonce: &[u8; 32]) -> Bytes {
    Bytes::copy_from_slice(&key.sign(&proof_bytes(credential, nonce, &key.public())))
}

/// Whether the request is signed by the key that it names, for the token and nonce that it names.
pub fn is_proven(request: &ChallengeRequest) -> bool {
    let bytes = proof_bytes(&request.credential, &request.nonce, &request.public_key);
    request.public_key.verify(&bytes, &request.signature)
}

/// What a controller does with hosts that enrol.
pub trait EnrollmentService: Send + Sync + 'static {
    /// Gives a nonce that is good for five minutes and one use.
    fn attest(
        &self,
        peer: SocketAddr,
        request: AttestRequest,
    ) -> impl Future<Output = Result<[u8; 32], ApiError>> + Send;
    /// Gives a node token. For an enrolment token it makes the node, and redeems the token in the same transaction.
    fn challenge(
        &self,
        peer: SocketAddr,
        request: ChallengeRequest,
    ) -> impl Future<Output = Result<Enrolled, ApiError>> + Send;
}

/// An [`EnrollmentService`] as tonic wants it.
pub(crate) struct EnrollmentAdapter<T>(pub Arc<T>);

fn public_key(bytes: &[u8]) -> Result<PublicKey, ApiError> {
    PublicKey::from_bytes(bytes).map_err(|error| ApiError::invalid(error.to_string()))
}

#[tonic::async_trait]
impl<T: EnrollmentService> enrollment_server::Enrollment for EnrollmentAdapter<T> {
    async fn attest(
        &self,
        request: Request<proto::AttestRequest>,
    ) -> Result<Response<proto::AttestResponse>, Status> {
        let peer = peer_of(&request)?;
        let request = request.into_inner();
        let request = AttestRequest {
            public_key: public_key(&request.public_key)?,
            capabilities: request.capabilities.unwrap_or_default().into(),
        };
        let nonce = self.0.attest(peer, request).await?;
        Ok(Response::new(proto::AttestResponse { nonce: Bytes::copy_from_slice(&nonce) }))
    }

    async fn challenge(
        &self,
        request: Request<proto::ChallengeRequest>,
    ) -> Result<Response<proto::ChallengeResponse>, Status> {
        let peer = peer_of(&request)?;
        let request = request.into_inner();
        let nonce =
            request.nonce.as_ref().try_into().map_err(|_| ApiError::invalid("a nonce has 32 bytes"))?;
        let request = ChallengeRequest {
            public_key: public_key(&request.public_key)?,
            nonce,
            signature: request.signature,
            credential: match request.token {
                Some(challenge_request::Token::EnrollmentToken(token)) => Credential::Enrollment(token),
                Some(challenge_request::Token::NodeToken(token)) => Credential::Node(token),
                None => return Err(ApiError::invalid("a challenge without a token").into()),
            },
            capabilities: request.capabilities.unwrap_or_default().into(),
        };
        let enrolled = self.0.challenge(peer, request).await?;
        Ok(Response::new(proto::ChallengeResponse {
            node_id: enrolled.node_id.into(),
            tenant: enrolled.tenant.into(),
            node_token: enrolled.node_token,
            server_key: Some(proto::ServerKey {
                key_id: enrolled.server_key.key_id,
                public_key: Bytes::copy_from_slice(enrolled.server_key.public.as_bytes()),
            }),
            name: enrolled.name,
        }))
    }
}

/// The host's end.
#[derive(Debug, Clone)]
pub struct EnrollmentClient(enrollment_client::EnrollmentClient<tonic::transport::Channel>);

impl EnrollmentClient {
    /// A client on this connection.
    pub fn new(channel: Channel) -> Self {
        Self(enrollment_client::EnrollmentClient::new(channel.into_tonic()))
    }

    /// Asks for a nonce.
    pub async fn attest(&mut self, request: AttestRequest) -> Result<[u8; 32], ApiError> {
        let request = proto::AttestRequest {
            public_key: Bytes::copy_from_slice(request.public_key.as_bytes()),
            capabilities: Some(request.capabilities.into()),
        };
        let nonce = self.0.attest(request).await?.into_inner().nonce;
        nonce.as_ref().try_into().map_err(|_| ApiError::unreadable("nonce", "it hasn't 32 bytes"))
    }

    /// Asks for a node token. A failure says whether an enrolment token can be used again.
    pub async fn challenge(&mut self, request: ChallengeRequest) -> Result<Enrolled, ApiError> {
        let request = proto::ChallengeRequest {
            public_key: Bytes::copy_from_slice(request.public_key.as_bytes()),
            nonce: Bytes::copy_from_slice(&request.nonce),
            signature: request.signature,
            token: Some(match request.credential {
                Credential::Enrollment(token) => challenge_request::Token::EnrollmentToken(token),
                Credential::Node(token) => challenge_request::Token::NodeToken(token),
            }),
            capabilities: Some(request.capabilities.into()),
        };
        let answer = self.0.challenge(request).await?.into_inner();
        let key = answer.server_key.unwrap_or_default();
        Ok(Enrolled {
            node_id: NodeId::new(answer.node_id).map_err(|error| ApiError::unreadable("node id", error))?,
            tenant: TenantId::new(answer.tenant).map_err(|error| ApiError::unreadable("tenant", error))?,
            node_token: answer.node_token,
            server_key: ServerKey {
                key_id: key.key_id,
                public: PublicKey::from_bytes(&key.public_key)
                    .map_err(|error| ApiError::unreadable("server key", error))?,
            },
            name: answer.name,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_proof_fits_one_key_one_token_of_one_kind_one_nonce() {
        let key = SigningKey::from_seed(&[1; 32]);
        for (credential, of_the_other_kind) in [
            (Credential::Enrollment("token".into()), Credential::Node("token".into())),
            (Credential::Node("token".into()), Credential::Enrollment("token".into())),
        ] {
            let request = ChallengeRequest {
                public_key: key.public(),
                nonce: [9; 32],
                signature: prove(&key, &credential, &[9; 32]),
                credential: credential.clone(),
                capabilities: Capabilities::default(),
            };
            assert!(is_proven(&request));
            assert!(!is_proven(&ChallengeRequest { credential: of_the_other_kind, ..request.clone() }));
            assert!(!is_proven(&ChallengeRequest { nonce: [8; 32], ..request.clone() }));
            let another = Credential::Enrollment("other".into());
            assert!(!is_proven(&ChallengeRequest { credential: another, ..request.clone() }));
            let other = SigningKey::from_seed(&[2; 32]);
            assert!(!is_proven(&ChallengeRequest { public_key: other.public(), ..request.clone() }));
            let signature = prove(&other, &credential, &[9; 32]);
            assert!(!is_proven(&ChallengeRequest { signature, ..request }));
        }
    }

    #[test]
    fn the_proof_is_laid_out_as_the_proto_file_says() {
        let key = SigningKey::from_seed(&[1; 32]).public();
        for (credential, domain) in [
            (Credential::Enrollment("tok".into()), b"aegis-edge-enroll".as_slice()),
            (Credential::Node("tok".into()), b"aegis-edge-reattest"),
        ] {
            let expected = [domain, b"\0\0\0\x03tok", &[9; 32], key.as_bytes()].concat();
            assert_eq!(proof_bytes(&credential, &[9; 32], &key), expected);
        }
    }
}
