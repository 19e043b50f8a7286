//! First contact: a nonce, then a proof and a token for an identity (2-protocol.md, "Enrolment").
//!
//! The token is redeemed in the commit that makes the node. What fails before that leaves it usable; every refusal
//! says which of the two it is.

use std::{net::SocketAddr, sync::Arc};

use aegis_core::{NodeId, Revision};
use aegis_store::{Batch, CommitError};
use aegis_wire::{
    ApiError, Code, PublicKey, Reason,
    enrollment::{
        AttestRequest, ChallengeRequest, Credential, Enrolled, EnrollmentService, RotateRequest, Rotated,
        is_proven,
    },
    token::EnrollmentClaims,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    failed, keyspace,
    nodes::{self, Node, Standing, json},
    reattestation::Refused,
    state::Controller,
};

/// A token id that is spent: an enrolment token that was redeemed, or a node token that was revoked or rotated.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// By which node.
    pub node: NodeId,
    /// When the token ends by itself, in seconds since 1970: after that nobody needs to remember it.
    pub ends: i64,
}

/// Answers hosts that enrol.
#[derive(Debug, Clone)]
pub(crate) struct Enrollments(pub Arc<Controller>);

impl EnrollmentService for Enrollments {
    async fn attest(&self, peer: SocketAddr, request: AttestRequest) -> Result<[u8; 32], ApiError> {
        self.limit(peer)?;
        self.0
            .nonces
            .give(&request.public_key, Instant::now())
            .map_err(|error| ApiError::exhausted(error.to_string()).hint("try again in a minute"))
    }

    async fn challenge(&self, peer: SocketAddr, request: ChallengeRequest) -> Result<Enrolled, ApiError> {
        self.limit(peer)?;
        let (action, result) = match &request.credential {
            Credential::Enrollment(token) => {
                let refused = |answer: ApiError| (answer.message.clone(), answer);
                ("enroll", self.enroll(&request, token).await.map_err(refused))
            }
            Credential::Node(token) => {
                ("reattest", self.reattest(&request, token).await.map_err(|no| (no.rule, no.answer)))
            }
        };
        result.map_err(|(rule, answer)| {
            let id = NodeId::of_public_key(request.public_key.as_bytes());
            let detail = format!("{rule} (from {})", peer.ip());
            self.0.audit_refusal(self.0.event("", "", action, id.as_str(), &detail));
            answer
        })
    }

    async fn rotate(&self, peer: SocketAddr, request: RotateRequest) -> Result<Rotated, ApiError> {
        self.limit(peer)?;
        self.0.rotate(&request).await.map_err(|no| {
            let detail = format!("{} (from {})", no.rule, peer.ip());
            self.0.audit_refusal(self.0.event("", "", "rotate", request.node_id.as_str(), &detail));
            no.answer
        })
    }
}

impl Enrollments {
    fn limit(&self, peer: SocketAddr) -> Result<(), ApiError> {
        if self.0.enrollments.take(peer.ip(), Instant::now()) {
            return Ok(());
        }
        Err(ApiError::exhausted("too many enrolments from this address; the token is still usable")
            .reason(Reason::TokenUsable)
            .hint("try again in a few seconds"))
    }

    /// What holds for every token: a nonce that is used up by this, and the possession of the key.
    fn check(&self, request: &ChallengeRequest) -> Result<(), (Code, String)> {
        if !self.0.nonces.take(&request.nonce, &request.public_key, Instant::now()) {
            let message = "the nonce is unknown, used, or older than five minutes";
            return Err((Code::Invalid, message.to_owned()));
        }
        nodes::check_capabilities(&request.capabilities).map_err(|reason| (Code::Invalid, reason))?;
        if !is_proven(request) {
            return Err((Code::Unauthenticated, "the proof isn't by the key that it names".to_owned()));
        }
        Ok(())
    }

    async fn reattest(&self, request: &ChallengeRequest, token: &str) -> Result<Enrolled, Refused> {
        self.check(request).map_err(|(code, message)| ApiError::new(code, message))?;
        self.0.reattest(request, token).await
    }

    async fn enroll(&self, request: &ChallengeRequest, token: &str) -> Result<Enrolled, ApiError> {
        let controller = &self.0;
        self.check(request).map_err(|(code, message)| usable(code, &message))?;
        let claims =
            EnrollmentClaims::verify(token, &controller.keys, controller.now_seconds()).map_err(|error| {
                ApiError::unauthenticated(error.to_string())
                    .reason(error.reason())
                    .hint("ask for a new enrolment token")
            })?;
        // A tenant that is gone can't be told from a token that never was any good.
        if controller.tenant(&claims.tid).map_err(failed)?.is_none() {
            return Err(
                ApiError::unauthenticated("the token isn't accepted").hint("ask for a new enrolment token")
            );
        }
        if controller.is_spent(&claims.jti).map_err(failed)? {
            return Err(burnt());
        }
        let tools = nodes::check_tools(&request.capabilities, &controller.schemas).await;
        tools.map_err(|reason| usable(Code::Invalid, &reason))?;
        let mut label = is_host_name(&claims.sub).then_some(claims.sub.as_str());
        loop {
            if controller.is_spent(&claims.jti).map_err(failed)? {
                return Err(burnt());
            }
            let (node, base) = self.wished_node(request, &claims, label)?;
            let minted = controller.mint_node_token(&node).map_err(failed)?;
            let node = Node { jti: minted.claims.jti.clone(), ..node };
            match controller.store.commit(self.batch(&node, base.as_ref(), &claims)).await {
                Ok(_) => {
                    tracing::info!(node = %node.id, tenant = %node.tenant, name = node.name, "enrolled");
                    return Ok(Enrolled {
                        node_id: node.id,
                        tenant: node.tenant,
                        node_token: minted.token,
                        server_key: controller.signing.public(),
                        name: node.name,
                    });
                }
                // Somebody was faster: at the label, the token, or this very node. Look again.
                Err(CommitError::Stale { key, .. }) => {
                    if label.is_some_and(|label| key == keyspace::label(&claims.tid, label)) {
                        label = None;
                    }
                }
                // Whether the token is burnt isn't known; the host says so of every internal error.
                Err(CommitError::Store(error)) => return Err(failed(error)),
            }
        }
    }

    /// The node as it shall be, and as it is if it is there already.
    fn wished_node(
        &self,
        request: &ChallengeRequest,
        claims: &EnrollmentClaims,
        label: Option<&str>,
    ) -> Result<(Node, Option<(Node, Revision)>), ApiError> {
        let store = &*self.0.store;
        let id = nodes::of_key(store, &request.public_key).map_err(failed)?;
        let have = nodes::get(store, &id).map_err(failed)?;
        if let Some((have, _)) = &have {
            may_enroll_again(have, claims, &request.public_key)?;
        }
        let own = have.as_ref().map(|(node, _)| (node.name.as_str(), node.labelled));
        let free = match label {
            Some(label) if own == Some((label, true)) => Some(label),
            Some(label) => {
                // A revoked host is listed with its name, but gives it up.
                let taken = nodes::by_name(store, &claims.tid, label)?.iter().any(|node| !node.is_revoked())
                    || store.get(&keyspace::label(&claims.tid, label)).map_err(failed)?.is_some();
                (!taken).then_some(label)
            }
            None => None,
        };
        let hostname = request.capabilities.hostname.as_str();
        let (name, labelled) = match (free, own) {
            (Some(label), _) => (label, true),
            (None, Some(own)) => own,
            (None, None) if is_host_name(hostname) => (hostname, false),
            (None, None) => (id.as_str(), false),
        };
        let node = Node {
            name: name.to_owned(),
            labelled,
            tenant: claims.tid.clone(),
            public_key: request.public_key.clone(),
            capabilities: request.capabilities.clone(),
            standing: Standing::Enrolled,
            jti: String::new(),
            enrolled_at_ms: self.0.clock.now_ms(),
            revoked_at_ms: 0,
            rotation: have.as_ref().and_then(|(node, _)| node.rotation.clone()),
            id,
        };
        Ok((node, have))
    }

    fn batch(&self, node: &Node, have: Option<&(Node, Revision)>, claims: &EnrollmentClaims) -> Batch {
        let absent = Revision(0);
        let mut batch = Batch::new();
        let spent = keyspace::jti(&claims.jti);
        batch.check(&spent, absent);
        batch.put(&spent, json(&Spent { node: node.id.clone(), ends: claims.exp }));
        batch.check(keyspace::node(&node.id), have.map_or(absent, |(_, revision)| *revision));
        if have.is_none() {
            // Nor may another node get this key by a rotation in between.
            batch.check(keyspace::rotated_key(&node.public_key), absent);
        }
        batch.put(keyspace::node(&node.id), json(node));
        let old_name = have.map(|(old, _)| (old.name.as_str(), old.labelled));
        if old_name != Some((node.name.as_str(), node.labelled)) {
            if let Some((old, _)) = have {
                forget_name(&mut batch, old);
            }
            batch.put(keyspace::name(&node.tenant, &node.name, &node.id), "");
            if node.labelled {
                let label = keyspace::label(&node.tenant, &node.name);
                batch.check(&label, absent).put(&label, node.id.as_str());
            }
        }
        let detail =
            format!("label {}, name {}, key {}", claims.sub, node.name, node.public_key.fingerprint());
        let event = self.0.event(node.id.as_str(), node.tenant.as_str(), "enroll", node.id.as_str(), &detail);
        self.0.audit(&mut batch, event);
        batch
    }
}

/// Frees a node's name for others.
pub(crate) fn forget_name(batch: &mut Batch, node: &Node) {
    batch.delete(keyspace::name(&node.tenant, &node.name, &node.id));
    if node.labelled {
        batch.delete(keyspace::label(&node.tenant, &node.name));
    }
}

/// A node that exists stays in its tenant and keeps its key. Says the same for another tenant's as for another key.
fn may_enroll_again(have: &Node, claims: &EnrollmentClaims, key: &PublicKey) -> Result<(), ApiError> {
    if have.tenant != claims.tid || have.public_key != *key {
        return Err(usable(Code::Conflict, "this host's key can't be enrolled here")
            .hint("let 'aegis edge enroll --force' make a new key"));
    }
    if have.is_revoked() {
        return Err(usable(Code::PermissionDenied, "this node was revoked")
            .hint("let 'aegis edge enroll --force' make a new key"));
    }
    Ok(())
}

fn usable(code: Code, message: &str) -> ApiError {
    ApiError::new(code, format!("{message}; the token is still usable")).reason(Reason::TokenUsable)
}

fn burnt() -> ApiError {
    ApiError::unauthenticated("the enrolment token was used before; it is burnt")
        .reason(Reason::TokenBurnt)
        .hint("ask for a new enrolment token")
}

/// What a host may be called in listings.
fn is_host_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.as_bytes()[text.len() - 1].is_ascii_alphanumeric()
        // A name that looks like an id could be taken for one.
        && !NodeId::is_prefix(text)
}

#[cfg(test)]
#[path = "enrollment_tests.rs"]
mod tests;
