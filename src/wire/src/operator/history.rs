//! What was applied, by whom, and what was there before.

use aegis_core::{ObjectKey, Outcome, Owner, outcome::Summary};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    PlanNumber,
    convert::{Unreadable, all, body_as_json, counts, each, optional, outcome, summary, text, time, typed},
};
use crate::proto;

/// Which plans to list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListHistory {
    /// At most so many.
    pub limit: Option<u64>,
    /// Of this owner.
    pub owner: Option<Owner>,
}

impl From<ListHistory> for proto::ListHistoryRequest {
    fn from(from: ListHistory) -> Self {
        Self { limit: from.limit.unwrap_or(0), owner: text(from.owner.as_ref()) }
    }
}

impl TryFrom<proto::ListHistoryRequest> for ListHistory {
    type Error = Unreadable;
    fn try_from(from: proto::ListHistoryRequest) -> Result<Self, Unreadable> {
        let limit = Some(from.limit).filter(|limit| *limit > 0);
        Ok(Self { limit, owner: optional("owner", &from.owner)? })
    }
}

/// One applied plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// Its number.
    pub revision: PlanNumber,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none: it still runs, or was interrupted.
    pub finished_at: Option<Timestamp>,
    /// Who applied it.
    pub subject: String,
    /// For whom.
    pub owner: Owner,
    /// What was run.
    pub source: String,
    /// How its objects ended.
    pub summary: Summary,
}

impl From<HistoryEntry> for proto::HistoryEntry {
    fn from(from: HistoryEntry) -> Self {
        Self {
            revision: from.revision.0,
            started_at: from.started_at.to_string(),
            finished_at: text(from.finished_at.as_ref()),
            subject: from.subject,
            owner: from.owner.into(),
            source: from.source,
            summary: counts(&from.summary),
        }
    }
}

impl TryFrom<proto::HistoryEntry> for HistoryEntry {
    type Error = Unreadable;
    fn try_from(from: proto::HistoryEntry) -> Result<Self, Unreadable> {
        Ok(Self {
            revision: PlanNumber(from.revision),
            started_at: time("time", &from.started_at)?,
            finished_at: optional("time", &from.finished_at)?,
            subject: from.subject,
            owner: typed("owner", &from.owner)?,
            source: from.source,
            summary: summary(from.summary)?,
        })
    }
}

/// What a plan did to one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryChange {
    /// Which.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// What became of it.
    pub outcome: Outcome,
    /// The plan's lines.
    pub steps: Vec<String>,
    /// The body before the write, JSON; empty: it wasn't there.
    #[serde(serialize_with = "body_as_json")]
    pub before: Bytes,
}

impl From<HistoryChange> for proto::HistoryChange {
    fn from(from: HistoryChange) -> Self {
        Self {
            kind: from.key.kind.into_owned(),
            name: from.key.name,
            outcome: from.outcome.as_str().to_owned(),
            steps: from.steps,
            before: from.before,
        }
    }
}

impl TryFrom<proto::HistoryChange> for HistoryChange {
    type Error = Unreadable;
    fn try_from(from: proto::HistoryChange) -> Result<Self, Unreadable> {
        Ok(Self {
            key: ObjectKey::new(from.kind, from.name),
            outcome: outcome(&from.outcome)?,
            steps: from.steps,
            before: from.before,
        })
    }
}

/// A plan with what it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct History {
    /// The plan.
    #[serde(flatten)]
    pub entry: HistoryEntry,
    /// What it did.
    pub changes: Vec<HistoryChange>,
}

impl From<History> for proto::GetHistoryResponse {
    fn from(from: History) -> Self {
        Self { entry: Some(from.entry.into()), changes: each(from.changes) }
    }
}

impl TryFrom<proto::GetHistoryResponse> for History {
    type Error = Unreadable;
    fn try_from(from: proto::GetHistoryResponse) -> Result<Self, Unreadable> {
        let entry = from.entry.ok_or_else(|| Unreadable::new("history", "it is missing"))?;
        Ok(Self { entry: entry.try_into()?, changes: all(from.changes)? })
    }
}
