//! `aegis rollback`

use aegis_core::{ExitCode, Revision};
use aegis_engine::rollback;

use crate::{
    context::ContextArgs,
    failure::Failure,
    output::OutputArgs,
    realm::ControllerRealm,
    reconcile::{self, ApplyArgs},
};

/// Go back to what an owner had declared after an earlier revision, as a plan
///
/// Only what the revision's owner owned is put back; what others declared since stays theirs. The manifests aren't
/// changed, so the owner's next apply goes forward again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The revision, as `aegis history` lists it
    revision: u64,
    /// Take over fields that other owners set since
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    apply: ApplyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let client = context.client().await?;
        let realm = ControllerRealm(client.clone());
        let (owner, wishes) = rollback::wishes(&realm, Revision(self.revision)).await?;
        let source = format!("rollback {}", self.revision);
        let (realm, plan) =
            reconcile::plan_wishes(&client, owner, source, wishes, self.force_conflicts).await?;
        reconcile::carry_out(&realm, plan, self.apply, self.output).await
    }
}
