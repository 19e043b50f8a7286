//! Where a rollout is, and what is done to it.

use aegis_core::{
    NodeId,
    fleet::{Counts, RunId},
    words,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    convert::{Unreadable, all, each, optional, text, typed},
    run::{counts_from_proto, counts_to_proto},
};
use crate::proto;

/// Where a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutPhase {
    /// Not begun: it was declared a moment ago.
    Pending,
    /// A wave is under way.
    Running,
    /// Between two waves, or for enough hosts to be there.
    Waiting,
    /// Somebody paused it.
    Paused,
    /// All hosts are done; those that join are caught up with, if so declared.
    Complete,
    /// All hosts had their turn, and some failed.
    Failed,
    /// The failure policy or a health check halted it.
    Halted,
    /// Somebody aborted it.
    Aborted,
    /// It was halted, and what it did was taken back.
    RolledBack,
}

words!(
    RolloutPhase,
    "phase of a rollout",
    Pending = "pending",
    Running = "running",
    Waiting = "waiting",
    Paused = "paused",
    Complete = "complete",
    Failed = "failed",
    Halted = "halted",
    Aborted = "aborted",
    RolledBack = "rolled_back"
);

/// What is done to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutAction {
    /// Nothing new begins.
    Pause,
    /// It goes on.
    Resume,
    /// It ends where it is.
    Abort,
}

words!(
    RolloutAction,
    "action; there are pause, resume and abort",
    Pause = "pause",
    Resume = "resume",
    Abort = "abort"
);

impl RolloutPhase {
    /// Whether nothing more happens by itself, but for hosts that join.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Halted | Self::Aborted | Self::RolledBack)
    }
}

/// Where a rollout is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutStatus {
    /// Its name.
    pub name: String,
    /// Which of its specs the rest is about: the object's revision.
    pub generation: u64,
    /// Where it is.
    pub phase: RolloutPhase,
    /// Why, in words; empty: there is nothing to say.
    pub message: String,
    /// The wave under way, or the last; 0: none yet.
    pub wave: u32,
    /// How many there are; 0: not known yet.
    pub waves: u32,
    /// How many hosts are meant.
    pub targets: u64,
    /// How many of them ended how.
    pub outcomes: Counts,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The runs of this generation, oldest first.
    pub runs: Vec<RunId>,
    /// Each host.
    pub hosts: Vec<RolloutHost>,
}

/// Where a rollout is on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutHost {
    /// Its id.
    pub node_id: NodeId,
    /// Its name.
    pub name: String,
    /// `pending`, `running`, an outcome, or `rolled_back`.
    pub state: String,
    /// The run in which.
    pub run_id: Option<RunId>,
}

impl From<RolloutHost> for proto::RolloutTarget {
    fn from(from: RolloutHost) -> Self {
        Self {
            node_id: from.node_id.into(),
            name: from.name,
            state: from.state,
            run_id: text(from.run_id.as_ref()),
        }
    }
}

impl TryFrom<proto::RolloutTarget> for RolloutHost {
    type Error = Unreadable;
    fn try_from(from: proto::RolloutTarget) -> Result<Self, Unreadable> {
        Ok(Self {
            node_id: typed("node id", &from.node_id)?,
            name: from.name,
            state: from.state,
            run_id: optional("run id", &from.run_id)?,
        })
    }
}

impl From<RolloutStatus> for proto::RolloutStatus {
    fn from(from: RolloutStatus) -> Self {
        Self {
            name: from.name,
            generation: from.generation,
            phase: from.phase.to_string(),
            message: from.message,
            wave: from.wave,
            waves: from.waves,
            targets: from.targets,
            outcomes: counts_to_proto(&from.outcomes),
            started_at: text(from.started_at.as_ref()),
            finished_at: text(from.finished_at.as_ref()),
            runs: from.runs.into_iter().map(Into::into).collect(),
            hosts: each(from.hosts),
        }
    }
}

impl TryFrom<proto::RolloutStatus> for RolloutStatus {
    type Error = Unreadable;
    fn try_from(from: proto::RolloutStatus) -> Result<Self, Unreadable> {
        Ok(Self {
            name: from.name,
            generation: from.generation,
            phase: typed("phase", &from.phase)?,
            message: from.message,
            wave: from.wave,
            waves: from.waves,
            targets: from.targets,
            outcomes: counts_from_proto(from.outcomes)?,
            started_at: optional("time", &from.started_at)?,
            finished_at: optional("time", &from.finished_at)?,
            runs: from.runs.iter().map(|run| typed("run id", run)).collect::<Result<_, _>>()?,
            hosts: all(from.hosts)?,
        })
    }
}
