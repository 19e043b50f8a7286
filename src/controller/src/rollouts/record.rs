//! What is known of a rollout: the part that says where it is, and each host. The second part is large and rarely
//! written: what happens in a run is in the run's own rows, from which it is read again after a restart.

use std::collections::BTreeMap;

use aegis_core::{
    NodeId,
    fleet::{Counts, RunId, TargetOutcome},
};
use aegis_kinds::RolloutSpec;
use aegis_wire::operator::{RolloutHost, RolloutPhase, RolloutStatus};
use serde::{Deserialize, Serialize};

use super::{fold::some_of, rows::Steering};
use crate::clock::exact_time;

/// How many runs are remembered; catching up goes on for ever.
const RUNS: usize = 200;
/// How often a host may get the call before a stream that ends in the middle counts as its end: the call may be what
/// ends it.
const ATTEMPTS: u32 = 3;

/// Where a rollout is, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The revision of the object when it had this spec first.
    pub generation: u64,
    /// Of the spec that this is about.
    pub digest: String,
    pub phase: RolloutPhase,
    pub message: String,
    /// The wave under way, or the last.
    pub wave: u32,
    pub waves: u32,
    /// The hosts of the waves up to this one were found well.
    pub checked: u32,
    /// How many hosts a wave has; 0: that isn't known yet.
    pub batch: u32,
    /// How many hosts were meant at the begin and couldn't be asked.
    pub skipped: u64,
    /// Why what was done is to be taken back.
    pub rolling_back: Option<String>,
    /// Whether the hosts that were meant at the begin have had their turn: from here on others are caught up with.
    pub is_done: bool,
    /// The run that is under way.
    pub current: Option<Current>,
    /// Newest last.
    pub runs: Vec<RunId>,
    /// 0: not begun.
    pub started_at_ms: i64,
    /// 0: not ended.
    pub finished_at_ms: i64,
}

/// A run of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Current {
    pub run: RunId,
    pub work: Work,
    /// The last wave before it.
    pub base: u32,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    Deploy,
    CatchUp,
    Check,
    Rollback,
}

/// A host of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Host {
    pub name: String,
    /// None: it hasn't had its turn, or has it now.
    pub outcome: Option<TargetOutcome>,
    /// The last run in which it got the call.
    pub run: Option<RunId>,
    /// In which wave; 0: none yet.
    pub wave: u32,
    /// How often it got the call.
    pub attempts: u32,
    /// Why the call can't be for it: no run says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// How taking back ended.
    pub taken_back: Option<TargetOutcome>,
}

/// All that is known of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub header: Header,
    pub hosts: BTreeMap<NodeId, Host>,
}

impl Host {
    pub fn new(name: String) -> Self {
        Self { name, outcome: None, run: None, wave: 0, attempts: 0, refused: None, taken_back: None }
    }

    /// Whether the call may have changed it, and it can be asked to take that back.
    fn was_reached(&self) -> bool {
        use TargetOutcome::{Error, Ok, TimedOut};
        // One that can't do what is wanted ends in an error, too, and got nothing.
        self.attempts > 0 && matches!(self.outcome, Some(Ok | Error | TimedOut))
    }

    /// Whether it is caught up with as soon as it is there.
    pub fn wants_another(&self) -> bool {
        match self.outcome {
            None | Some(TargetOutcome::NotStarted) => true,
            Some(TargetOutcome::Disconnected) => self.attempts < ATTEMPTS,
            Some(_) => false,
        }
    }

    fn state(&self, current: Option<&Current>) -> &'static str {
        match (self.taken_back, self.outcome) {
            (Some(TargetOutcome::Ok), _) => "rolled_back",
            (_, Some(outcome)) => outcome.as_str(),
            (_, None) if self.run.is_some() && self.run.as_ref() == current.map(|current| &current.run) => {
                "running"
            }
            (_, None) => "pending",
        }
    }
}

impl Record {
    /// Of a spec of which nothing has been done.
    pub fn new(generation: u64, digest: String) -> Self {
        let header = Header {
            generation,
            digest,
            phase: RolloutPhase::Pending,
            message: String::new(),
            wave: 0,
            waves: 0,
            checked: 0,
            batch: 0,
            skipped: 0,
            rolling_back: None,
            is_done: false,
            current: None,
            runs: Vec::new(),
            started_at_ms: 0,
            finished_at_ms: 0,
        };
        Self { header, hosts: BTreeMap::new() }
    }

    /// Whether nothing more happens, whoever joins.
    pub fn is_over(&self, catches_up: bool) -> bool {
        let header = &self.header;
        let may_go_on = matches!(header.phase, RolloutPhase::Complete | RolloutPhase::Failed) && catches_up;
        header.phase.is_over() && !may_go_on
    }

    /// Hosts that haven't had their turn.
    pub fn pending(&self) -> Vec<NodeId> {
        self.nodes(|host| host.outcome.is_none())
    }

    /// Hosts that did what was asked, and that nobody has looked at since.
    pub fn unchecked(&self) -> Vec<NodeId> {
        self.nodes(|host| host.outcome == Some(TargetOutcome::Ok) && host.wave > self.header.checked)
    }

    /// Hosts that are to take back what was done.
    pub fn to_take_back(&self) -> Vec<NodeId> {
        self.nodes(|host| host.was_reached() && host.taken_back.is_none())
    }

    fn nodes(&self, is_wanted: impl Fn(&Host) -> bool) -> Vec<NodeId> {
        self.hosts.iter().filter(|(_, host)| is_wanted(host)).map(|(node, _)| node.clone()).collect()
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.hosts.values().filter_map(|host| host.outcome).for_each(|outcome| counts.add(outcome));
        counts
    }

    /// A run begins.
    pub fn begin_run(&mut self, current: Current) {
        self.note_run(current.run.clone());
        self.header.current = Some(current);
    }

    pub fn note_run(&mut self, run: RunId) {
        let runs = &mut self.header.runs;
        runs.push(run);
        let excess = runs.len().saturating_sub(RUNS);
        runs.drain(..excess);
    }

    /// It never began, or is no more to be followed.
    pub fn forget_run(&mut self, run: &RunId) {
        self.header.current = None;
        self.header.runs.retain(|known| known != run);
    }

    /// Hosts that an interrupted run left out have their turn yet.
    pub fn give_turns_back(&mut self) {
        for host in self.hosts.values_mut().filter(|host| host.outcome == Some(TargetOutcome::NotStarted)) {
            host.outcome = None;
        }
    }

    /// How the hosts' turns ended, in words: `2 ok, 1 error`, and why hosts were refused.
    pub fn summary(&self) -> String {
        let counts = self.counts();
        let parts: Vec<String> = counts
            .0
            .iter()
            .map(|(outcome, count)| format!("{count} {}", outcome.as_str().replace('_', " ")))
            .collect();
        let refused = self.hosts.values().filter_map(|host| Some((&host.name, host.refused.as_ref()?)));
        let refused: Vec<String> = refused.map(|(name, why)| format!("{name}: {why}")).collect();
        std::iter::once(parts.join(", ")).chain(some_of(&refused)).collect::<Vec<_>>().join("; ")
    }

    /// What it waits for between two waves; none: that's not where it is.
    fn waits_for(&self, spec: &RolloutSpec) -> Option<String> {
        let header = &self.header;
        let current = header.current.as_ref().filter(|_| header.phase == RolloutPhase::Waiting)?;
        if current.work == Work::Deploy && spec.health_check.is_some() && header.checked < header.wave {
            return Some("waiting for the health check".to_owned());
        }
        let pause = spec.strategy.pause.filter(|pause| !pause.0.is_zero())?;
        Some(format!("the next begins after the pause of {pause}"))
    }

    /// As an operator sees it.
    pub fn status(&self, name: &str, steering: &Steering, spec: &RolloutSpec) -> RolloutStatus {
        let header = &self.header;
        let (mut phase, mut message) = (header.phase, header.message.clone());
        if let Some(what) = self.waits_for(spec) {
            message = format!("{message}; {what}");
        }
        if !self.is_over(spec.catch_up) {
            if let Some(by) = steering.aborted_by(header.generation) {
                message = format!("being aborted by {by}");
            } else if let Some(by) = &steering.paused_by {
                phase = RolloutPhase::Paused;
                message = format!("paused by {by}");
            }
        }
        let host = |(node, host): (&NodeId, &Host)| RolloutHost {
            node_id: node.clone(),
            name: host.name.clone(),
            state: host.state(header.current.as_ref()).to_owned(),
            run_id: host.run.clone(),
        };
        RolloutStatus {
            name: name.to_owned(),
            generation: header.generation,
            phase,
            message,
            wave: header.wave,
            waves: header.waves,
            targets: self.hosts.len() as u64,
            outcomes: self.counts(),
            started_at: exact_time(header.started_at_ms),
            finished_at: exact_time(header.finished_at_ms),
            runs: header.runs.clone(),
            hosts: self.hosts.iter().map(host).collect(),
        }
    }
}
