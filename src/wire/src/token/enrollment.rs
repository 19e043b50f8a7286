//! The enrolment token: good once, for at most 15 minutes, and never blind: it carries whom to trust.

use aegis_core::TenantId;
use serde::{Deserialize, Serialize};

use super::claims::{self, Claims, TokenError};
use crate::{
    endpoint::Endpoint,
    keys::{ServerKey, ServerSigningKey},
    tls::CaFingerprint,
};

/// The longest life of an enrolment token, in seconds.
pub const MAX_ENROLLMENT_SECONDS: i64 = 15 * 60;

/// What an enrolment token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollmentClaims {
    /// The issuer: the controller.
    pub iss: String,
    /// The label that it was made under; the host's name, if it can be one.
    pub sub: String,
    /// The tenant that the host will belong to.
    pub tid: TenantId,
    /// The token's id; it is redeemed once.
    pub jti: String,
    /// Made at, seconds since 1970.
    pub iat: i64,
    /// Good from, seconds since 1970.
    pub nbf: i64,
    /// Good until, seconds since 1970; at most [`MAX_ENROLLMENT_SECONDS`] after `nbf`.
    pub exp: i64,
    /// Where the controller is reached.
    pub cep: Endpoint,
    /// The CA that its certificate must come from.
    pub cfp: CaFingerprint,
    /// Its signing key.
    pub spk: ServerKey,
}

impl Claims for EnrollmentClaims {
    const AUDIENCE: &'static str = "edge-enrollment";
    fn begins(&self) -> i64 {
        self.nbf.max(self.iat)
    }
    fn ends(&self) -> i64 {
        self.exp
    }
}

/// What an enrolment token says before anybody has checked it. What binds it is `ca_fingerprint`: the host connects
/// only to the controller that has it, and the controller checks the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedEnrollment {
    /// Where the controller is reached.
    pub endpoint: Endpoint,
    /// The CA that its certificate must come from.
    pub ca_fingerprint: CaFingerprint,
    /// The tenant that the host will belong to.
    pub tenant: TenantId,
    /// The label that it was made under.
    pub label: String,
    /// Until when it is good.
    pub expires_at: jiff::Timestamp,
    /// The controller's signing key.
    pub server_key: ServerKey,
}

impl EnrollmentClaims {
    /// Makes the token. Refuses one that lives too long, and one whose endpoint nobody can connect to.
    pub fn mint(&self, key: &ServerSigningKey) -> Result<String, TokenError> {
        self.check_life()?;
        if self.cep.is_wildcard() {
            return Err(TokenError::Refused(format!("nobody can connect to {}", self.cep)));
        }
        claims::mint(self, key)
    }

    /// Checks the token at `now` (seconds since 1970). Whether it was redeemed before is the caller's to know.
    pub fn verify(token: &str, keys: &[ServerKey], now: i64) -> Result<Self, TokenError> {
        let claims: Self = claims::verify(token, keys, now)?;
        claims.check_life()?;
        Ok(claims)
    }

    /// Reads a token without checking it, for the host that is about to enrol.
    pub fn peek(token: &str) -> Result<UnverifiedEnrollment, TokenError> {
        let claims: Self = claims::peek(token)?;
        Ok(UnverifiedEnrollment {
            endpoint: claims.cep,
            ca_fingerprint: claims.cfp,
            tenant: claims.tid,
            label: claims.sub,
            expires_at: claims::timestamp(claims.exp),
            server_key: claims.spk,
        })
    }

    fn check_life(&self) -> Result<(), TokenError> {
        if self.exp.saturating_sub(self.nbf) > MAX_ENROLLMENT_SECONDS {
            return Err(TokenError::Refused("an enrolment token is good for at most 15 minutes".to_owned()));
        }
        Ok(())
    }
}
