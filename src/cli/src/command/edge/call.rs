//! `aegis edge call`

use aegis_core::{
    ExitCode, HumanDuration,
    fleet::{Mode, OnError},
    id::ObjectName,
};
use aegis_wire::operator::{StartRun, TargetResult};

use super::{
    fleet::{milliseconds, summary},
    group::parse_target,
};
use crate::{
    context::ContextArgs,
    failure::Failure,
    fleet::{Board, Ending, Follower, Keep, Live, Look, Silent, View},
    interrupt::Interrupt,
    output::{self, Format, OutputArgs},
    tool_args::{ToolArgs, deadline},
};

/// Call a tool on one host and get its output as it is
///
/// Without --target the call goes to the one connected host of the tenant; with several, it must be named. What the tool
/// prints comes as it is, stdout to stdout and stderr to stderr. Ctrl-C cancels the call.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis edge call --tool host.facts --output json
  aegis edge call --target @web-1 --tool fs.read --arg path=/var/log/dpkg.log > dpkg.log
  aegis edge call --target @web-1 --tool cmd.run --arg command=uptime --deadline 5s --security-context ops
Hosts by themselves only look, beneath /usr and /var/log; more is granted by a SecurityContext, see `aegis explain SecurityContext`.
Exit codes: 0 ok, 1 failed, 2 invalid, 3 not allowed to ask, 5 no such host, 7 cancelled, 8 deadline exceeded.")]
pub struct Args {
    #[command(flatten)]
    tool: ToolArgs,
    /// The host, such as @web-1; any target expression will do [default: the one connected host]
    #[arg(long, value_name = "EXPR")]
    target: Option<String>,
    /// How long it may take, such as 30s or 2m [default: the tool's own, else 60s]
    #[arg(long, value_name = "DURATION", value_parser = deadline, allow_hyphen_values = true)]
    deadline: Option<HumanDuration>,
    /// The security context that must grant the tool [default: default]
    #[arg(long, value_name = "NAME")]
    security_context: Option<ObjectName>,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let target = self.target.as_deref().map(|text| parse_target("--target", text)).transpose()?;
        let arguments = self.tool.read()?;
        let client = context.client().await?;
        let arguments = self.tool.settle(arguments, &client, target.as_ref()).await?;
        let start = StartRun {
            target: target.map(|target| target.to_string()),
            tool: self.tool.tool,
            arguments,
            mode: Mode::Parallel,
            // A call that fails has failed; there is no rest that a policy could spare.
            on_error: Some(OnError::Continue),
            deadline_ms: self.deadline.map(milliseconds),
            security_context: self.security_context.map(|name| name.to_string()),
            ..StartRun::default()
        };
        let interrupt = Interrupt::listen();
        let events = Box::new(client.start_run(start).await?);
        let for_people = self.output.output == Format::Table;
        let keep = if for_people { Keep::Nothing } else { Keep::All };
        let mut view: Box<dyn View> =
            if for_people { Box::new(Live::new(Look::here(false, true))) } else { Box::new(Silent) };
        let follower = Follower::new(Board::new(keep), view.as_mut(), interrupt, Ending::Cancels);
        let (board, run) = follower.follow(&client, events).await?;
        let results: Vec<TargetResult> = board.results.iter().flatten().cloned().collect();
        match results.as_slice() {
            // What it printed was shown as it came.
            [_] if for_people => {}
            _ if for_people => output::print(&summary(&board, &run))?,
            [result] => self.output.show(result, |_| String::new())?,
            results => self.output.show(results, |_| String::new())?,
        }
        Ok(run.state.exit_code())
    }
}
