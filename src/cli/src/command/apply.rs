//! `aegis apply`

use std::time::Duration;

use aegis_core::ExitCode;
use aegis_engine::intent::Intent;

use crate::{
    context::ContextArgs,
    failure::Failure,
    manifests::{ManifestArgs, OwnerArgs},
    output::OutputArgs,
    reconcile::{self, ApplyArgs},
    settle::Unsettled,
};

/// How long `--wait` waits without `--timeout`.
const WAIT: Duration = Duration::from_mins(1);

/// Make the fleet as the manifests say
///
/// Plans, shows, asks on a terminal, applies, and reports each object: created, updated, unchanged, deleted, skipped or
/// failed. Nothing is changed when any document is invalid or any field belongs to another owner. Interrupted at any
/// point, it can simply be run again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis apply -f fleet.yaml                 plan, ask, apply
  aegis apply -f rollout.yaml --wait --timeout 10m --yes    exit 6 if the rollout is halted
  aegis apply -f fleet/ -R --prune --yes    in a pipeline: also remove what is no longer declared
  aegis apply -f - --owner team-a           from standard input, in team-a's name")]
pub struct Args {
    #[command(flatten)]
    manifests: ManifestArgs,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Take over fields that other owners set
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    apply: ApplyArgs,
    /// Wait until connected hosts drain as declared and the declared rollouts are over, at most --timeout [default: 1m]
    ///
    /// A rollout that ends otherwise than complete ends the command with the exit code of `aegis rollout status`.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let declared = reconcile::plan_manifests(
            context,
            &self.manifests,
            &self.owner,
            self.force_conflicts,
            "apply",
            !self.wait,
        )
        .await?;
        let plan = declared.plan;
        let nothing_left =
            plan.cached.is_empty() && plan.items().all(|i| matches!(i.intent, Intent::Release));
        if nothing_left && plan.items().next().is_some() && !self.apply.yes && !self.apply.dry_run {
            let count = plan.items().count();
            return Err(Failure::invalid(format!(
                "the manifests declare nothing, so --prune would remove all {count} objects of '{}'",
                plan.by.owner
            ))
            .hint("if that is meant, say --yes; to see what would go: aegis diff --prune"));
        }
        let unsettled = Unsettled::of(&plan);
        let code = reconcile::carry_out(&declared.realm, plan, self.apply, self.output).await?;
        if self.wait && !self.apply.dry_run {
            let bound = self.apply.timeout.map_or(WAIT, Duration::from);
            return unsettled.wait(&declared.realm, bound).await;
        }
        Ok(code)
    }
}
