//! `aegis apply`

use std::time::Duration;

use aegis_core::ExitCode;
use aegis_engine::{intent::Intent, plan::Plan};

use crate::{
    context::ContextArgs,
    declared::{self, Wanted},
    failure::Failure,
    manifests::{ManifestArgs, OwnerArgs},
    output::OutputArgs,
    reconcile::{self, ApplyArgs},
    secret_values::SecretArgs,
    settle::{self, Unsettled},
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
    secrets: SecretArgs,
    #[command(flatten)]
    apply: ApplyArgs,
    /// Wait until connected hosts drain as declared, and the declared rollouts and apps are done, at most --timeout
    /// [default: 1m]
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
        let wanted = Wanted {
            manifests: &self.manifests,
            owner: &self.owner,
            secrets: &self.secrets,
            force_conflicts: self.force_conflicts,
            verb: "apply",
            use_cache: !self.wait,
        };
        let declared = declared::plan(context, wanted).await?;
        let nothing_left = declared.plans().all(|plan| {
            plan.cached.is_empty() && plan.items().all(|item| matches!(item.intent, Intent::Release))
        });
        let count = declared.plans().flat_map(Plan::items).count();
        if nothing_left && count > 0 && !self.apply.yes && !self.apply.dry_run {
            let owner = declared.plans().map(|plan| plan.by.owner.to_string()).next().unwrap_or_default();
            return Err(Failure::invalid(format!(
                "the manifests declare nothing, so --prune would remove all {count} objects of '{owner}'"
            ))
            .hint("if that is meant, say --yes; to see what would go: aegis diff --prune"));
        }
        let unsettled: Vec<_> =
            declared.parts.iter().map(|(realm, plan)| (realm.clone(), Unsettled::of(plan))).collect();
        let code = reconcile::carry_out_all(declared, self.apply, self.output).await?;
        if self.wait && !self.apply.dry_run {
            let bound = self.apply.timeout.map_or(WAIT, Duration::from);
            return settle::wait(unsettled, bound).await;
        }
        Ok(code)
    }
}
