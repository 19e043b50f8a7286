//! The audit log.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::Serialize;

use super::convert::{Unreadable, time, typed};
use crate::proto;

/// Which part of the audit log to read, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListAudit {
    /// Only events after this sequence; 0: from the start.
    pub after: u64,
    /// At most so many.
    pub limit: Option<u64>,
}

impl From<ListAudit> for proto::ListAuditRequest {
    fn from(from: ListAudit) -> Self {
        Self { after: from.after, limit: from.limit.unwrap_or(0) }
    }
}

impl From<proto::ListAuditRequest> for ListAudit {
    fn from(from: proto::ListAuditRequest) -> Self {
        Self { after: from.after, limit: Some(from.limit).filter(|limit| *limit > 0) }
    }
}

/// How what was tried ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Ok,
    /// It wasn't allowed.
    Refused,
    /// It couldn't be done.
    Failed,
}

impl AuditOutcome {
    const ALL: [Self; 3] = [Self::Ok, Self::Refused, Self::Failed];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for AuditOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for AuditOutcome {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|outcome| outcome.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is no outcome of an audit event"))
    }
}

/// One event of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// Its place, from 1.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub subject: String,
    /// For which tenant; empty: the controller itself.
    pub tenant: String,
    /// What was tried.
    pub action: String,
    /// On what.
    pub object: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// More about it.
    pub detail: String,
    /// Hex; SHA-256 over the previous hash and this event.
    pub hash: String,
}

impl From<AuditEvent> for proto::AuditEvent {
    fn from(from: AuditEvent) -> Self {
        Self {
            sequence: from.sequence,
            time: from.time.to_string(),
            subject: from.subject,
            tenant: from.tenant,
            action: from.action,
            object: from.object,
            outcome: from.outcome.to_string(),
            detail: from.detail,
            hash: from.hash,
        }
    }
}

impl TryFrom<proto::AuditEvent> for AuditEvent {
    type Error = Unreadable;
    fn try_from(from: proto::AuditEvent) -> Result<Self, Unreadable> {
        Ok(Self {
            sequence: from.sequence,
            time: time("time", &from.time)?,
            subject: from.subject,
            tenant: from.tenant,
            action: from.action,
            object: from.object,
            outcome: typed("outcome", &from.outcome)?,
            detail: from.detail,
            hash: from.hash,
        })
    }
}

/// Whether the chain of the audit log holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditCheck {
    /// How many events were checked.
    pub events: u64,
    /// Whether all fit.
    pub intact: bool,
    /// The first sequence that doesn't fit.
    pub broken_at: Option<u64>,
    /// The last event's hash.
    pub head: String,
}

impl From<AuditCheck> for proto::VerifyAuditResponse {
    fn from(from: AuditCheck) -> Self {
        Self {
            events: from.events,
            intact: from.intact,
            broken_at: from.broken_at.unwrap_or(0),
            head: from.head,
        }
    }
}

impl From<proto::VerifyAuditResponse> for AuditCheck {
    fn from(from: proto::VerifyAuditResponse) -> Self {
        Self {
            events: from.events,
            intact: from.intact,
            broken_at: Some(from.broken_at).filter(|sequence| *sequence > 0),
            head: from.head,
        }
    }
}
