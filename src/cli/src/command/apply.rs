//! `aegis apply`

use std::time::Duration;

use aegis_core::{ExitCode, HumanDuration, Kind};
use aegis_engine::intent::Intent;
use aegis_kinds::{EdgeNode, Spec};
use aegis_wire::operator::{ListNodes, OperatorClient};

use crate::{
    context::ContextArgs,
    failure::Failure,
    manifests::{ManifestArgs, OwnerArgs},
    output::OutputArgs,
    reconcile::{self, ApplyArgs},
};

/// Make the fleet as the manifests say
///
/// Plans, shows, asks on a terminal, applies, and reports each object: created, updated, unchanged, deleted, skipped or
/// failed. Nothing is changed when any document is invalid or any field belongs to another owner. Interrupted at any
/// point, it can simply be run again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis apply -f fleet.yaml                 plan, ask, apply
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
    /// Wait until connected hosts have done what was declared (draining), at most --timeout [default: 1m]
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
        let drains: Vec<(String, bool)> = plan
            .items()
            .filter(|item| item.key.kind == EdgeNode::NAME)
            .filter_map(|item| match &item.intent {
                Intent::Declare(wish) => match &wish.0 {
                    Spec::EdgeNode(spec) => Some((item.key.name.clone(), spec.drain?)),
                    _ => None,
                },
                _ => None,
            })
            .collect();
        let client = declared.realm.0.clone();
        let code = reconcile::carry_out(&declared.realm, plan, self.apply, self.output).await?;
        if self.wait && !self.apply.dry_run && !drains.is_empty() {
            let bound = self.apply.timeout.map_or(Duration::from_mins(1), Duration::from);
            wait_for(&client, &drains, bound).await?;
        }
        Ok(code)
    }
}

/// Until every connected host says that it is draining, or isn't, as was declared.
async fn wait_for(
    client: &OperatorClient,
    drains: &[(String, bool)],
    bound: Duration,
) -> Result<(), Failure> {
    let settled = async {
        loop {
            let nodes = client.list_nodes(ListNodes { connected: true, ..ListNodes::default() }).await?;
            let waiting = nodes.iter().any(|node| {
                // What counts is what the host itself says: that it is declared shows in its status at once.
                drains.iter().any(|(id, drain)| node.node_id.as_str() == id && *drain != node.draining)
            });
            if !waiting {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(bound, settled).await.unwrap_or_else(|_| {
        let bound = HumanDuration::from(bound);
        Err(Failure::new(
            ExitCode::DeadlineExceeded,
            format!("everything is applied, but after {bound} not every connected host follows yet"),
        )
        .hint("`aegis edge ls` shows which"))
    })
}
