//! `aegis kit`: prepared runtimes that apps are made from.

mod info;
mod install;
mod list;
mod manifest;
mod uninstall;

use aegis_core::ExitCode;
use clap::Subcommand;

use crate::failure::Failure;

/// Kits: an image with defaults and required secrets, for apps to name
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Install(install::Args),
    List(list::Args),
    Info(info::Args),
    Uninstall(uninstall::Args),
}

impl Args {
    /// Runs the command that was given.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Install(args) => args.run().await,
            Command::List(args) => args.run().await,
            Command::Info(args) => args.run().await,
            Command::Uninstall(args) => args.run().await,
        }
    }
}
