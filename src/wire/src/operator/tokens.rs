//! Callers, tokens and tenants.

use aegis_core::TenantId;
use jiff::Timestamp;
use serde::Serialize;

use super::convert::{Unreadable, optional, text, time, typed};
use crate::{endpoint::Endpoint, proto, token::Role};

/// Whom the controller takes the caller for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WhoAmI {
    /// Who.
    pub subject: String,
    /// For which tenant.
    pub tenant: TenantId,
    /// How much they may.
    pub role: Role,
    /// Whether they may act for every tenant.
    pub controller_scope: bool,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// The controller's version.
    pub version: String,
}

impl From<WhoAmI> for proto::WhoAmIResponse {
    fn from(from: WhoAmI) -> Self {
        Self {
            subject: from.subject,
            tenant: from.tenant.into(),
            role: from.role.to_string(),
            controller_scope: from.controller_scope,
            expires_at: from.expires_at.to_string(),
            version: from.version,
        }
    }
}

impl TryFrom<proto::WhoAmIResponse> for WhoAmI {
    type Error = Unreadable;
    fn try_from(from: proto::WhoAmIResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            subject: from.subject,
            tenant: typed("tenant", &from.tenant)?,
            role: typed("role", &from.role)?,
            controller_scope: from.controller_scope,
            expires_at: time("time", &from.expires_at)?,
            version: from.version,
        })
    }
}

/// Makes an enrolment token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateEnrollmentToken {
    /// What it is for; the host's name, if it can be one.
    pub label: String,
    /// Without it, the caller's.
    pub tenant: Option<TenantId>,
    /// Without it 15 minutes, which is also the most.
    pub ttl_seconds: Option<u64>,
}

impl From<CreateEnrollmentToken> for proto::CreateEnrollmentTokenRequest {
    fn from(from: CreateEnrollmentToken) -> Self {
        Self {
            label: from.label,
            tenant: text(from.tenant.as_ref()),
            ttl_seconds: from.ttl_seconds.unwrap_or(0),
        }
    }
}

impl TryFrom<proto::CreateEnrollmentTokenRequest> for CreateEnrollmentToken {
    type Error = Unreadable;
    fn try_from(from: proto::CreateEnrollmentTokenRequest) -> Result<Self, Unreadable> {
        Ok(Self {
            label: from.label,
            tenant: optional("tenant", &from.tenant)?,
            ttl_seconds: Some(from.ttl_seconds).filter(|ttl| *ttl > 0),
        })
    }
}

/// An enrolment token.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct EnrollmentToken {
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Where the host will connect to.
    pub controller_endpoint: Endpoint,
    /// The command to run on the host.
    pub command_hint: String,
    /// The tenant that the host will belong to.
    pub tenant: TenantId,
}

impl std::fmt::Debug for EnrollmentToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EnrollmentToken(for {}, until {})", self.tenant, self.expires_at)
    }
}

impl From<EnrollmentToken> for proto::CreateEnrollmentTokenResponse {
    fn from(from: EnrollmentToken) -> Self {
        Self {
            token: from.token,
            expires_at: from.expires_at.to_string(),
            controller_endpoint: from.controller_endpoint.to_string(),
            command_hint: from.command_hint,
            tenant: from.tenant.into(),
        }
    }
}

impl TryFrom<proto::CreateEnrollmentTokenResponse> for EnrollmentToken {
    type Error = Unreadable;
    fn try_from(from: proto::CreateEnrollmentTokenResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            token: from.token,
            expires_at: time("time", &from.expires_at)?,
            controller_endpoint: typed("endpoint", &from.controller_endpoint)?,
            command_hint: from.command_hint,
            tenant: typed("tenant", &from.tenant)?,
        })
    }
}

/// Makes a user token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateUserToken {
    /// Without it, the caller's.
    pub tenant: Option<TenantId>,
    /// How much its bearer may.
    pub role: Role,
    /// How long it is good; without it, the controller's default.
    pub ttl_seconds: Option<u64>,
    /// Who its bearer is; without it, the controller names one.
    pub subject: Option<String>,
}

impl From<CreateUserToken> for proto::CreateUserTokenRequest {
    fn from(from: CreateUserToken) -> Self {
        Self {
            tenant: text(from.tenant.as_ref()),
            role: from.role.to_string(),
            ttl_seconds: from.ttl_seconds.unwrap_or(0),
            subject: from.subject.unwrap_or_default(),
        }
    }
}

impl TryFrom<proto::CreateUserTokenRequest> for CreateUserToken {
    type Error = Unreadable;
    fn try_from(from: proto::CreateUserTokenRequest) -> Result<Self, Unreadable> {
        Ok(Self {
            tenant: optional("tenant", &from.tenant)?,
            role: typed("role", &from.role)?,
            ttl_seconds: Some(from.ttl_seconds).filter(|ttl| *ttl > 0),
            subject: Some(from.subject).filter(|subject| !subject.is_empty()),
        })
    }
}

/// A user token.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct UserToken {
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// For which tenant.
    pub tenant: TenantId,
    /// How much its bearer may.
    pub role: Role,
    /// Who its bearer is.
    pub subject: String,
}

impl std::fmt::Debug for UserToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UserToken({}, {} of {}, until {})", self.subject, self.role, self.tenant, self.expires_at)
    }
}

impl From<UserToken> for proto::CreateUserTokenResponse {
    fn from(from: UserToken) -> Self {
        Self {
            token: from.token,
            expires_at: from.expires_at.to_string(),
            tenant: from.tenant.into(),
            role: from.role.to_string(),
            subject: from.subject,
        }
    }
}

impl TryFrom<proto::CreateUserTokenResponse> for UserToken {
    type Error = Unreadable;
    fn try_from(from: proto::CreateUserTokenResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            token: from.token,
            expires_at: time("time", &from.expires_at)?,
            tenant: typed("tenant", &from.tenant)?,
            role: typed("role", &from.role)?,
            subject: from.subject,
        })
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tenant {
    /// Its name.
    pub tenant: TenantId,
    /// Since when.
    pub created_at: Timestamp,
    /// How many nodes it has.
    pub nodes: u64,
}

impl From<Tenant> for proto::Tenant {
    fn from(from: Tenant) -> Self {
        Self { tenant: from.tenant.into(), created_at: from.created_at.to_string(), nodes: from.nodes }
    }
}

impl TryFrom<proto::Tenant> for Tenant {
    type Error = Unreadable;
    fn try_from(from: proto::Tenant) -> Result<Self, Unreadable> {
        Ok(Self {
            tenant: typed("tenant", &from.tenant)?,
            created_at: time("time", &from.created_at)?,
            nodes: from.nodes,
        })
    }
}
