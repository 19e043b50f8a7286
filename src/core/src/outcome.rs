//! How one object's reconciliation ended.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// What became of an object. Every object of a plan ends in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It wasn't there and is now.
    Created,
    /// Some of its elements changed.
    Updated,
    /// It was already as wished.
    Unchanged,
    /// It was there and is gone.
    Deleted,
    /// It wasn't touched because something it needs failed, or because the run was stopped.
    Skipped,
    /// It couldn't be done; the error says why.
    Failed,
}

impl Outcome {
    /// All of them, in the order in which a summary counts them.
    pub const ALL: [Outcome; 6] =
        [Self::Created, Self::Updated, Self::Unchanged, Self::Deleted, Self::Skipped, Self::Failed];

    /// The word, as shown and as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How many objects ended how. Only what occurred is listed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Summary(pub BTreeMap<Outcome, u64>);

impl Summary {
    /// Counts one more.
    pub fn add(&mut self, outcome: Outcome) {
        self.add_many(outcome, 1);
    }
    /// Counts `count` more.
    pub fn add_many(&mut self, outcome: Outcome, count: u64) {
        if count > 0 {
            *self.0.entry(outcome).or_default() += count;
        }
    }
    /// How many ended like this.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.0.get(&outcome).copied().unwrap_or(0)
    }
    /// Whether anything is different from before, or failed to become so.
    pub fn has_changes(&self) -> bool {
        self.0.keys().any(|o| *o != Outcome::Unchanged)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing to do");
        }
        let parts: Vec<String> = Outcome::ALL
            .iter()
            .filter(|o| self.count(**o) > 0)
            .map(|o| format!("{} {o}", self.count(*o)))
            .collect();
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_only_what_occurred() {
        let mut summary = Summary::default();
        assert_eq!(summary.to_string(), "nothing to do");
        summary.add_many(Outcome::Unchanged, 3);
        assert!(!summary.has_changes());
        summary.add(Outcome::Created);
        summary.add_many(Outcome::Failed, 0);
        assert_eq!(summary.to_string(), "1 created, 3 unchanged");
        assert!(summary.has_changes());
    }
}
