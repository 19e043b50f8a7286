//! `aegis controller`: the server, and what its administrator does.

mod audit;
mod backup;
mod enrollment_token;
mod restore;
mod run;
mod tenant;
mod token;

use aegis_core::ExitCode;
use clap::Subcommand;

use crate::{cli::on_one_thread, context::ContextArgs, failure::Failure};

/// The controller: run it, and administer it
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    EnrollmentToken(enrollment_token::Args),
    Token(token::Args),
    Tenant(tenant::Args),
    Audit(audit::Args),
    Backup(backup::Args),
    Restore(restore::Args),
}

impl Args {
    /// Runs the command that was given.
    pub fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Run(args) => args.run(),
            Command::Restore(args) => args.run(),
            Command::EnrollmentToken(args) => on_one_thread(args.run(context)),
            Command::Token(args) => on_one_thread(args.run(context)),
            Command::Tenant(args) => on_one_thread(args.run(context)),
            Command::Audit(args) => on_one_thread(args.run(context)),
            Command::Backup(args) => on_one_thread(args.run(context)),
        }
    }
}
