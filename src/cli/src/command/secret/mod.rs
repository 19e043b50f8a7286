//! `aegis secret`: values that guests get as variables, and that nobody reads back.

mod delete;
mod list;
mod rotate;
mod set;
mod value;

use aegis_core::ExitCode;
use clap::Subcommand;

use crate::failure::Failure;

/// Secrets of an app, or of all apps on this machine
///
/// A guest gets them as variables when it starts: its own environment wins over the app's secrets, those over the
/// workspace's. Values are sealed on the disk, and no command shows them.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Set(set::Args),
    List(list::Args),
    Delete(delete::Args),
    SetWorkspace(set::WorkspaceArgs),
    ListWorkspace(list::WorkspaceArgs),
    DeleteWorkspace(delete::WorkspaceArgs),
    Rotate(rotate::Args),
}

impl Args {
    /// Runs the command that was given.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Set(args) => args.run().await,
            Command::List(args) => args.run().await,
            Command::Delete(args) => args.run().await,
            Command::SetWorkspace(args) => args.run().await,
            Command::ListWorkspace(args) => args.run().await,
            Command::DeleteWorkspace(args) => args.run().await,
            Command::Rotate(args) => args.run().await,
        }
    }
}
