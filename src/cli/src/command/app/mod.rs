//! `aegis app`: packaged workloads with releases.

mod create;
mod delete;
mod info;
mod list;
mod publish;
mod rollback;
mod serve;

use clap::Subcommand;

use super::logs;
use crate::{exit::Exit, failure::Failure};

/// Apps: packaged workloads with releases, on this machine
///
/// An app is named by its name or its id. What these commands change is written down as declared by 'cli'; the same
/// apps can be declared in manifests of the kind App.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Args),
    Publish(publish::Args),
    Serve(serve::Args),
    List(list::Args),
    Info(info::Args),
    Logs(logs::Args),
    Rollback(rollback::Args),
    Delete(delete::Args),
}

impl Args {
    /// Runs the command that was given.
    pub async fn run(self) -> Result<Exit, Failure> {
        match self.command {
            Command::Create(args) => args.run().await.map(Exit::from),
            Command::Publish(args) => args.run().await.map(Exit::from),
            Command::Serve(args) => args.run().await,
            Command::List(args) => args.run().await.map(Exit::from),
            Command::Info(args) => args.run().await.map(Exit::from),
            Command::Logs(args) => args.run().await,
            Command::Rollback(args) => args.run().await.map(Exit::from),
            Command::Delete(args) => args.run().await.map(Exit::from),
        }
    }
}
