//! `aegis edge fleet runs`

use aegis_core::{ExitCode, fleet::TargetOutcome};
use aegis_wire::operator::{ListRuns, Run};

use crate::{
    context::ContextArgs,
    failure::Failure,
    fleet::{duration, visible},
    output::{OutputArgs, table},
};

/// List runs, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis edge fleet runs                       the last runs
  aegis edge fleet runs --limit 0 -o json     every run that is kept
  aegis edge fleet show RUN                   what one did, host by host")]
pub struct Args {
    /// At most so many; 0: all
    #[arg(long, default_value = "50", value_name = "N")]
    limit: u64,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let limit = if self.limit == 0 { u64::MAX } else { self.limit };
        let which = ListRuns { limit: Some(limit) };
        let runs = context.client().await?.list_runs(which).await?;
        self.output.show(runs.as_slice(), text)?;
        Ok(ExitCode::Success)
    }
}

fn text(runs: &[Run]) -> String {
    let heads =
        ["RUN", "TOOL", "TARGET", "STATE", "TARGETS", "OK", "FAILED", "STARTED", "DURATION", "SUBJECT"];
    table(heads, runs.iter().map(row))
}

fn row(run: &Run) -> [String; 10] {
    let took = run.finished_at.map(|end| duration(end.duration_since(run.started_at).unsigned_abs()));
    [
        run.run_id.to_string(),
        run.tool.clone(),
        visible(&run.target).into_owned(),
        run.state.to_string(),
        run.targets.to_string(),
        run.outcomes.of(TargetOutcome::Ok).to_string(),
        run.outcomes.failures().to_string(),
        run.started_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        took.unwrap_or_default(),
        visible(&run.subject).into_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use aegis_core::fleet::RunState;

    use super::*;
    use crate::fleet::Sample;

    #[test]
    fn a_run_is_a_row() {
        let mut sample = Sample::new(["web-1", "web-2"]);
        sample.result(0, TargetOutcome::Ok, "");
        sample.result(1, TargetOutcome::Disconnected, "");
        let over = text(&[sample.run(RunState::Failed)]);
        let row: Vec<&str> = over.lines().nth(1).unwrap().split_whitespace().collect();
        let id = sample.run(RunState::Failed).run_id.to_string();
        assert_eq!(
            row,
            [&id, "cmd.run", "tags=prod", "failed", "2", "1", "1", "2026-04-28T14:32:11Z", "1m05s", "alice"]
        );
        assert!(text(&[sample.run(RunState::Running)]).contains("2026-04-28T14:32:11Z  -         alice"));
    }
}
