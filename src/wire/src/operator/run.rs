//! Runs: a tool on many hosts, or on one.

use aegis_core::fleet::{Counts, Mode, OnError, RunId, RunState};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::convert::{Unreadable, body_as_json, optional, text, time, typed};
use crate::proto;

/// Begins a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartRun {
    /// The expression of `--target`; none: routed (docs/adr/0017-routing.md).
    pub target: Option<String>,
    /// The tool's name.
    pub tool: String,
    /// JSON, an object.
    pub arguments: Bytes,
    /// In which order.
    pub mode: Mode,
    /// How many at once; none: as many as there are targets.
    pub max_concurrency: Option<u32>,
    /// What a failure does; none: by the tool's class.
    pub on_error: Option<OnError>,
    /// Refuse to begin with fewer targets.
    pub require_min: Option<u32>,
    /// How long each target may take, in milliseconds; none: the tool's own, else 60 s.
    pub deadline_ms: Option<u64>,
    /// The security context's name; none: `default`.
    pub security_context: Option<String>,
    /// The same key again, within a day, is the same run.
    pub idempotency_key: Option<String>,
}

impl From<StartRun> for proto::StartRunRequest {
    fn from(from: StartRun) -> Self {
        Self {
            target: from.target.unwrap_or_default(),
            tool: from.tool,
            arguments: from.arguments,
            mode: from.mode.to_string(),
            max_concurrency: from.max_concurrency.unwrap_or_default(),
            on_error: text(from.on_error.as_ref()),
            require_min: from.require_min.unwrap_or_default(),
            deadline_ms: from.deadline_ms.unwrap_or_default(),
            security_context: from.security_context.unwrap_or_default(),
            idempotency_key: from.idempotency_key.unwrap_or_default(),
        }
    }
}

impl TryFrom<proto::StartRunRequest> for StartRun {
    type Error = Unreadable;
    fn try_from(from: proto::StartRunRequest) -> Result<Self, Unreadable> {
        let there = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Self {
            mode: optional("mode", &from.mode)?.unwrap_or_default(),
            on_error: optional("failure policy", &from.on_error)?,
            target: there(from.target),
            tool: from.tool,
            arguments: from.arguments,
            max_concurrency: Some(from.max_concurrency).filter(|number| *number > 0),
            require_min: Some(from.require_min).filter(|number| *number > 0),
            deadline_ms: Some(from.deadline_ms).filter(|time| *time > 0),
            security_context: there(from.security_context),
            idempotency_key: there(from.idempotency_key),
        })
    }
}

/// A run, as it is listed and kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub run_id: RunId,
    /// Whose it is.
    pub tenant: String,
    /// Who began it.
    pub subject: String,
    /// The expression of `--target`, or the host that was routed to.
    pub target: String,
    /// The tool's name.
    pub tool: String,
    /// JSON, an object.
    #[serde(serialize_with = "body_as_json", deserialize_with = "json_as_body")]
    pub arguments: Bytes,
    /// In which order.
    pub mode: Mode,
    /// How many at once.
    pub max_concurrency: Option<u32>,
    /// What a failure does.
    pub on_error: OnError,
    /// The least number of targets.
    pub require_min: Option<u32>,
    /// How long each target may take, in milliseconds.
    pub deadline_ms: u64,
    /// The security context's name.
    pub security_context: String,
    /// Where it is, or how it ended.
    pub state: RunState,
    /// Why it was halted, cancelled or interrupted; empty else.
    pub reason: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none: it is running.
    pub finished_at: Option<Timestamp>,
    /// How many hosts are meant.
    pub targets: u64,
    /// How many of them ended how.
    pub outcomes: Counts,
    /// The `Rollout` that began it; none: somebody did.
    pub rollout: Option<String>,
}

/// The other way of [`body_as_json`].
fn json_as_body<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.map(|value| value.to_string().into()).unwrap_or_default())
}

pub(super) fn counts_to_proto(counts: &Counts) -> std::collections::BTreeMap<String, u64> {
    counts.0.iter().map(|(outcome, count)| (outcome.as_str().to_owned(), *count)).collect()
}

pub(super) fn counts_from_proto(
    counts: std::collections::BTreeMap<String, u64>,
) -> Result<Counts, Unreadable> {
    let count = |(word, count): (String, u64)| Ok((typed("outcome", &word)?, count));
    counts.into_iter().map(count).collect::<Result<_, _>>().map(Counts)
}

impl From<Run> for proto::Run {
    fn from(from: Run) -> Self {
        Self {
            run_id: from.run_id.into(),
            tenant: from.tenant,
            subject: from.subject,
            target: from.target,
            tool: from.tool,
            arguments: from.arguments,
            mode: from.mode.to_string(),
            max_concurrency: from.max_concurrency.unwrap_or_default(),
            on_error: from.on_error.to_string(),
            require_min: from.require_min.unwrap_or_default(),
            deadline_ms: from.deadline_ms,
            security_context: from.security_context,
            state: from.state.to_string(),
            reason: from.reason,
            started_at: from.started_at.to_string(),
            finished_at: text(from.finished_at.as_ref()),
            targets: from.targets,
            outcomes: counts_to_proto(&from.outcomes),
            rollout: from.rollout.unwrap_or_default(),
        }
    }
}

impl TryFrom<proto::Run> for Run {
    type Error = Unreadable;
    fn try_from(from: proto::Run) -> Result<Self, Unreadable> {
        Ok(Self {
            run_id: typed("run id", &from.run_id)?,
            mode: typed("mode", &from.mode)?,
            on_error: typed("failure policy", &from.on_error)?,
            state: typed("state", &from.state)?,
            started_at: time("time", &from.started_at)?,
            finished_at: optional("time", &from.finished_at)?,
            outcomes: counts_from_proto(from.outcomes)?,
            tenant: from.tenant,
            subject: from.subject,
            target: from.target,
            tool: from.tool,
            arguments: from.arguments,
            max_concurrency: Some(from.max_concurrency).filter(|number| *number > 0),
            require_min: Some(from.require_min).filter(|number| *number > 0),
            deadline_ms: from.deadline_ms,
            security_context: from.security_context,
            reason: from.reason,
            targets: from.targets,
            rollout: Some(from.rollout).filter(|name| !name.is_empty()),
        })
    }
}

/// Which runs to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListRuns {
    /// At most so many, newest first; none: 100.
    pub limit: Option<u64>,
}

/// What of a run is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetRun {
    /// Its id, or a unique prefix.
    pub run: String,
    /// Go on until it has ended.
    pub follow: bool,
}
