//! `aegis edge fleet run`

use aegis_core::ExitCode;

use super::dispatch::DispatchArgs;
use crate::{
    command::edge::group::parse_target, context::ContextArgs, failure::Failure, output::OutputArgs,
    tool_args::ToolArgs,
};

/// Run a tool on many hosts, and see what each does as it happens
///
/// Every host that is meant ends in exactly one result: ok, error, timed_out, cancelled, not_started or disconnected.
/// What hosts print comes line by line with the host's name: their stdout to stdout, their stderr and all messages to
/// stderr; the table of results follows on stdout. --output json prints an event a line as they come.
/// Ctrl-C cancels the run and waits for its results; a second one leaves at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis edge fleet run --target all --tool cmd.run --arg command=uptime
  aegis edge fleet run --target tags=web --tool service.restart --arg name=nginx --mode rolling=25% --on-error stop-after=2
  aegis edge fleet run --target 'tags=AllOf(prod,db)' --tool cmd.run --arg cmd='df -h | tail -n 1' --require-min 3 --deadline 10s
  aegis edge fleet run --target @web-1 --tool fs.read --arg path=/etc/os-release --output json
  aegis edge fleet run --target all --tool backup.start --detach --idempotency-key nightly-2026-04-28
Hosts by themselves only look, beneath /usr and /var/log; more is granted by a SecurityContext, see `aegis explain SecurityContext`.
Exit codes: 0 all ok, 1 some failed, 5 no host, 6 halted, 7 cancelled, 8 deadline exceeded, 9 fewer than --require-min.")]
pub struct Args {
    /// The hosts: @NODE, group:NAME, all, or fragments that must all hold; `aegis edge fleet preview` shows them
    #[arg(long, value_name = "EXPR")]
    target: String,
    #[command(flatten)]
    tool: ToolArgs,
    #[command(flatten)]
    dispatch: DispatchArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let target = parse_target("--target", &self.target)?;
        let arguments = self.tool.read()?;
        let client = context.client().await?;
        let arguments = self.tool.settle(arguments, &client, Some(&target)).await?;
        let start = self.dispatch.start(target.to_string(), self.tool.tool, arguments);
        self.dispatch.dispatch(&client, start, self.output).await
    }
}
