//! `aegis edge fleet`

mod cancel;
mod dispatch;
mod keys;
mod preview;
mod run;
mod runs;
mod show;

use aegis_core::ExitCode;
use clap::Subcommand;

pub use dispatch::{milliseconds, summary};

use crate::{context::ContextArgs, failure::Failure};

/// Many hosts at once
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Preview(preview::Args),
    Run(run::Args),
    Cancel(cancel::Args),
    Runs(runs::Args),
    Show(show::Args),
    Keys(keys::Args),
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        match self.verb {
            Verb::Preview(args) => args.run(context).await,
            Verb::Run(args) => args.run(context).await,
            Verb::Cancel(args) => args.run(context).await,
            Verb::Runs(args) => args.run(context).await,
            Verb::Show(args) => args.run(context).await,
            Verb::Keys(args) => args.run(context).await,
        }
    }
}
