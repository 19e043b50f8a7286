//! What a host shall have, and how it stands with it.

use aegis_core::{ObjectKey, Secret, words};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{envelope::Malformed, proto};

/// The most objects that a host is assigned, and that its report has.
pub const MAX_ASSIGNED: usize = 1000;
/// The most bytes of a report's message: a whole report fits into an envelope.
const MAX_MESSAGE: usize = 2048;

/// An object that a host shall have.
#[derive(Debug, Clone)]
pub struct Assigned {
    /// Which: an `App`, a `Kit` or a `Secret`.
    pub key: ObjectKey,
    /// Its spec, as JSON.
    pub spec: Bytes,
    /// The value, of a `Secret`.
    pub value: Option<Secret<Vec<u8>>>,
}

impl PartialEq for Assigned {
    fn eq(&self, other: &Self) -> bool {
        let value = |one: &Self| one.value.as_ref().map(|value| value.expose().clone());
        self.key == other.key && self.spec == other.spec && value(self) == value(other)
    }
}

impl From<Assigned> for proto::AssignedObject {
    fn from(from: Assigned) -> Self {
        let value = from.value.map(|value| Bytes::copy_from_slice(value.expose())).unwrap_or_default();
        Self { kind: from.key.kind.into_owned(), name: from.key.name, spec: from.spec, value }
    }
}

impl From<proto::AssignedObject> for Assigned {
    fn from(from: proto::AssignedObject) -> Self {
        let value = (!from.value.is_empty()).then(|| Secret::new(from.value.to_vec()));
        Self { key: ObjectKey::new(from.kind, from.name), spec: from.spec, value }
    }
}

/// How a host stands with one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportPhase {
    /// It is being made so.
    Pending,
    /// It is as declared.
    Ready,
    /// It can't be made so, or was taken back.
    Failed,
}

words!(ReportPhase, "phase of an object", Pending = "pending", Ready = "ready", Failed = "failed");

/// What a host says of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectReport {
    /// Which.
    pub key: ObjectKey,
    /// How it stands.
    pub phase: ReportPhase,
    /// Why, in one line; empty: there is nothing to say.
    pub message: String,
}

impl ObjectReport {
    /// With a message that is one line and not too long.
    pub fn new(key: ObjectKey, phase: ReportPhase, message: &str) -> Self {
        let visible = message.chars().map(|c| if c.is_control() { ' ' } else { c });
        // Of four bytes at most each.
        Self { key, phase, message: visible.take(MAX_MESSAGE / 4).collect() }
    }
}

impl From<ObjectReport> for proto::ObjectReport {
    fn from(from: ObjectReport) -> Self {
        let (kind, name) = (from.key.kind.into_owned(), from.key.name);
        Self { kind, name, phase: from.phase.to_string(), message: from.message }
    }
}

/// Reads what a host says. It is stored and shown on terminals.
pub(super) fn reports_from_proto(from: Vec<proto::ObjectReport>) -> Result<Vec<ObjectReport>, Malformed> {
    if from.len() > MAX_ASSIGNED {
        return Err(Malformed(format!("a report has at most {MAX_ASSIGNED} objects")));
    }
    let report = |from: proto::ObjectReport| {
        let texts = [&from.kind, &from.name, &from.message];
        if texts.iter().any(|text| text.len() > MAX_MESSAGE || text.chars().any(char::is_control)) {
            return Err(Malformed("a report's texts are one line and not too long".to_owned()));
        }
        let phase = from.phase.parse().map_err(|error| Malformed(format!("{error}")))?;
        Ok(ObjectReport { key: ObjectKey::new(from.kind, from.name), phase, message: from.message })
    };
    from.into_iter().map(report).collect()
}
