//! A tool on many hosts: what a run is, and the state machine that dispatches it (1-product.md, decisions 4 and 5).

mod id;
mod machine;
mod outcome;
mod strategy;

pub use id::{CommandId, RunId};
pub use machine::{Action, FleetRun, Input};
pub use outcome::{Counts, RunState, TargetOutcome};
pub use strategy::{InvalidStrategy, Mode, OnError, Strategy, WaveSize};

use std::time::Duration;

/// How long a target's command may take where neither the caller nor the tool says so (edge CLI reference).
pub const DEFAULT_DEADLINE: Duration = Duration::from_mins(1);
/// The longest deadline that may be asked for.
pub const LONGEST_DEADLINE: Duration = Duration::from_hours(24);
/// After the deadline, or a cancel, the host ends the process group: SIGTERM, 5 s, SIGKILL. So much later, at the latest,
/// the controller doesn't wait for the host's word any more.
pub const ENDING_TAKES: Duration = Duration::from_secs(7);
