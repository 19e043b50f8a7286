//! `aegis rollout`

mod ls;
mod status;
mod steer;

use aegis_core::ExitCode;
use aegis_wire::operator::RolloutAction;
use clap::Subcommand;

use crate::{context::ContextArgs, failure::Failure};

/// Rollouts: where they are, and to pause, resume or abort them
///
/// What a rollout is stands in a manifest of the kind Rollout, and `aegis apply` begins it. Steering it changes nothing
/// of that; to begin again, change the manifest.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Ls(ls::Args),
    Status(status::Args),
    /// Begin nothing new until it is resumed; what runs goes on
    Pause(steer::Args),
    /// Go on with a rollout that was paused
    Resume(steer::Args),
    /// End a rollout where it is: what runs is cancelled, and nothing is taken back
    Abort(steer::Args),
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        match self.verb {
            Verb::Ls(args) => args.run(context).await,
            Verb::Status(args) => args.run(context).await,
            Verb::Pause(args) => args.run(context, RolloutAction::Pause).await,
            Verb::Resume(args) => args.run(context, RolloutAction::Resume).await,
            Verb::Abort(args) => args.run(context, RolloutAction::Abort).await,
        }
    }
}
