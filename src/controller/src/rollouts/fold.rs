//! What a run's events mean for its rollout: the same whether they are heard as they happen or read after a restart.

use aegis_core::{NodeId, fleet::TargetOutcome};
use aegis_wire::operator::{RolloutPhase, Run, RunChange, RunEvent, TargetResult};

use super::record::{Current, Record, Work};

/// How many hosts are named in a message.
const NAMED: usize = 3;

/// A run's events, so far.
#[derive(Debug)]
pub(crate) struct Fold {
    pub current: Current,
    targets: Vec<NodeId>,
    /// Why it was halted.
    pub halted: Option<String>,
    /// Hosts that failed, and how.
    pub failures: Vec<(NodeId, String)>,
    /// As it ended.
    pub finished: Option<Run>,
}

impl Fold {
    pub fn new(current: Current) -> Self {
        Self { current, targets: Vec::new(), halted: None, failures: Vec::new(), finished: None }
    }

    /// Takes in what happened.
    pub fn take(&mut self, record: &mut Record, event: RunEvent) {
        match event.what {
            RunChange::Started { targets, .. } => {
                self.targets = targets.into_iter().map(|target| target.node_id).collect();
            }
            RunChange::WaveStarted { wave, waves, .. } if self.moves_on() => {
                record.header.phase = RolloutPhase::Running;
                record.header.message.clear();
                record.header.wave = self.current.base + wave;
                record.header.waves = self.current.base + waves;
            }
            RunChange::WaveEnded { .. } if self.moves_on() => {
                if record.header.wave < record.header.waves {
                    record.header.phase = RolloutPhase::Waiting;
                    record.header.message =
                        format!("wave {} of {} has ended", record.header.wave, record.header.waves);
                }
            }
            RunChange::Dispatched { targets } if self.moves_on() => self.dispatched(record, &targets),
            RunChange::Result(result) => self.result(record, &result),
            RunChange::Halted { reason } => self.halted = Some(reason),
            RunChange::Finished { run } => self.finished = Some(run),
            RunChange::WaveStarted { .. }
            | RunChange::WaveEnded { .. }
            | RunChange::Dispatched { .. }
            | RunChange::Output { .. }
            | RunChange::Cancelling { .. } => {}
        }
    }

    /// Whether it is the call itself that goes to hosts.
    fn moves_on(&self) -> bool {
        matches!(self.current.work, Work::Deploy | Work::CatchUp)
    }

    fn dispatched(&self, record: &mut Record, targets: &[u32]) {
        let wave = record.header.wave;
        for target in targets {
            let node = self.targets.get(*target as usize);
            if let Some(host) = node.and_then(|node| record.hosts.get_mut(node)) {
                // A run is heard again by whoever follows it anew.
                if host.run.replace(self.current.run.clone()).as_ref() != Some(&self.current.run) {
                    host.attempts += 1;
                }
                host.wave = wave;
                host.outcome = None;
            }
        }
    }

    fn result(&mut self, record: &mut Record, result: &TargetResult) {
        // That others weren't begun is what follows, and not why.
        let is_why = result.outcome != TargetOutcome::NotStarted || self.current.work == Work::Check;
        if result.outcome != TargetOutcome::Ok && is_why {
            self.failures.push((result.node_id.clone(), describe(result)));
        }
        let Some(host) = record.hosts.get_mut(&result.node_id) else { return };
        match self.current.work {
            Work::Deploy | Work::CatchUp => host.outcome = Some(result.outcome),
            // One that was never asked is asked again.
            Work::Rollback if result.outcome == TargetOutcome::NotStarted => {}
            Work::Rollback => host.taken_back = Some(result.outcome),
            Work::Check => {}
        }
    }

    /// Who failed and how, for people; none: nobody did.
    pub fn complaint(&self) -> Option<String> {
        let told: Vec<String> = self.failures.iter().map(|(_, how)| how.clone()).collect();
        some_of(&told)
    }
}

/// The first of them, and how many more there are; none: there are none.
pub(super) fn some_of(all: &[String]) -> Option<String> {
    let (told, more) = all.split_at(all.len().min(NAMED));
    match (told.is_empty(), more.len()) {
        (true, _) => None,
        (false, 0) => Some(told.join("; ")),
        (false, more) => Some(format!("{}; and {more} more", told.join("; "))),
    }
}

/// How a host failed: `web-2: exit code 1`.
fn describe(result: &TargetResult) -> String {
    let how = match (result.error.as_str(), result.exit_code) {
        ("", Some(code)) => format!("exit code {code}"),
        ("", None) => result.outcome.as_str().replace('_', " "),
        (error, _) => error.to_owned(),
    };
    format!("{}: {how}", result.name)
}
