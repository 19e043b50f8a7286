//! A node gets another key, or with the same key another token (2-protocol.md, "Rotation").
//!
//! The node's id never changes. Whoever asks shows, for a nonce of the last minutes, that it has the key that the node
//! is to have; and for another key, with the key that the node has, that it wants exactly this. The keys change in one
//! commit, on condition of what was read: of two rotations at once one wins. Said again after that commit, as by a host
//! that fell before it had the answer, the request gives a token.

use std::time::Duration;

use aegis_core::{NodeId, Revision};
use aegis_store::{Batch, CommitError, NotRouted};
use aegis_wire::{
    ApiError,
    enrollment::{RotateRequest, Rotated},
    token::NodeClaims,
};
use tokio::time::Instant;

use crate::{
    enrollment::Spent,
    failed, keyspace,
    nodes::{self, Node, Rotation, json},
    reattestation::{Refused, token_refused},
    session::revoked,
    state::{Controller, Order},
    tokens::REMEMBER_REVOKED,
};

/// For how long the key that a node had is good on the stream that is open.
pub(crate) const OVERLAP: Duration = Duration::from_mins(1);

/// What a good request comes to.
enum Wish {
    /// The node has this key: only the token is new.
    Token,
    /// The node is to have another key.
    Key,
}

impl Controller {
    /// Does what the request asks for. How often an address may ask was checked.
    pub(crate) async fn rotate(&self, request: &RotateRequest) -> Result<Rotated, Refused> {
        if !self.nonces.take(&request.nonce, &request.new_key, Instant::now()) {
            let message = "the nonce is unknown, used, or older than five minutes";
            return Err(ApiError::invalid(message).hint("try again").into());
        }
        if !request.has_new_key() {
            return Err(Refused::rule("the request isn't signed by the new key"));
        }
        let claims = NodeClaims::verify_ended(&request.node_token, &self.keys, self.now_seconds())
            .map_err(|error| token_refused(&error))?;
        loop {
            let (have, base) = self.asking(request, &claims)?;
            let wish = match self.wish(request, &claims, &have) {
                Ok(wish) => wish,
                // What was read isn't of one moment: another rotation spends the token with its commit.
                Err(_) if !self.is_at(&have.id, base)? => continue,
                Err(refused) => return Err(refused),
            };
            let mut node = Node { public_key: request.new_key.clone(), ..have.clone() };
            let minted = self.mint_node_token(&node).map_err(failed)?;
            node.jti = minted.claims.jti;
            let mut batch = Batch::new();
            batch.check(keyspace::node(&have.id), base);
            match wish {
                Wish::Token => self.refreshed(&mut batch, &node),
                Wish::Key => self.rotated(&mut batch, &have, &mut node, &claims),
            }
            batch.put(keyspace::node(&node.id), json(&node));
            match self.store.commit(batch).await {
                Ok(_) => {
                    tracing::info!(node = %node.id, key = node.public_key.fingerprint(), "has a new token");
                    self.tell_stream(&node.id);
                    return Ok(Rotated { node_token: minted.token, server_key: self.signing.public() });
                }
                // Its record was written in between: by another rotation, or a revocation. Or the key is taken by now.
                Err(CommitError::Stale { .. }) => {}
                Err(CommitError::Store(error)) => return Err(failed(error).into()),
            }
        }
    }

    /// The node that is meant, if the token is one of its own.
    fn asking(&self, request: &RotateRequest, claims: &NodeClaims) -> Result<(Node, Revision), Refused> {
        let found = nodes::get(&*self.store, &request.node_id).map_err(failed)?;
        let (node, revision) = found.ok_or_else(|| Refused::rule("there is no such node"))?;
        match self.foreign_rule(claims, &node) {
            Some(rule) => Err(Refused::rule(rule)),
            None => Ok((node, revision)),
        }
    }

    /// What is asked for, if whoever asks has the node's key, the node may have a token, and this one is good for it.
    fn wish(&self, request: &RotateRequest, claims: &NodeClaims, node: &Node) -> Result<Wish, Refused> {
        let wish = if node.public_key == request.new_key { Wish::Token } else { Wish::Key };
        if matches!(wish, Wish::Key) && !request.is_asked_by(&node.public_key) {
            let before = node.rotation.as_ref().map(|rotation| &rotation.previous_key);
            return Err(match before {
                Some(before) if request.is_asked_by(before) => overtaken(),
                _ => Refused::rule("the request isn't signed by the node's key"),
            });
        }
        if node.is_revoked() {
            return Err(revoked().into());
        }
        let broken = match wish {
            Wish::Token => self.broken_rule_of_returning(claims, node),
            Wish::Key => self.broken_rule(claims, node),
        };
        if let Some(rule) = broken.map_err(failed)? {
            return Err(Refused::rule(rule));
        }
        if matches!(wish, Wish::Key) {
            self.is_unused(request)?;
        }
        Ok(wish)
    }

    /// Whether nobody has written the node's record since it was read.
    fn is_at(&self, node: &NodeId, base: Revision) -> Result<bool, ApiError> {
        let entry = self.store.get(&keyspace::node(node)).map_err(failed)?;
        Ok(entry.is_some_and(|entry| entry.revision == base))
    }

    /// A key that a node has or had is never another one's, nor comes back.
    fn is_unused(&self, request: &RotateRequest) -> Result<(), Refused> {
        let store = &*self.store;
        let had_by = nodes::of_key(store, &request.new_key).map_err(failed)?;
        if nodes::get(store, &had_by).map_err(failed)?.is_none() {
            return Ok(());
        }
        let message = "this can't be the node's key: it was in use before";
        Err(ApiError::conflict(message).hint("'aegis edge keys rotate' makes a new one").into())
    }

    fn refreshed(&self, batch: &mut Batch, node: &Node) {
        let id = node.id.as_str();
        let detail = format!("key {}", node.public_key.fingerprint());
        self.audit(batch, self.event(id, node.tenant.as_str(), "token.refresh", id, &detail));
    }

    fn rotated(&self, batch: &mut Batch, have: &Node, node: &mut Node, claims: &NodeClaims) {
        node.rotation = Some(Rotation { previous_key: have.public_key.clone(), at_ms: self.clock.now_ms() });
        let (absent, id) = (Revision(0), node.id.as_str());
        let taken = keyspace::rotated_key(&node.public_key);
        batch.check(&taken, absent).put(&taken, id);
        batch.check(keyspace::node(&NodeId::of_public_key(node.public_key.as_bytes())), absent);
        let spent = json(&Spent { node: node.id.clone(), ends: self.now_seconds() + REMEMBER_REVOKED });
        for jti in [&have.jti, &claims.jti] {
            batch.put(keyspace::jti(jti), spent.clone());
        }
        let detail = format!("key {} -> {}", have.public_key.fingerprint(), node.public_key.fingerprint());
        self.audit(batch, self.event(id, node.tenant.as_str(), "rotate", id, &detail));
    }

    /// Lets the stream that is open see that its key isn't the node's any more.
    fn tell_stream(&self, node: &NodeId) {
        // One that takes nothing is cut off, and comes back with the new key.
        if self.bus.send(node, Order::Refresh) == Err(NotRouted::Congested) {
            self.bus.evict(node);
        }
    }
}

impl Rotation {
    /// For how long, from now on, the key before is good on a stream that is open.
    pub fn overlap_left(&self, now_ms: i64) -> Duration {
        // A clock that was set back makes it no longer.
        let passed = u64::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or(0);
        OVERLAP.saturating_sub(Duration::from_millis(passed))
    }
}

/// Another rotation of the node was faster.
fn overtaken() -> Refused {
    ApiError::conflict("the node's key was rotated meanwhile; nothing was changed by this")
        .hint("aegis edge status")
        .into()
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
