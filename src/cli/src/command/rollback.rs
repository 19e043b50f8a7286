//! `aegis rollback`

use aegis_core::{ExitCode, Revision};
use aegis_engine::rollback;

use crate::{
    context::ContextArgs,
    declared::Declared,
    failure::Failure,
    output::OutputArgs,
    realms::HistoryRealm,
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
    realm: HistoryRealm,
    #[command(flatten)]
    apply: ApplyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let realm = self.realm.one(context).await?;
        let (owner, wishes) = rollback::wishes(&realm, Revision(self.revision)).await?;
        let source = format!("rollback {}", self.revision);
        let plan = reconcile::plan_in(&realm, owner, source, wishes, self.force_conflicts).await?;
        reconcile::carry_out_all(Declared { parts: vec![(realm, plan)] }, self.apply, self.output).await
    }
}
