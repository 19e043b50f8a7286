//! How a target's command, and a run, ends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{exit::ExitCode, words};

/// The one way in which a target's part of a run ends (1-product.md, decision 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetOutcome {
    /// It did what was asked.
    Ok,
    /// It failed, or the host refused it.
    Error,
    /// It took longer than its deadline.
    TimedOut,
    /// It was cancelled after it had been sent.
    Cancelled,
    /// It was never sent: the run was halted or cancelled before.
    NotStarted,
    /// The host's stream ended before a result came. What it did is not known.
    Disconnected,
}

words!(
    TargetOutcome,
    "outcome",
    Ok = "ok",
    Error = "error",
    TimedOut = "timed_out",
    Cancelled = "cancelled",
    NotStarted = "not_started",
    Disconnected = "disconnected"
);

impl TargetOutcome {
    /// Whether a failure policy counts it.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Error | Self::TimedOut | Self::Disconnected)
    }
}

/// Where a run is, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Under way.
    Running,
    /// Every target ended well.
    Ok,
    /// Some target failed, and the policy was to go on.
    Failed,
    /// The failure policy halted it.
    Halted,
    /// Somebody cancelled it.
    Cancelled,
    /// Some target took too long, and nothing else failed worse.
    TimedOut,
    /// The controller ended in the middle. What is known is known.
    Interrupted,
}

words!(
    RunState,
    "state of a run",
    Running = "running",
    Ok = "ok",
    Failed = "failed",
    Halted = "halted",
    Cancelled = "cancelled",
    TimedOut = "timed_out",
    Interrupted = "interrupted"
);

impl RunState {
    /// The exit code of a command that waited for the run (edge CLI reference, "Exit codes").
    pub const fn exit_code(self) -> ExitCode {
        match self {
            Self::Ok => ExitCode::Success,
            Self::Running | Self::Failed | Self::Interrupted => ExitCode::Generic,
            Self::Halted => ExitCode::FleetHalted,
            Self::Cancelled => ExitCode::Cancelled,
            Self::TimedOut => ExitCode::DeadlineExceeded,
        }
    }
    /// Whether nothing more will happen.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Running)
    }
}

/// How many targets ended in which way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts(pub BTreeMap<TargetOutcome, u64>);

impl Counts {
    /// One more.
    pub fn add(&mut self, outcome: TargetOutcome) {
        *self.0.entry(outcome).or_default() += 1;
    }
    /// How many ended in this way.
    pub fn of(&self, outcome: TargetOutcome) -> u64 {
        self.0.get(&outcome).copied().unwrap_or(0)
    }
    /// How many have ended.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
    /// How many ended in a way that a failure policy counts.
    pub fn failures(&self) -> u64 {
        self.0.iter().filter(|(outcome, _)| outcome.is_failure()).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_and_is_the_one_in_json() {
        for outcome in TargetOutcome::ALL {
            assert_eq!(outcome.as_str().parse::<TargetOutcome>().unwrap(), *outcome);
            assert_eq!(serde_json::to_string(outcome).unwrap(), format!("\"{outcome}\""));
        }
        for state in RunState::ALL {
            assert_eq!(state.as_str().parse::<RunState>().unwrap(), *state);
            assert_eq!(serde_json::to_string(state).unwrap(), format!("\"{state}\""));
        }
        assert_eq!("gone".parse::<TargetOutcome>().unwrap_err().to_string(), "'gone' is no outcome");
    }
}
