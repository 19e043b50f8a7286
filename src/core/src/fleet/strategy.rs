//! In which order and how fast hosts get a run's command, and what a failure does to the rest.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// The text is no mode or no failure policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is no {what}; write {rule}")]
pub struct InvalidStrategy {
    given: String,
    what: &'static str,
    rule: &'static str,
}

/// How many hosts a wave has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaveSize {
    /// So many; at least one.
    Hosts(u32),
    /// So many of a hundred targets, rounded up; 1 to 100.
    Percent(u8),
}

impl WaveSize {
    /// The size of a wave of a run with so many targets; at least one.
    pub fn of(self, targets: u32) -> u32 {
        match self {
            Self::Hosts(hosts) => hosts.max(1),
            Self::Percent(percent) => {
                let share = (u64::from(targets) * u64::from(percent)).div_ceil(100);
                u32::try_from(share).unwrap_or(u32::MAX).max(1)
            }
        }
    }
}

/// In which order hosts get the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Mode {
    /// All at once, as far as the concurrency allows.
    #[default]
    Parallel,
    /// One after the other.
    Sequential,
    /// In waves: one begins when the one before it has ended.
    Rolling(WaveSize),
}

impl FromStr for Mode {
    type Err = InvalidStrategy;
    fn from_str(text: &str) -> Result<Self, InvalidStrategy> {
        let size = |text: &str| match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|p| (1..=100).contains(p)).map(WaveSize::Percent),
            None => text.parse().ok().filter(|n| *n > 0).map(WaveSize::Hosts),
        };
        let mode = match text {
            "parallel" => Some(Self::Parallel),
            "sequential" => Some(Self::Sequential),
            other => other.strip_prefix("rolling=").and_then(size).map(Self::Rolling),
        };
        mode.ok_or_else(|| InvalidStrategy {
            given: text.to_owned(),
            what: "mode",
            rule: "parallel, sequential, rolling=N (hosts a wave) or rolling=P% (1% to 100%)",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parallel => f.write_str("parallel"),
            Self::Sequential => f.write_str("sequential"),
            Self::Rolling(WaveSize::Hosts(hosts)) => write!(f, "rolling={hosts}"),
            Self::Rolling(WaveSize::Percent(percent)) => write!(f, "rolling={percent}%"),
        }
    }
}

/// What a failed target does to those that haven't begun. What runs is never ended by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum OnError {
    /// The first failure halts the run.
    FailFast,
    /// Failures halt nothing.
    Continue,
    /// So many failures halt it; at least one.
    StopAfter(u32),
}

impl OnError {
    /// Whether so many failures halt a run.
    pub const fn halts(self, failures: u64) -> bool {
        match self {
            Self::FailFast => failures > 0,
            Self::Continue => false,
            Self::StopAfter(most) => failures >= most as u64,
        }
    }
}

impl FromStr for OnError {
    type Err = InvalidStrategy;
    fn from_str(text: &str) -> Result<Self, InvalidStrategy> {
        let policy = match text {
            "fail-fast" => Some(Self::FailFast),
            "continue" => Some(Self::Continue),
            other => other
                .strip_prefix("stop-after=")
                .and_then(|n| n.parse().ok())
                .filter(|n| *n > 0)
                .map(Self::StopAfter),
        };
        policy.ok_or_else(|| InvalidStrategy {
            given: text.to_owned(),
            what: "failure policy",
            rule: "fail-fast, continue or stop-after=N (failures)",
        })
    }
}

impl fmt::Display for OnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailFast => f.write_str("fail-fast"),
            Self::Continue => f.write_str("continue"),
            Self::StopAfter(failures) => write!(f, "stop-after={failures}"),
        }
    }
}

macro_rules! as_text {
    ($type:ident) => {
        impl TryFrom<String> for $type {
            type Error = InvalidStrategy;
            fn try_from(text: String) -> Result<Self, InvalidStrategy> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    };
}

as_text!(Mode);
as_text!(OnError);

/// How a run goes about its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strategy {
    /// In which order.
    pub mode: Mode,
    /// How many at once, at most; none: all that the mode allows. At least one.
    pub max_concurrency: Option<u32>,
    /// What a failure does.
    pub on_error: OnError,
    /// How long each target may take.
    pub deadline: Duration,
    /// How long to wait between two waves.
    pub pause: Duration,
    /// Whether the next wave waits for a word, once the pause is over: a rollout checks the hosts' health first.
    pub gated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_policies_read_and_print() {
        for text in ["parallel", "sequential", "rolling=1", "rolling=500", "rolling=25%", "rolling=100%"] {
            assert_eq!(text.parse::<Mode>().unwrap().to_string(), text);
        }
        for text in ["fail-fast", "continue", "stop-after=3"] {
            assert_eq!(text.parse::<OnError>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_unknown_is_refused_and_never_taken_for_a_default() {
        for text in
            ["", "Parallel", "rolling", "rolling=0", "rolling=-1", "rolling=0%", "rolling=101%", "serial"]
        {
            let error = text.parse::<Mode>().unwrap_err().to_string();
            assert!(error.contains("is no mode; write parallel"), "{error}");
        }
        for text in ["", "stop", "stop-after", "stop-after=0", "stop-after=-1", "FAIL-FAST"] {
            assert!(text.parse::<OnError>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_wave_is_a_share_rounded_up_and_never_empty() {
        let sizes = [1, 3, 4, 5, 100].map(|targets| WaveSize::Percent(25).of(targets));
        assert_eq!(sizes, [1, 1, 1, 2, 25]);
        assert_eq!(WaveSize::Percent(100).of(u32::MAX), u32::MAX);
        assert_eq!(WaveSize::Percent(1).of(0), 1);
    }
}
