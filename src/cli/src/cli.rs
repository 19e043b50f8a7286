//! The commands, as a tree.

use clap::{Parser, Subcommand};

use aegis_core::ExitCode;

use crate::{command, context::ContextArgs, failure::Failure};

/// Declared state for machines: groups, tags and policies of a fleet, reconciled.
///
/// What a fleet should be stands in YAML manifests. `aegis diff` shows what would change, `aegis apply` changes it,
/// and every imperative command is a one-off reconciliation through the same engine.
#[derive(Debug, Parser)]
#[command(
    name = "aegis",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = AFTER_HELP, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    context: ContextArgs,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
First steps:
  aegis controller run --data-dir D --listen 127.0.0.1:50056    a controller on this machine
  export AEGIS_CONTEXT=D/admin-context.yaml                     ask that controller
  aegis controller enrollment-token create --label web-1        a token for a host
  aegis edge enroll TOKEN && aegis edge run                     on the host
  aegis diff -f fleet.yaml; aegis apply -f fleet.yaml           declare what the fleet should be
  aegis edge fleet run --target all --tool host.facts           ask every host something

Exit codes: 0 success, 1 error, 2 invalid argument or manifest, 3 not authorized,
4 somebody must be asked, 5 target offline or not found, 6 fleet run halted, 7 cancelled,
8 deadline exceeded, 9 fewer targets than --require-min, 10 differences (diff --exit-code), 11 ownership conflict.";

#[derive(Debug, Subcommand)]
enum Command {
    Apply(command::apply::Args),
    Diff(command::diff::Args),
    Validate(command::validate::Args),
    Get(command::get::Args),
    Describe(command::describe::Args),
    Delete(command::delete::Args),
    Export(command::export::Args),
    Explain(command::explain::Args),
    Schema(command::schema::Args),
    History(command::history::Args),
    Rollback(command::rollback::Args),
    Rollout(command::rollout::Args),
    Edge(command::edge::Args),
    Controller(command::controller::Args),
    Completions(command::completions::Args),
}

impl Cli {
    /// Runs the command that was given.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let context = &self.context;
        match self.command {
            Command::Validate(args) => args.run(),
            Command::Explain(args) => args.run(),
            Command::Schema(args) => args.run(),
            Command::Completions(args) => args.run(),
            Command::Apply(args) => on_one_thread(args.run(context)),
            Command::Diff(args) => on_one_thread(args.run(context)),
            Command::Get(args) => on_one_thread(args.run(context)),
            Command::Describe(args) => on_one_thread(args.run(context)),
            Command::Delete(args) => on_one_thread(args.run(context)),
            Command::Export(args) => on_one_thread(args.run(context)),
            Command::History(args) => on_one_thread(args.run(context)),
            Command::Rollback(args) => on_one_thread(args.run(context)),
            Command::Rollout(args) => on_one_thread(args.run(context)),
            Command::Edge(args) => on_one_thread(args.run(context)),
            Command::Controller(args) => args.run(context),
        }
    }
}

/// One thread is all that a command, and an edge daemon, needs: it starts at once and stays small.
pub(crate) fn on_one_thread<F>(command: F) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::generic(format!("no runtime: {error}")))?;
    runtime.block_on(command)
}
