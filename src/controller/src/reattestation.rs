//! A node that was away for longer than its node token lived comes back: the old token, and a proof of the key, in
//! place of an enrolment token. Nobody new gets in here, and nothing of the node changes but its token.

use aegis_core::Revision;
use aegis_store::{Batch, CommitError};
use aegis_wire::{
    ApiError, Reason,
    enrollment::{ChallengeRequest, Enrolled},
    token::{NodeClaims, REATTEST_SECONDS, TokenError},
};

use crate::{
    failed, keyspace,
    nodes::{self, Node, json},
    session::{not_accepted, revoked},
    state::Controller,
};

/// Why a node doesn't come back.
pub(crate) struct Refused {
    /// What it is told.
    pub answer: ApiError,
    /// Which rule it broke, for the audit log alone: a stranger must not learn which nodes there are.
    pub rule: String,
}

impl Refused {
    /// It broke this rule, and is told what everybody is told.
    pub fn rule(rule: impl Into<String>) -> Self {
        Self { answer: not_accepted(), rule: rule.into() }
    }
}

impl From<ApiError> for Refused {
    fn from(answer: ApiError) -> Self {
        Self { rule: answer.message.clone(), answer }
    }
}

impl Controller {
    /// A new node token for `token`, which may have ended. Nonce and proof were checked.
    ///
    /// Every rule but the token's end holds as on a stream: the signature by the own key, the audience, node, tenant,
    /// role, the key that it is bound to and that the node is registered with, not revoked, neither token nor node.
    pub(crate) async fn reattest(
        &self,
        request: &ChallengeRequest,
        token: &str,
    ) -> Result<Enrolled, Refused> {
        let claims = NodeClaims::verify_ended(token, &self.keys, self.now_seconds())
            .map_err(|error| token_refused(&error))?;
        loop {
            let (node, base) = self.returning(request, &claims)?;
            let minted = self.mint_node_token(&node).map_err(failed)?;
            let node = Node { jti: minted.claims.jti, ..node };
            match self.store.commit(self.reattested(&node, base)).await {
                Ok(_) => {
                    tracing::info!(node = %node.id, tenant = %node.tenant, "attested anew");
                    return Ok(Enrolled {
                        node_id: node.id,
                        tenant: node.tenant,
                        node_token: minted.token,
                        server_key: self.signing.public(),
                        name: node.name,
                    });
                }
                // Its record was written in between; it may be revoked by now.
                Err(CommitError::Stale { .. }) => {}
                Err(CommitError::Store(error)) => return Err(failed(error).into()),
            }
        }
    }

    /// The node that comes back, if it may.
    fn returning(
        &self,
        request: &ChallengeRequest,
        claims: &NodeClaims,
    ) -> Result<(Node, Revision), Refused> {
        let found = nodes::get(&*self.store, &claims.sub).map_err(failed)?;
        let (node, revision) = found.ok_or_else(|| Refused::rule("there is no such node"))?;
        if node.public_key != request.public_key {
            return Err(Refused::rule("the key isn't the node's"));
        }
        if node.is_revoked() {
            return Err(revoked().into());
        }
        match self.broken_rule_of_returning(claims, &node).map_err(failed)? {
            Some(rule) => Err(Refused::rule(rule)),
            None => Ok((node, revision)),
        }
    }

    fn reattested(&self, node: &Node, base: Revision) -> Batch {
        let key = keyspace::node(&node.id);
        let mut batch = Batch::new();
        batch.check(&key, base).put(&key, json(node));
        let id = node.id.as_str();
        self.audit(&mut batch, self.event(id, node.tenant.as_str(), "reattest", id, ""));
        batch
    }
}

/// What is said of a token that isn't one of the last 90 days, or none of ours.
pub(crate) fn token_refused(error: &TokenError) -> Refused {
    let rule = error.to_string();
    let answer = match error {
        TokenError::Expired(at) => {
            let days = REATTEST_SECONDS / (24 * 3600);
            let message = format!(
                "the node token ended at {at}, more than {days} days ago; run 'aegis edge enroll' with a new token"
            );
            return ApiError::unauthenticated(message).hint("aegis edge enroll TOKEN").into();
        }
        TokenError::NotYetValid(_) => ApiError::unauthenticated(&rule).reason(Reason::ClockSkew),
        _ => not_accepted(),
    };
    Refused { answer, rule }
}

#[cfg(test)]
#[path = "reattestation_tests.rs"]
mod tests;
