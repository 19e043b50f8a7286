//! What a rollout's runs are asked to do.

use aegis_core::{
    NodeId,
    fleet::{Mode, OnError, RunId, WaveSize},
};
use aegis_kinds::{RolloutMode, RolloutSpec, tool::ToolClass};
use aegis_wire::{ApiError, operator::RunTarget, token::Role};
use serde_json::Value;
use std::time::Duration;

use super::{
    driver::Driver,
    record::{Record, Work},
    rows::Declared,
};
use crate::runs::{RunHandle, RunSpec, Runs};

impl Driver {
    /// Begins a run for `work` on these hosts. Its id is on the disk by now.
    pub(super) async fn start(
        &self,
        declared: &Declared,
        work: Work,
        id: RunId,
        nodes: &[NodeId],
    ) -> Result<RunHandle, ApiError> {
        let spec = &declared.spec;
        let targets = self.read(|record| {
            let named = nodes.iter().filter_map(|node| Some((node, record.hosts.get(node)?)));
            named.map(|(node, host)| RunTarget { node_id: node.clone(), name: host.name.clone() }).collect()
        });
        let bare = RunSpec {
            id: Some(id),
            tenant: self.place.tenant.clone(),
            subject: self.place.subject(),
            role: Role::Operator,
            target: spec.target.to_string(),
            targets,
            skipped: Vec::new(),
            tool: spec.tool.clone(),
            arguments: Value::Object(spec.args.clone()),
            context: spec.security_context.clone(),
            mode: Mode::Parallel,
            max_concurrency: None,
            on_error: Some(OnError::Continue),
            require_min: None,
            deadline: spec.strategy.deadline.map(|deadline| deadline.0),
            pause: Duration::ZERO,
            gated: false,
            rollout: Some(self.place.name.clone()),
        };
        let run = match work {
            Work::Deploy => self.read(|record| Some(deploying(bare.clone(), spec, record))).unwrap_or(bare),
            Work::CatchUp => {
                let batch = self.read(|record| record.header.batch);
                let most = spec.strategy.max_concurrency.or(match spec.strategy.mode {
                    RolloutMode::Parallel => None,
                    RolloutMode::Sequential => Some(1),
                    RolloutMode::Rolling => Some(batch.max(1)),
                });
                RunSpec { max_concurrency: most, ..bare }
            }
            Work::Check | Work::Rollback => match other_call(spec, work) {
                Some((tool, arguments, deadline)) => RunSpec { tool, arguments, deadline, ..bare },
                None => bare,
            },
        };
        Runs::start(&self.controller, run).await
    }
}

/// The call of a health check, or the one that takes back.
fn other_call(spec: &RolloutSpec, work: Work) -> Option<(String, Value, Option<Duration>)> {
    match work {
        Work::Check => spec.health_check.as_ref().map(|check| {
            let deadline = check.deadline.map(|deadline| deadline.0);
            (check.tool.clone(), Value::Object(check.args.clone()), deadline)
        }),
        Work::Rollback => spec
            .rollback
            .as_ref()
            .map(|rollback| (rollback.tool.clone(), Value::Object(rollback.args.clone()), None)),
        Work::Deploy | Work::CatchUp => None,
    }
}

/// In waves, as declared. What failed before a restart counts.
fn deploying(bare: RunSpec, spec: &RolloutSpec, record: &Record) -> RunSpec {
    let strategy = spec.strategy(ToolClass::StateMutating);
    let mode = match strategy.mode {
        Mode::Rolling(_) => Mode::Rolling(WaveSize::Hosts(record.header.batch.max(1))),
        other => other,
    };
    let on_error = spec.strategy.on_error.map(|policy| match policy {
        OnError::StopAfter(most) => {
            let failures = u32::try_from(record.counts().failures()).unwrap_or(u32::MAX);
            OnError::StopAfter(most.saturating_sub(failures).max(1))
        }
        other => other,
    });
    RunSpec {
        mode,
        max_concurrency: strategy.max_concurrency,
        on_error,
        pause: strategy.pause,
        gated: strategy.gated,
        ..bare
    }
}
