//! Where a rollout is, and what is done to it.

use std::{fmt, str::FromStr};

use aegis_core::{
    NodeId,
    fleet::{Counts, RunId},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    convert::{Unreadable, all, each, optional, text, typed},
    run::{counts_from_proto, counts_to_proto},
};
use crate::proto;

macro_rules! words {
    ($(#[$doc:meta])* $type:ident, $what:literal, $($(#[$each:meta])* $variant:ident = $word:literal),*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $type { $($(#[$each])* $variant),* }
        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().copied().find(|word| word.as_str() == text);
                found.ok_or_else(|| format!("'{text}' is no {}", $what))
            }
        }
    };
}

words!(
    /// Where a rollout is.
    RolloutPhase, "phase of a rollout",
    /// Not begun: it was declared a moment ago.
    Pending = "pending",
    /// A wave is under way.
    Running = "running",
    /// Between two waves, or for enough hosts to be there.
    Waiting = "waiting",
    /// Somebody paused it.
    Paused = "paused",
    /// All hosts are done; those that join are caught up with, if so declared.
    Complete = "complete",
    /// All hosts had their turn, and some failed.
    Failed = "failed",
    /// The failure policy or a health check halted it.
    Halted = "halted",
    /// Somebody aborted it.
    Aborted = "aborted",
    /// It was halted, and what it did was taken back.
    RolledBack = "rolled_back"
);

words!(
    /// What is done to a rollout.
    RolloutAction, "action; there are pause, resume and abort",
    /// Nothing new begins.
    Pause = "pause",
    /// It goes on.
    Resume = "resume",
    /// It ends where it is.
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
