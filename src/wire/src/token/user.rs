//! The user token: who asks, for which tenant, and how much they may.

use std::{fmt, str::FromStr};

use aegis_core::TenantId;
use serde::{Deserialize, Serialize};

use super::claims::{self, Claims, TokenError};
use crate::keys::{ServerKey, ServerSigningKey};

/// How much somebody may do. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look.
    Viewer,
    /// Change what is declared, and order hosts about.
    Operator,
    /// Make tokens and read the audit log.
    Admin,
}

/// The text is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no role; there are viewer, operator and admin")]
pub struct UnknownRole(String);

impl Role {
    /// All, from the least to the most.
    pub const ALL: [Role; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// How far a token reaches beyond its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every tenant, and the controller itself.
    Controller,
}

/// What a user token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserClaims {
    /// The issuer: the controller.
    pub iss: String,
    /// Who.
    pub sub: String,
    /// For which tenant.
    pub tid: TenantId,
    /// How much.
    pub role: Role,
    /// How far; without it, no further than the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The token's id; a revoked one is refused.
    pub jti: String,
    /// Made at, seconds since 1970.
    pub iat: i64,
    /// Good until, seconds since 1970.
    pub exp: i64,
}

impl Claims for UserClaims {
    const AUDIENCE: &'static str = "operator";
    fn begins(&self) -> i64 {
        self.iat
    }
    fn ends(&self) -> i64 {
        self.exp
    }
}

impl UserClaims {
    /// Makes the token.
    pub fn mint(&self, key: &ServerSigningKey) -> Result<String, TokenError> {
        claims::mint(self, key)
    }
    /// Checks the token at `now` (seconds since 1970). Whether it was revoked is the caller's to know.
    pub fn verify(token: &str, keys: &[ServerKey], now: i64) -> Result<Self, TokenError> {
        claims::verify(token, keys, now)
    }
}
