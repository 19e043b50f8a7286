//! What happens in a run. The events' JSON form is a contract (docs/json.md).

use std::time::Duration;

use aegis_core::{NodeId, fleet::TargetOutcome};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Run, Skipped,
    convert::{Unreadable, all, each, optional, time, typed},
    data,
};
use crate::{
    edge::{CommandResult, Refusal},
    proto::{self, run_event},
};

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// 1, 2, 3 … of what is kept; 0: output, which isn't.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: RunChange,
}

/// What happened in a run. Targets are named by their place in `Started`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunChange {
    /// It began.
    Started {
        /// The run.
        run: Run,
        /// In the order of dispatch.
        targets: Vec<RunTarget>,
        /// Hosts that are meant and couldn't be dispatched to.
        skipped: Vec<Skipped>,
    },
    /// A wave begins.
    WaveStarted {
        /// From 1.
        wave: u32,
        /// How many there are.
        waves: u32,
        /// How many hosts it has.
        targets: u32,
    },
    /// Hosts get the command.
    Dispatched {
        /// Which.
        targets: Vec<u32>,
    },
    /// A host printed something. It isn't kept; the result has the end of it.
    Output {
        /// Which.
        target: u32,
        /// Messages, or else what it prints.
        stderr: bool,
        /// Any bytes.
        #[serde(with = "text_or_base64")]
        data: Bytes,
    },
    /// A host's one result.
    Result(TargetResult),
    /// All hosts of a wave have ended.
    WaveEnded {
        /// Which.
        wave: u32,
    },
    /// Nothing more begins.
    Halted {
        /// Why.
        reason: String,
    },
    /// Somebody cancels it.
    Cancelling {
        /// Who.
        subject: String,
    },
    /// It ended.
    Finished {
        /// The run.
        run: Run,
    },
}

/// A host that a run means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunTarget {
    /// Its id.
    pub node_id: NodeId,
    /// Its name.
    pub name: String,
}

/// How a host's part ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetResult {
    /// Its place in the run.
    pub target: u32,
    /// Its id.
    pub node_id: NodeId,
    /// Its name.
    pub name: String,
    /// How.
    pub outcome: TargetOutcome,
    /// The program's exit code, where one ran and ended by itself.
    pub exit_code: Option<i32>,
    /// What went wrong, with the way out; empty when nothing did.
    pub error: String,
    /// The rule that refused it, if it never began.
    pub refusal: Option<Refusal>,
    /// The end of what it printed.
    #[serde(with = "text_or_base64")]
    pub stdout: Bytes,
    /// The end of its messages.
    #[serde(with = "text_or_base64")]
    pub stderr: Bytes,
    /// How many bytes it printed in all.
    pub stdout_bytes: u64,
    /// How many bytes of messages there were in all.
    pub stderr_bytes: u64,
    /// The result for programs.
    pub data: Option<serde_json::Value>,
    /// From its begin to its end, on the host, in milliseconds.
    pub duration_ms: u64,
}

impl TargetResult {
    /// A result that the host didn't give.
    pub fn without_host(target: u32, host: RunTarget, outcome: TargetOutcome, error: String) -> Self {
        Self {
            target,
            node_id: host.node_id,
            name: host.name,
            outcome,
            exit_code: None,
            error,
            refusal: None,
            stdout: Bytes::new(),
            stderr: Bytes::new(),
            stdout_bytes: 0,
            stderr_bytes: 0,
            data: None,
            duration_ms: 0,
        }
    }

    /// The host's result.
    pub fn of_host(target: u32, host: RunTarget, result: CommandResult) -> Self {
        let data = data::read(&result.data);
        let mut error = result.error;
        if data.is_err() && error.is_empty() {
            data::TOO_MUCH.clone_into(&mut error);
        }
        Self {
            outcome: result.outcome,
            exit_code: result.exit_code,
            refusal: result.refusal,
            stdout: result.stdout,
            stderr: result.stderr,
            stdout_bytes: result.stdout_bytes,
            stderr_bytes: result.stderr_bytes,
            // A host that sends no JSON sends nothing for programs.
            data: data.unwrap_or_default(),
            duration_ms: u64::try_from(result.duration.as_millis()).unwrap_or(u64::MAX),
            ..Self::without_host(target, host, result.outcome, error)
        }
    }

    /// How long it took on the host.
    pub fn duration(&self) -> Duration {
        Duration::from_millis(self.duration_ms)
    }

    /// Whether the outputs' beginnings are missing.
    pub fn is_cut(&self) -> bool {
        self.stdout_bytes > self.stdout.len() as u64 || self.stderr_bytes > self.stderr.len() as u64
    }
}

/// Bytes as text where they are, else as `{"base64": "…"}`.
mod text_or_base64 {
    use super::{BASE64_STANDARD, Bytes, Deserialize, Deserializer, Engine, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Binary { base64: String },
    }

    pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Form::Binary { base64: BASE64_STANDARD.encode(bytes) }.serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(text.into()),
            Form::Binary { base64 } => {
                BASE64_STANDARD.decode(base64).map(Into::into).map_err(serde::de::Error::custom)
            }
        }
    }
}

impl From<TargetResult> for proto::TargetResult {
    fn from(from: TargetResult) -> Self {
        Self {
            target: from.target,
            node_id: from.node_id.into(),
            name: from.name,
            outcome: from.outcome.as_str().to_owned(),
            exit_code: from.exit_code,
            error: from.error,
            refusal: from.refusal.map(|refusal| refusal.as_str().to_owned()).unwrap_or_default(),
            stdout: from.stdout,
            stderr: from.stderr,
            stdout_bytes: from.stdout_bytes,
            stderr_bytes: from.stderr_bytes,
            data: from.data.map(|data| data.to_string().into()).unwrap_or_default(),
            duration_ms: from.duration_ms,
        }
    }
}

impl TryFrom<proto::TargetResult> for TargetResult {
    type Error = Unreadable;
    fn try_from(from: proto::TargetResult) -> Result<Self, Unreadable> {
        Ok(Self {
            target: from.target,
            node_id: typed("node id", &from.node_id)?,
            name: from.name,
            outcome: typed("outcome", &from.outcome)?,
            exit_code: from.exit_code,
            error: from.error,
            refusal: optional("refusal", &from.refusal)?,
            stdout: from.stdout,
            stderr: from.stderr,
            stdout_bytes: from.stdout_bytes,
            stderr_bytes: from.stderr_bytes,
            data: serde_json::from_slice(&from.data).ok(),
            duration_ms: from.duration_ms,
        })
    }
}

impl From<RunTarget> for proto::RunTarget {
    fn from(from: RunTarget) -> Self {
        Self { node_id: from.node_id.into(), name: from.name }
    }
}

impl TryFrom<proto::RunTarget> for RunTarget {
    type Error = Unreadable;
    fn try_from(from: proto::RunTarget) -> Result<Self, Unreadable> {
        Ok(Self { node_id: typed("node id", &from.node_id)?, name: from.name })
    }
}

impl From<RunEvent> for proto::RunEvent {
    fn from(from: RunEvent) -> Self {
        let event = match from.what {
            RunChange::Started { run, targets, skipped } => run_event::Event::Started(proto::RunStarted {
                run: Some(run.into()),
                targets: each(targets),
                skipped: each(skipped),
            }),
            RunChange::WaveStarted { wave, waves, targets } => {
                run_event::Event::WaveStarted(proto::WaveStarted { wave, waves, targets })
            }
            RunChange::Dispatched { targets } => run_event::Event::Dispatched(proto::Dispatched { targets }),
            RunChange::Output { target, stderr, data } => {
                run_event::Event::Output(proto::RunOutput { target, stderr, data })
            }
            RunChange::Result(result) => run_event::Event::Result(result.into()),
            RunChange::WaveEnded { wave } => run_event::Event::WaveEnded(proto::WaveEnded { wave }),
            RunChange::Halted { reason } => run_event::Event::Halted(proto::RunHalted { reason }),
            RunChange::Cancelling { subject } => {
                run_event::Event::Cancelling(proto::RunCancelling { subject })
            }
            RunChange::Finished { run } => run_event::Event::Finished(run.into()),
        };
        Self { sequence: from.sequence, time: from.time.to_string(), event: Some(event) }
    }
}

impl TryFrom<proto::RunEvent> for RunEvent {
    type Error = Unreadable;
    fn try_from(from: proto::RunEvent) -> Result<Self, Unreadable> {
        let what = match from.event.ok_or_else(|| Unreadable::new("run event", "of an unknown kind"))? {
            run_event::Event::Started(started) => RunChange::Started {
                run: started.run.ok_or_else(|| Unreadable::new("run event", "without a run"))?.try_into()?,
                targets: all(started.targets)?,
                skipped: all(started.skipped)?,
            },
            run_event::Event::WaveStarted(proto::WaveStarted { wave, waves, targets }) => {
                RunChange::WaveStarted { wave, waves, targets }
            }
            run_event::Event::Dispatched(dispatched) => RunChange::Dispatched { targets: dispatched.targets },
            run_event::Event::Output(proto::RunOutput { target, stderr, data }) => {
                RunChange::Output { target, stderr, data }
            }
            run_event::Event::Result(result) => RunChange::Result(result.try_into()?),
            run_event::Event::WaveEnded(ended) => RunChange::WaveEnded { wave: ended.wave },
            run_event::Event::Halted(halted) => RunChange::Halted { reason: halted.reason },
            run_event::Event::Cancelling(by) => RunChange::Cancelling { subject: by.subject },
            run_event::Event::Finished(run) => RunChange::Finished { run: run.try_into()? },
        };
        Ok(Self { sequence: from.sequence, time: time("time", &from.time)?, what })
    }
}
