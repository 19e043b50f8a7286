//! First contact: two calls before there is an identity (2-protocol.md, "Enrolment"). The same two calls bring back a
//! node that was away for longer than its node token lived.

use std::{net::SocketAddr, sync::Arc};

use aegis_core::{NodeId, TenantId};
use bytes::Bytes;
use sha2::{Digest, Sha256};
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

/// Asks for another key, or with the same key for another token.
#[derive(Debug, Clone)]
pub struct RotateRequest {
    /// The node.
    pub node_id: NodeId,
    /// Its last node token.
    pub node_token: String,
    /// The key that it is to have from now on; its own: only the token is new.
    pub new_key: PublicKey,
    /// From [`AttestRequest`] with the new key.
    pub nonce: [u8; 32],
    /// See [`RotateRequest::sign`].
    pub new_signature: Bytes,
    /// By the key that it had so far.
    pub old_signature: Bytes,
}

impl RotateRequest {
    /// The request, signed by both keys.
    pub fn sign(
        node_id: NodeId,
        node_token: String,
        nonce: [u8; 32],
        old: &SigningKey,
        new: &SigningKey,
    ) -> Self {
        let mut request = Self {
            node_id,
            node_token,
            new_key: new.public(),
            nonce,
            new_signature: Bytes::new(),
            old_signature: Bytes::new(),
        };
        request.new_signature = Bytes::copy_from_slice(&new.sign(&request.digest()));
        request.old_signature = Bytes::copy_from_slice(&old.sign(&request.request_bytes()));
        request
    }

    /// What the new key signs: it proves that the host has it, now, for this node.
    fn digest(&self) -> [u8; 32] {
        let digest = Sha256::new().chain_update(b"aegis-edge-rotate").chain_update(self.node_id.as_str());
        digest.chain_update(self.new_key.as_bytes()).chain_update(self.nonce).finalize().into()
    }

    /// What the old key signs: the whole request.
    fn request_bytes(&self) -> Vec<u8> {
        let parts: [&[u8]; 6] = [
            b"aegis-edge-rotate-request",
            self.node_id.as_str().as_bytes(),
            self.node_token.as_bytes(),
            self.new_key.as_bytes(),
            &self.nonce,
            &self.new_signature,
        ];
        // A part longer than 4 GiB doesn't fit a gRPC message.
        let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes();
        parts.iter().flat_map(|part| [&length(part), *part].concat()).collect()
    }

    /// Whether who asks has the new key.
    pub fn has_new_key(&self) -> bool {
        self.new_key.verify(&self.digest(), &self.new_signature)
    }

    /// Whether who asks has the key `old`, and wants exactly this.
    pub fn is_asked_by(&self, old: &PublicKey) -> bool {
        old.verify(&self.request_bytes(), &self.old_signature)
    }
}

/// What a rotation gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The node token for the new key.
    pub node_token: String,
    /// The controller's signing key, which must be the one that the host pinned.
    pub server_key: ServerKey,
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
    /// Gives a node another key, in one transaction. Asked by who has the node's key already, it gives a token.
    fn rotate(
        &self,
        peer: SocketAddr,
        request: RotateRequest,
    ) -> impl Future<Output = Result<Rotated, ApiError>> + Send;
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
            capabilities: capabilities(request.capabilities)?,
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
        let nonce = nonce_of(&request.nonce)?;
        let request = ChallengeRequest {
            public_key: public_key(&request.public_key)?,
            nonce,
            signature: request.signature,
            credential: match request.token {
                Some(challenge_request::Token::EnrollmentToken(token)) => Credential::Enrollment(token),
                Some(challenge_request::Token::NodeToken(token)) => Credential::Node(token),
                None => return Err(ApiError::invalid("a challenge without a token").into()),
            },
            capabilities: capabilities(request.capabilities)?,
        };
        let enrolled = self.0.challenge(peer, request).await?;
        Ok(Response::new(proto::ChallengeResponse {
            node_id: enrolled.node_id.into(),
            tenant: enrolled.tenant.into(),
            node_token: enrolled.node_token,
            server_key: Some(server_key_to_proto(enrolled.server_key)),
            name: enrolled.name,
        }))
    }

    async fn rotate(
        &self,
        request: Request<proto::RotateRequest>,
    ) -> Result<Response<proto::RotateResponse>, Status> {
        let peer = peer_of(&request)?;
        let request = request.into_inner();
        let request = RotateRequest {
            node_id: NodeId::new(request.node_id).map_err(|error| ApiError::invalid(error.to_string()))?,
            node_token: request.node_token,
            new_key: public_key(&request.new_public_key)?,
            nonce: nonce_of(&request.nonce)?,
            new_signature: request.new_signature,
            old_signature: request.old_signature,
        };
        let rotated = self.0.rotate(peer, request).await?;
        Ok(Response::new(proto::RotateResponse {
            node_token: rotated.node_token,
            server_key: Some(server_key_to_proto(rotated.server_key)),
        }))
    }
}

fn capabilities(from: Option<proto::Capabilities>) -> Result<Capabilities, ApiError> {
    let capabilities = from.unwrap_or_default().try_into();
    capabilities.map_err(|error: crate::envelope::Malformed| ApiError::invalid(error.to_string()))
}

fn nonce_of(bytes: &[u8]) -> Result<[u8; 32], ApiError> {
    bytes.try_into().map_err(|_| ApiError::invalid("a nonce has 32 bytes"))
}

fn server_key_to_proto(key: ServerKey) -> proto::ServerKey {
    proto::ServerKey { key_id: key.key_id, public_key: Bytes::copy_from_slice(key.public.as_bytes()) }
}

fn server_key_from_proto(key: Option<proto::ServerKey>) -> Result<ServerKey, ApiError> {
    let key = key.unwrap_or_default();
    let public = PublicKey::from_bytes(&key.public_key);
    Ok(ServerKey {
        key_id: key.key_id,
        public: public.map_err(|error| ApiError::unreadable("server key", error))?,
    })
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
        Ok(Enrolled {
            node_id: NodeId::new(answer.node_id).map_err(|error| ApiError::unreadable("node id", error))?,
            tenant: TenantId::new(answer.tenant).map_err(|error| ApiError::unreadable("tenant", error))?,
            node_token: answer.node_token,
            server_key: server_key_from_proto(answer.server_key)?,
            name: answer.name,
        })
    }

    /// Asks for another key, or another token. The same request may be said again.
    pub async fn rotate(&mut self, request: RotateRequest) -> Result<Rotated, ApiError> {
        let request = proto::RotateRequest {
            node_id: request.node_id.into(),
            node_token: request.node_token,
            new_public_key: Bytes::copy_from_slice(request.new_key.as_bytes()),
            nonce: Bytes::copy_from_slice(&request.nonce),
            new_signature: request.new_signature,
            old_signature: request.old_signature,
        };
        let answer = self.0.rotate(request).await?.into_inner();
        Ok(Rotated { node_token: answer.node_token, server_key: server_key_from_proto(answer.server_key)? })
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
    fn a_rotation_is_signed_by_both_keys_for_one_node_token_and_nonce() {
        let (old, new) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let node = NodeId::of_public_key(old.public().as_bytes());
        let request = RotateRequest::sign(node, "token".into(), [9; 32], &old, &new);
        assert!(request.has_new_key() && request.is_asked_by(&old.public()));
        assert!(!request.is_asked_by(&new.public()));
        let other = NodeId::of_public_key(&[7; 32]);
        let altered = |change: &dyn Fn(&mut RotateRequest)| {
            let mut request = request.clone();
            change(&mut request);
            (request.has_new_key(), request.is_asked_by(&old.public()))
        };
        assert_eq!(altered(&|r| r.node_id = other.clone()), (false, false));
        assert_eq!(altered(&|r| r.nonce = [8; 32]), (false, false));
        assert_eq!(altered(&|r| r.new_key = SigningKey::from_seed(&[3; 32]).public()), (false, false));
        assert_eq!(altered(&|r| r.node_token = "other".into()), (true, false));
        assert_eq!(altered(&|r| r.new_signature = Bytes::from_static(&[0; 64])), (false, false));
        assert_eq!(altered(&|r| r.old_signature = r.new_signature.clone()), (true, false));
    }

    #[test]
    fn what_the_new_key_signs_is_laid_out_as_the_proto_file_says() {
        let (old, new) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let node = NodeId::of_public_key(old.public().as_bytes());
        let request = RotateRequest::sign(node.clone(), "token".into(), [9; 32], &old, &new);
        let bytes =
            [b"aegis-edge-rotate", node.as_str().as_bytes(), new.public().as_bytes(), &[9; 32]].concat();
        assert!(new.public().verify(&Sha256::digest(bytes), &request.new_signature));
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
