//! `aegis instance`: guests that live.

mod change;
mod info;
mod list;

use aegis_core::ExitCode;
use clap::Subcommand;

use crate::failure::Failure;

/// Instances: the guests of this machine
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Info(info::Args),
    /// Stop the CPUs of an instance; a request wakes it
    Pause(change::Args),
    /// Let a paused instance go on
    Resume(change::Args),
    /// End an instance's guest; its record and logs stay
    Stop(change::Args),
    /// Boot a stopped instance again
    Start(change::Args),
}

impl Args {
    /// Runs the command that was given.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            Command::List(args) => args.run().await,
            Command::Info(args) => args.run().await,
            Command::Pause(args) => args.run(change::Verb::Pause).await,
            Command::Resume(args) => args.run(change::Verb::Resume).await,
            Command::Stop(args) => args.run(change::Verb::Stop).await,
            Command::Start(args) => args.run(change::Verb::Start).await,
        }
    }
}
