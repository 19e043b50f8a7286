//! The tokens that the controller makes, and who of its callers they let in.

use aegis_core::TenantId;
use aegis_store::StoreError;
use aegis_wire::{
    ApiError, Endpoint,
    keys::{KeyError, random},
    token::{
        Confirmation, EnrollmentClaims, MAX_ENROLLMENT_SECONDS, NodeClaims, REATTEST_SECONDS, Role, Scope,
        TokenError, UserClaims,
    },
};

use crate::{keyspace, nodes::Node, state::Controller};

/// What tokens call the issuer.
pub(crate) const ISSUER: &str = "aegis-controller";
/// What node tokens give as role.
const NODE_ROLE: &str = "edge";
/// How long a node token is good, in seconds.
const NODE_SECONDS: i64 = 24 * 3600;
/// How long a revoked node token must be remembered, in seconds: for as long as it could be shown.
pub(crate) const REMEMBER_REVOKED: i64 = NODE_SECONDS + REATTEST_SECONDS;
/// How long a user token is good when nothing else is asked for, and at most, in seconds.
const USER_SECONDS: i64 = 30 * 24 * 3600;
const MAX_USER_SECONDS: i64 = 10 * 366 * 24 * 3600;

/// Why a token couldn't be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MintError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Random(#[from] KeyError),
}

/// A token and what it says.
pub(crate) struct Minted<C> {
    pub token: String,
    pub claims: C,
}

/// A new token id.
fn new_jti() -> Result<String, KeyError> {
    Ok(hex::encode(random::<16>()?))
}

impl Controller {
    /// Now, in seconds since 1970, as tokens count.
    pub(crate) fn now_seconds(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// A node token for 24 hours.
    pub(crate) fn mint_node_token(&self, node: &Node) -> Result<Minted<NodeClaims>, MintError> {
        let now = self.now_seconds();
        let claims = NodeClaims {
            iss: ISSUER.to_owned(),
            sub: node.id.clone(),
            tid: node.tenant.clone(),
            role: NODE_ROLE.to_owned(),
            jti: new_jti()?,
            iat: now,
            exp: now + NODE_SECONDS,
            cnf: Confirmation::of(&node.public_key),
        };
        Ok(Minted { token: claims.mint(&self.signing)?, claims })
    }

    /// An enrolment token. Without an endpoint that daemons can reach, none is made.
    pub(crate) fn mint_enrollment_token(
        &self,
        tenant: &TenantId,
        label: &str,
        seconds: u64,
    ) -> Result<Minted<EnrollmentClaims>, ApiError> {
        let endpoint = self.reachable_endpoint()?;
        let life = match i64::try_from(seconds) {
            Ok(0) => MAX_ENROLLMENT_SECONDS,
            Ok(seconds) if seconds <= MAX_ENROLLMENT_SECONDS => seconds,
            _ => {
                return Err(ApiError::invalid("an enrolment token is good for at most 15 minutes")
                    .hint("leave --ttl out, or give 15m or less"));
            }
        };
        let now = self.now_seconds();
        let claims = EnrollmentClaims {
            iss: ISSUER.to_owned(),
            sub: label.to_owned(),
            tid: tenant.clone(),
            jti: new_jti().map_err(crate::failed)?,
            iat: now,
            nbf: now,
            exp: now + life,
            cep: endpoint,
            cfp: self.ca,
            spk: self.signing.public(),
        };
        Ok(Minted { token: claims.mint(&self.signing).map_err(crate::failed)?, claims })
    }

    fn reachable_endpoint(&self) -> Result<Endpoint, ApiError> {
        self.public_endpoint.clone().ok_or_else(|| {
            ApiError::invalid("no public endpoint is configured, so no daemon could use the token")
                .hint("start the controller with --public-endpoint HOST:PORT")
        })
    }

    /// A user token.
    pub(crate) fn mint_user_token(
        &self,
        tenant: &TenantId,
        subject: &str,
        role: Role,
        scope: Option<Scope>,
        seconds: u64,
    ) -> Result<Minted<UserClaims>, ApiError> {
        let life = match i64::try_from(seconds) {
            Ok(0) => USER_SECONDS,
            Ok(seconds) if seconds <= MAX_USER_SECONDS => seconds,
            _ => {
                return Err(ApiError::invalid("a user token is good for at most ten years")
                    .hint("give a shorter --ttl"));
            }
        };
        let now = self.now_seconds();
        let claims = UserClaims {
            iss: ISSUER.to_owned(),
            sub: subject.to_owned(),
            tid: tenant.clone(),
            role,
            scope,
            jti: new_jti().map_err(crate::failed)?,
            iat: now,
            exp: now + life,
        };
        Ok(Minted { token: claims.mint(&self.signing).map_err(crate::failed)?, claims })
    }

    /// The first rule that a node token with these claims breaks as the token of `node`; its time isn't looked at.
    pub(crate) fn broken_rule(
        &self,
        claims: &NodeClaims,
        node: &Node,
    ) -> Result<Option<&'static str>, StoreError> {
        if let Some(rule) = self.foreign_rule(claims, node) {
            return Ok(Some(rule));
        }
        let rules = [
            (!claims.is_bound_to(&node.public_key), "the token is bound to another key"),
            (self.is_spent(&claims.jti)?, "the token was revoked"),
        ];
        Ok(rules.into_iter().find_map(|(broken, rule)| broken.then_some(rule)))
    }

    /// As [`Controller::broken_rule`], for whoever has shown to have the node's key and wants a token for it. The token
    /// may be the one that the last rotation spent: a host that fell before it had the answer has no other.
    pub(crate) fn broken_rule_of_returning(
        &self,
        claims: &NodeClaims,
        node: &Node,
    ) -> Result<Option<&'static str>, StoreError> {
        match &node.rotation {
            Some(rotation) if claims.is_bound_to(&rotation.previous_key) => {
                Ok(self.foreign_rule(claims, node))
            }
            _ => self.broken_rule(claims, node),
        }
    }

    /// The first rule that a token with these claims breaks as one of `node`'s, whatever its key.
    #[allow(clippy::unused_self, reason = "reads as what the controller does")]
    pub(crate) fn foreign_rule(&self, claims: &NodeClaims, node: &Node) -> Option<&'static str> {
        let rules = [
            (claims.sub != node.id, "the token is another node's"),
            (claims.tid != node.tenant, "the token is another tenant's"),
            (claims.role != NODE_ROLE, "the token is for another role"),
        ];
        rules.into_iter().find_map(|(broken, rule)| broken.then_some(rule))
    }

    /// Whether a token's id was redeemed or revoked.
    pub(crate) fn is_spent(&self, jti: &str) -> Result<bool, StoreError> {
        Ok(self.store.get(&keyspace::jti(jti))?.is_some())
    }
}
