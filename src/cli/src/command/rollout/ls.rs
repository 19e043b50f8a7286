//! `aegis rollout ls`

use aegis_core::{ExitCode, Kind, fleet::TargetOutcome};
use aegis_engine::realm::Realm;
use aegis_kinds::Rollout;
use aegis_wire::operator::RolloutStatus;

use crate::{
    context::ContextArgs,
    failure::Failure,
    fleet::visible,
    output::{OutputArgs, table},
    realm::ControllerRealm,
    rollouts,
};

/// List the rollouts and where each is
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let realm = ControllerRealm::new(context.client().await?);
        let objects = realm.objects(&[Rollout::NAME]).await?;
        let names = objects.into_iter().map(|object| object.key.name);
        let known: Vec<RolloutStatus> =
            rollouts::statuses(&realm.0, names).await?.into_iter().flatten().collect();
        self.output.show(known.as_slice(), text)?;
        Ok(ExitCode::Success)
    }
}

fn text(known: &[RolloutStatus]) -> String {
    let heads = ["NAME", "PHASE", "WAVE", "HOSTS", "OK", "FAILED", "STARTED", "MESSAGE"];
    table(heads, known.iter().map(row))
}

fn row(status: &RolloutStatus) -> [String; 8] {
    [
        status.name.clone(),
        status.phase.to_string(),
        rollouts::wave(status).unwrap_or_default(),
        status.targets.to_string(),
        status.outcomes.of(TargetOutcome::Ok).to_string(),
        status.outcomes.failures().to_string(),
        status.started_at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default(),
        visible(&status.message).into_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use aegis_wire::operator::RolloutPhase;

    use super::*;

    #[test]
    fn a_rollout_is_a_row() {
        let shown = text(&[rollouts::tests::status(RolloutPhase::Running, 7)]);
        assert_eq!(
            shown.lines().nth(1).unwrap(),
            "reload  running  2 of 3  3      1   0       2026-04-28T14:32:11Z  -"
        );
    }
}
