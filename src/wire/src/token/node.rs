//! The `NodeSecurityToken`: says which node a key is, and is useless without that key.

use aegis_core::{NodeId, TenantId};
use serde::{Deserialize, Serialize};

use super::claims::{self, Claims, TokenError};
use crate::keys::{PublicKey, ServerKey, ServerSigningKey};

/// For how long after its end, in seconds, a node token still tells who comes back: 90 days.
pub const REATTEST_SECONDS: i64 = 90 * 24 * 3600;

/// What a node token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeClaims {
    /// The issuer: the controller.
    pub iss: String,
    /// The node.
    pub sub: NodeId,
    /// The tenant that it is bound to.
    pub tid: TenantId,
    /// What the node is: `edge`.
    pub role: String,
    /// The token's id; a revoked one is refused.
    pub jti: String,
    /// Made at, seconds since 1970.
    pub iat: i64,
    /// Good until, seconds since 1970.
    pub exp: i64,
    /// The key without which it is useless.
    pub cnf: Confirmation,
}

/// A key, by its thumbprint (RFC 7800, RFC 7638).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// See [`PublicKey::thumbprint`].
    pub jkt: String,
}

impl Confirmation {
    /// Binds to this key.
    pub fn of(key: &PublicKey) -> Self {
        Self { jkt: key.thumbprint() }
    }
}

impl Claims for NodeClaims {
    const AUDIENCE: &'static str = "edge-node";
    fn begins(&self) -> i64 {
        self.iat
    }
    fn ends(&self) -> i64 {
        self.exp
    }
}

/// What a node token says to the daemon that holds it: it can't check it, and needn't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedNode {
    /// The node.
    pub node_id: NodeId,
    /// The tenant.
    pub tenant: TenantId,
    /// When it was made.
    pub issued_at: jiff::Timestamp,
    /// Until when it is good.
    pub expires_at: jiff::Timestamp,
    /// The key that it is bound to.
    pub confirmation: Confirmation,
}

impl NodeClaims {
    /// Makes the token.
    pub fn mint(&self, key: &ServerSigningKey) -> Result<String, TokenError> {
        claims::mint(self, key)
    }
    /// Checks the token at `now` (seconds since 1970). That the bearer holds the key of `cnf`, and that the token
    /// wasn't revoked, is the caller's to check.
    pub fn verify(token: &str, keys: &[ServerKey], now: i64) -> Result<Self, TokenError> {
        claims::verify(token, keys, now)
    }
    /// As [`NodeClaims::verify`], for a node that comes back to get a new one: the token may have ended, at most
    /// [`REATTEST_SECONDS`] ago. It lets nobody do anything but ask for a new token.
    pub fn verify_ended(token: &str, keys: &[ServerKey], now: i64) -> Result<Self, TokenError> {
        claims::verify_until(token, keys, now, REATTEST_SECONDS)
    }
    /// Reads a token without checking it, for the daemon that holds it.
    pub fn peek(token: &str) -> Result<UnverifiedNode, TokenError> {
        let claims: Self = claims::peek(token)?;
        Ok(UnverifiedNode {
            node_id: claims.sub,
            tenant: claims.tid,
            issued_at: claims::timestamp(claims.iat),
            expires_at: claims::timestamp(claims.exp),
            confirmation: claims.cnf,
        })
    }
    /// Whether the token is bound to this key.
    pub fn is_bound_to(&self, key: &PublicKey) -> bool {
        self.cnf == Confirmation::of(key)
    }
}
