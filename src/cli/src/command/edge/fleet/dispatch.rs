//! How a run goes about its hosts and how it is watched: the flags that every run has.

use aegis_core::{
    ExitCode, HumanDuration,
    fleet::{Mode, OnError},
    id::ObjectName,
};
use aegis_wire::operator::{OperatorClient, Run, StartRun, TargetResult};
use bytes::Bytes;
use clap::{Args, builder::NonEmptyStringValueParser, value_parser};
use serde::Serialize;

use crate::{
    failure::Failure,
    fleet::{
        Board, Ending, Follower, JsonLines, Keep, Live, Look, Silent, View, results_table, started, verdict,
    },
    interrupt::Interrupt,
    output::{self, Format, OutputArgs},
    tool_args::deadline,
};

/// The flags.
#[derive(Debug, Args)]
pub struct DispatchArgs {
    /// In which order: parallel, sequential, rolling=N or rolling=P% (waves of N hosts, or of P percent)
    #[arg(long, value_name = "MODE", default_value = "parallel")]
    pub mode: Mode,
    /// At most so many hosts at once [default: as many as the mode allows]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..), allow_negative_numbers = true)]
    pub max_concurrency: Option<u32>,
    /// What a failure does to hosts that haven't begun: fail-fast, continue or stop-after=N [default: fail-fast where
    /// the tool changes something, else continue]
    #[arg(long, value_name = "POLICY")]
    pub on_error: Option<OnError>,
    /// Begin nothing, and exit 9, with fewer hosts than this
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..), allow_negative_numbers = true)]
    pub require_min: Option<u32>,
    /// How long each host may take, such as 30s or 2m [default: the tool's own, else 60s]
    #[arg(long, value_name = "DURATION", value_parser = deadline, allow_hyphen_values = true)]
    pub deadline: Option<HumanDuration>,
    /// The security context that must grant the tool [default: default]
    #[arg(long, value_name = "NAME")]
    pub security_context: Option<ObjectName>,
    /// The same key again, within a day, is the same run and begins nothing
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub idempotency_key: Option<String>,
    /// Print the run's id and leave; the run goes on
    #[arg(long)]
    pub detach: bool,
    /// Show nothing of what hosts print, only failures and the summary
    #[arg(long, short = 'q')]
    pub quiet: bool,
}

/// A run that is over, as YAML.
#[derive(Serialize)]
struct Whole {
    run: Run,
    results: Vec<TargetResult>,
}

impl DispatchArgs {
    /// The run that the flags mean.
    pub fn start(&self, target: String, tool: String, arguments: Bytes) -> StartRun {
        StartRun {
            target: Some(target),
            tool,
            arguments,
            mode: self.mode,
            max_concurrency: self.max_concurrency,
            on_error: self.on_error,
            require_min: self.require_min,
            deadline_ms: self.deadline.map(milliseconds),
            security_context: self.security_context.as_ref().map(ToString::to_string),
            idempotency_key: self.idempotency_key.clone(),
        }
    }

    /// Begins it, and shows it until it is over.
    pub async fn dispatch(
        &self,
        client: &OperatorClient,
        start: StartRun,
        output: OutputArgs,
    ) -> Result<ExitCode, Failure> {
        let interrupt = Interrupt::listen();
        let mut events = Box::new(client.start_run(start).await?) as _;
        if self.detach {
            let board = started(&mut events).await?;
            return detached(&board, output);
        }
        let keep = if output.output == Format::Yaml { Keep::All } else { Keep::Nothing };
        let mut view: Box<dyn View> = match output.output {
            Format::Table => Box::new(Live::new(Look::here(self.quiet, false))),
            Format::Json => Box::new(JsonLines::default()),
            Format::Yaml => Box::new(Silent),
        };
        let follower = Follower::new(Board::new(keep), view.as_mut(), interrupt, Ending::Cancels);
        let (board, run) = follower.follow(client, events).await?;
        let code = run.state.exit_code();
        match output.output {
            Format::Table => output::print(&summary(&board, &run))?,
            Format::Json => {}
            Format::Yaml => {
                let results = board.results.into_iter().flatten().collect();
                output::print(&output::yaml(&Whole { run, results })?)?;
            }
        }
        Ok(code)
    }
}

/// A duration on the wire.
pub fn milliseconds(duration: HumanDuration) -> u64 {
    u64::try_from(duration.0.as_millis()).unwrap_or(u64::MAX)
}

/// The table of hosts and the count.
pub fn summary(board: &Board, run: &Run) -> String {
    let table = results_table(board);
    let gap = if table.is_empty() { "" } else { "\n" };
    format!("{gap}{table}{}\n", verdict(board, run))
}

#[allow(clippy::print_stderr, reason = "messages go to stderr")]
fn detached(board: &Board, output: OutputArgs) -> Result<ExitCode, Failure> {
    if let Some(run) = &board.run {
        output.show(run, |run| format!("{}\n", run.run_id))?;
        if output.is_table() {
            eprintln!("`aegis edge fleet show {} --follow` shows how it goes", run.run_id);
        }
    }
    Ok(ExitCode::Success)
}
