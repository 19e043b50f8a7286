//! `aegis edge`: the daemon on a host, and what operators do with hosts.

mod call;
mod drain;
mod enroll;
mod fleet;
mod group;
mod keys;
mod logout;
mod ls;
mod run;
mod shutdown;
mod status;
mod tag;
mod this_host;
mod token;
mod tools;

use aegis_core::ExitCode;
use clap::Subcommand;

use crate::{context::ContextArgs, failure::Failure};

/// Hosts: the daemon that runs on one, and what operators do with many
///
/// On the host: enroll, run, status, logout, keys rotate, token refresh. From anywhere, with a user token: everything
/// else.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Enroll(enroll::Args),
    Run(run::Args),
    Status(status::Args),
    Logout(logout::Args),
    Ls(ls::Args),
    Tag(tag::Args),
    Group(group::Args),
    Fleet(fleet::Args),
    Call(call::Args),
    Tools(tools::Args),
    Keys(keys::Args),
    Token(token::Args),
    Drain(drain::Args),
    Shutdown(shutdown::Args),
}

impl Args {
    /// Runs the command that was given.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Enroll(args) => args.run().await,
            Command::Run(args) => args.run().await,
            Command::Status(args) => args.run(),
            Command::Logout(args) => args.run().await,
            Command::Ls(args) => args.run(context).await,
            Command::Tag(args) => args.run(context).await,
            Command::Group(args) => args.run(context).await,
            Command::Fleet(args) => args.run(context).await,
            Command::Call(args) => args.run(context).await,
            Command::Tools(args) => args.run(context).await,
            Command::Keys(args) => args.run(context).await,
            Command::Token(args) => args.run().await,
            Command::Drain(args) => args.run(context).await,
            Command::Shutdown(args) => args.run(context).await,
        }
    }
}
