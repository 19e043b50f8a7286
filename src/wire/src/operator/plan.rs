//! A plan as it is carried out: own before create, write on condition, forget after delete.

use std::{fmt, str::FromStr};

use aegis_core::{ObjectKey, Outcome, Owner, Revision, Secret, outcome::Summary};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::convert::{Unreadable, counts, keys, outcome, proto_keys, summary, typed};
use crate::proto;

/// A plan's number in the history of its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanNumber(pub u64);

impl fmt::Display for PlanNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Opens a plan, and records what it is going to own before anything is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginPlan {
    /// For whom.
    pub owner: Owner,
    /// What was run, such as `apply -f fleet.yaml`.
    pub source: String,
    /// Added to the owner's inventory.
    pub owns: Vec<ObjectKey>,
}

impl From<BeginPlan> for proto::BeginPlanRequest {
    fn from(from: BeginPlan) -> Self {
        Self { owner: from.owner.into(), source: from.source, owns: proto_keys(from.owns) }
    }
}

impl TryFrom<proto::BeginPlanRequest> for BeginPlan {
    type Error = Unreadable;
    fn try_from(from: proto::BeginPlanRequest) -> Result<Self, Unreadable> {
        Ok(Self { owner: typed("owner", &from.owner)?, source: from.source, owns: keys(from.owns) })
    }
}

/// What is to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// This body.
    Put(Bytes),
    /// Nothing.
    Delete,
}

/// One object's write, on condition that it is as it was read.
#[derive(Debug, Clone)]
pub struct ObjectWrite {
    /// Which object.
    pub key: ObjectKey,
    /// The revision that was read; 0: it wasn't there, or was never written.
    pub base: Revision,
    /// What is to be there.
    pub write: Write,
    /// The plan's lines, for the history and the audit log.
    pub steps: Vec<String>,
    /// What becomes of it.
    pub outcome: Outcome,
    /// The new value of a `Secret`, when it changes.
    pub value: Option<Secret<Vec<u8>>>,
}

impl ObjectWrite {
    /// About how many bytes it takes in a message.
    pub(crate) fn size(&self) -> usize {
        let body = match &self.write {
            Write::Put(body) => body.len(),
            Write::Delete => 0,
        };
        let steps: usize = self.steps.iter().map(|step| step.len() + 8).sum();
        let value = self.value.as_ref().map_or(0, |value| value.expose().len());
        self.key.kind.len() + self.key.name.len() + body + steps + value + 64
    }
}

impl From<ObjectWrite> for proto::ObjectWrite {
    fn from(from: ObjectWrite) -> Self {
        let (body, delete) = match from.write {
            Write::Put(body) => (body, false),
            Write::Delete => (Bytes::new(), true),
        };
        Self {
            kind: from.key.kind.into_owned(),
            name: from.key.name,
            base: from.base.0,
            body,
            delete,
            steps: from.steps,
            outcome: from.outcome.as_str().to_owned(),
            value: from.value.map(|value| Bytes::copy_from_slice(value.expose())).unwrap_or_default(),
        }
    }
}

impl TryFrom<proto::ObjectWrite> for ObjectWrite {
    type Error = Unreadable;
    fn try_from(from: proto::ObjectWrite) -> Result<Self, Unreadable> {
        let write = match (from.delete, from.body.is_empty()) {
            (true, true) => Write::Delete,
            (false, false) => Write::Put(from.body),
            _ => return Err(Unreadable::new("write", "a write has either a body or 'delete'")),
        };
        Ok(Self {
            key: ObjectKey::new(from.kind, from.name),
            base: Revision(from.base),
            write,
            steps: from.steps,
            outcome: outcome(&from.outcome)?,
            value: (!from.value.is_empty()).then(|| Secret::new(from.value.to_vec())),
        })
    }
}

/// Why a write wasn't done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteRefusal {
    /// The object has changed since it was read: plan again.
    Stale,
    /// The body breaks a rule of its kind.
    Refused,
    /// There is nothing of this name that could be written, such as a node that isn't enrolled.
    NotFound,
}

impl WriteRefusal {
    const ALL: [Self; 3] = [Self::Stale, Self::Refused, Self::NotFound];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Refused => "refused",
            Self::NotFound => "not_found",
        }
    }
}

impl FromStr for WriteRefusal {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|refusal| refusal.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is no reason to refuse a write"))
    }
}

/// A write that wasn't done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct WriteError {
    /// The kind of reason.
    pub refusal: WriteRefusal,
    /// The reason in words.
    pub message: String,
}

/// The object's revision after the write, or why it wasn't done.
pub type WriteResult = Result<Revision, WriteError>;

pub(crate) fn write_result_to_proto(result: WriteResult) -> proto::WriteResult {
    match result {
        Ok(revision) => {
            proto::WriteResult { revision: revision.0, error: String::new(), message: String::new() }
        }
        Err(error) => proto::WriteResult {
            revision: 0,
            error: error.refusal.as_str().to_owned(),
            message: error.message,
        },
    }
}

pub(crate) fn write_result_from_proto(result: proto::WriteResult) -> Result<WriteResult, Unreadable> {
    if result.error.is_empty() {
        return Ok(Ok(Revision(result.revision)));
    }
    Ok(Err(WriteError { refusal: typed("write result", &result.error)?, message: result.message }))
}

/// Closes a plan: what is no longer owned leaves the inventory when the writes are done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishPlan {
    /// Which.
    pub plan: PlanNumber,
    /// Taken out of the owner's inventory.
    pub forgets: Vec<ObjectKey>,
    /// How the objects ended.
    pub summary: Summary,
}

impl From<FinishPlan> for proto::FinishPlanRequest {
    fn from(from: FinishPlan) -> Self {
        Self { plan: from.plan.0, forgets: proto_keys(from.forgets), summary: counts(&from.summary) }
    }
}

impl TryFrom<proto::FinishPlanRequest> for FinishPlan {
    type Error = Unreadable;
    fn try_from(from: proto::FinishPlanRequest) -> Result<Self, Unreadable> {
        Ok(Self { plan: PlanNumber(from.plan), forgets: keys(from.forgets), summary: summary(from.summary)? })
    }
}
