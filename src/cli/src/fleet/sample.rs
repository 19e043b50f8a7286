//! Made-up runs for tests.

#![allow(clippy::unwrap_used, reason = "tests")]

use aegis_core::{
    NodeId,
    fleet::{Counts, Mode, OnError, RunId, RunState, TargetOutcome},
};
use aegis_wire::operator::{Run, RunChange, RunEvent, RunTarget, SkipReason, Skipped, TargetResult};

/// Makes the events of one run.
pub struct Sample {
    names: Vec<String>,
    sequence: u64,
    outcomes: Counts,
}

impl Sample {
    pub fn new<const N: usize>(names: [&str; N]) -> Self {
        Self { names: names.map(str::to_owned).into(), sequence: 0, outcomes: Counts::default() }
    }
    pub fn of(names: Vec<String>) -> Self {
        Self { names, sequence: 0, outcomes: Counts::default() }
    }
    pub fn run(&self, state: RunState) -> Run {
        let time = "2026-04-28T14:32:11Z".parse().unwrap();
        Run {
            run_id: RunId::at(1_777_386_731_000, [1, 2, 3, 4]),
            tenant: "default".into(),
            subject: "alice".into(),
            target: "tags=prod".into(),
            tool: "cmd.run".into(),
            arguments: r#"{"command":"true"}"#.into(),
            mode: Mode::Parallel,
            max_concurrency: None,
            on_error: OnError::FailFast,
            require_min: None,
            deadline_ms: 60_000,
            security_context: "default".into(),
            state,
            reason: String::new(),
            started_at: time,
            finished_at: state.is_over().then(|| "2026-04-28T14:33:16Z".parse().unwrap()),
            targets: self.names.len() as u64,
            outcomes: self.outcomes.clone(),
            rollout: None,
        }
    }
    fn target(&self, target: usize) -> RunTarget {
        let name = self.names.get(target).cloned().unwrap_or_default();
        RunTarget { node_id: NodeId::new(format!("n-{target:020x}")).unwrap(), name }
    }
    pub fn kept(&mut self, what: RunChange) -> RunEvent {
        self.sequence += 1;
        RunEvent { sequence: self.sequence, time: "2026-04-28T14:32:11Z".parse().unwrap(), what }
    }
    pub fn started(&mut self) -> RunEvent {
        let targets = (0..self.names.len()).map(|target| self.target(target)).collect();
        let skipped = Vec::new();
        let run = self.run(RunState::Running);
        self.kept(RunChange::Started { run, targets, skipped })
    }
    pub fn skipped(name: &str) -> Skipped {
        let node_id = NodeId::new("n-ffffffffffffffffffff").unwrap();
        Skipped { node_id, name: name.into(), reason: SkipReason::Disconnected }
    }
    pub fn output(target: u32, stderr: bool, data: &[u8]) -> RunEvent {
        let what = RunChange::Output { target, stderr, data: data.to_vec().into() };
        RunEvent { sequence: 0, time: "2026-04-28T14:32:11Z".parse().unwrap(), what }
    }
    pub fn result(&mut self, target: u32, outcome: TargetOutcome, stdout: &str) -> TargetResult {
        self.outcomes.add(outcome);
        let host = self.target(target as usize);
        let mut result = TargetResult::without_host(target, host, outcome, String::new());
        result.stdout = stdout.to_owned().into();
        result.stdout_bytes = stdout.len() as u64;
        result.duration_ms = 1_234;
        if matches!(outcome, TargetOutcome::Ok | TargetOutcome::Error) {
            result.exit_code = Some(i32::from(outcome == TargetOutcome::Error));
        }
        result
    }
    pub fn ended(&mut self, target: u32, outcome: TargetOutcome, stdout: &str) -> RunEvent {
        let result = self.result(target, outcome, stdout);
        self.kept(RunChange::Result(result))
    }
    pub fn finished(&mut self, state: RunState, reason: &str) -> RunEvent {
        let run = Run { reason: reason.into(), ..self.run(state) };
        self.kept(RunChange::Finished { run })
    }
}
