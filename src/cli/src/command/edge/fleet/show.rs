//! `aegis edge fleet show`

use aegis_core::{ExitCode, fleet::RunId};
use aegis_wire::{
    ApiError, Code,
    operator::{GetRun, OperatorClient, Run, RunTarget, Skipped, TargetResult},
};
use futures::StreamExt;
use serde::Serialize;

use super::dispatch::summary;
use crate::{
    context::ContextArgs,
    failure::Failure,
    fleet::{
        Board, Ending, Follower, JsonLines, Keep, Live, Look, Pieces, Screen, Silent, View, deadline, visible,
    },
    interrupt::Interrupt,
    output::{Format, OutputArgs, fields},
    terminal::{Paint, Stream},
};

/// How many lines of what a host printed are shown, and of how many bytes they are taken.
const LAST_LINES: usize = 10;
const LAST_BYTES: usize = 4 * 1024;

/// Show a run: what was asked for, how each host ended, and the end of what it printed
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis edge fleet show r-019dd54c                       the run, its hosts, the ends of their outputs
  aegis edge fleet show r-019dd54c --follow              until it is over; exit code as of fleet run
  aegis edge fleet show r-019dd54c --output-of web-1     all that is kept of what web-1 printed")]
pub struct Args {
    /// The run: its id, or a unique prefix; `aegis edge fleet runs` lists them
    #[arg(value_name = "RUN")]
    run: String,
    /// Show what happens until the run is over
    #[arg(long)]
    follow: bool,
    /// Show all that is kept of what this host printed: stdout to stdout, stderr to stderr
    #[arg(long, value_name = "NODE", conflicts_with = "follow")]
    output_of: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// A run with its hosts, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    run: &'a Run,
    hosts: Vec<Host<'a>>,
    skipped: &'a [Skipped],
}

/// One host: its result, or where it is.
#[derive(Serialize)]
#[serde(untagged)]
enum Host<'a> {
    Ended(&'a TargetResult),
    Open {
        #[serde(flatten)]
        host: &'a RunTarget,
        state: &'static str,
    },
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let client = context.client().await?;
        if self.follow {
            return self.follow(&client).await;
        }
        let keep = match (&self.output_of, self.output.output) {
            (None, Format::Table) => Keep::Last(LAST_BYTES),
            _ => Keep::All,
        };
        let board = kept(&client, &self.run, keep).await?;
        let Some(run) = &board.run else {
            return Err(Failure::generic(format!("the controller says nothing of {}", self.run)));
        };
        if let Some(node) = &self.output_of {
            return output_of(&board, run, node).await;
        }
        let hosts = board.rows().enumerate().map(|(place, (host, result))| match result {
            Some(result) => Host::Ended(result),
            None => Host::Open { host, state: board.state_of(place) },
        });
        let shown = Shown { run, hosts: hosts.collect(), skipped: &board.skipped };
        self.output.show(&shown, |_| text(&board, run, Stream::Stdout.is_terminal()))?;
        Ok(ExitCode::Success)
    }

    async fn follow(self, client: &OperatorClient) -> Result<ExitCode, Failure> {
        let interrupt = Interrupt::listen();
        let which = GetRun { run: self.run.clone(), follow: true };
        let events = client.get_run(which).await.map_err(|error| unknown_run(error, &self.run))?;
        let mut view: Box<dyn View> = match self.output.output {
            Format::Table => Box::new(Live::in_the_middle(Look::here(false, false))),
            Format::Json => Box::new(JsonLines::default()),
            Format::Yaml => Box::new(Silent),
        };
        let keep = if self.output.output == Format::Yaml { Keep::All } else { Keep::Nothing };
        let follower = Follower::new(Board::new(keep), view.as_mut(), interrupt, Ending::Leaves);
        let (board, run) = follower.follow(client, Box::new(events)).await?;
        if self.output.output != Format::Json {
            let hosts = board.results.iter().flatten().map(Host::Ended).collect();
            let shown = Shown { run: &run, hosts, skipped: &board.skipped };
            self.output.show(&shown, |_| summary(&board, &run))?;
        }
        Ok(run.state.exit_code())
    }
}

/// What is kept of a run.
async fn kept(client: &OperatorClient, run: &str, keep: Keep) -> Result<Board, Failure> {
    let which = GetRun { run: run.to_owned(), follow: false };
    let mut events = client.get_run(which).await.map_err(|error| unknown_run(error, run))?;
    let mut board = Board::new(keep);
    while let Some(piece) = events.next().await {
        for event in piece.map_err(|error| unknown_run(error, run))? {
            board.take(&event);
        }
    }
    Ok(board)
}

/// That there is no such run, with the way to find the one that was meant.
pub fn unknown_run(error: ApiError, run: &str) -> Failure {
    if error.code != Code::NotFound {
        return error.into();
    }
    let looks_right = RunId::is_prefix(run);
    Failure::not_found(error.message).hint(if looks_right {
        "`aegis edge fleet runs` lists the runs"
    } else {
        "write the run's id or at least its first four digits, such as r-019d; `aegis edge fleet runs` lists the runs"
    })
}

async fn output_of(board: &Board, run: &Run, node: &str) -> Result<ExitCode, Failure> {
    let is_meant = |host: &RunTarget| {
        let id = host.node_id.as_str();
        host.name == node || id == node || (node.len() >= 6 && id.starts_with(node))
    };
    let meant: Vec<_> = board.rows().enumerate().filter(|(_, (host, _))| is_meant(host)).collect();
    let [(place, (host, result))] = meant.as_slice() else {
        return Err(Failure::not_found(format!("'{node}' is no host of {}", run.run_id))
            .hint(format!("`aegis edge fleet show {}` lists its hosts", run.run_id)));
    };
    let Some(result) = result else {
        return Err(Failure::not_found(format!(
            "{} hasn't ended: it is {}",
            visible(&host.name),
            board.state_of(*place)
        ))
        .hint(format!("`aegis edge fleet show {} --follow` waits for it", run.run_id)));
    };
    let mut pieces = Pieces::default();
    for (stream, bytes) in [(Stream::Stdout, &result.stdout), (Stream::Stderr, &result.stderr)] {
        if stream.is_terminal() {
            pieces.push(stream, visible(&String::from_utf8_lossy(bytes)).as_bytes());
        } else {
            pieces.push(stream, bytes);
        }
    }
    if result.is_cut() {
        let (kept, all) =
            (result.stdout.len() + result.stderr.len(), result.stdout_bytes + result.stderr_bytes);
        pieces.say(
            &Paint::of(Stream::Stderr)
                .yellow(&format!("these are the last {kept} of {all} bytes; more isn't kept")),
        );
    }
    Screen::default().write(&mut pieces).await?;
    Ok(ExitCode::Success)
}

/// The run, its hosts, and the ends of their outputs; for a terminal with nothing that it would obey.
fn text(board: &Board, run: &Run, on_terminal: bool) -> String {
    let optional = |value: Option<String>| value.unwrap_or_default();
    let lines = [
        ("run", run.run_id.to_string()),
        ("tool", run.tool.clone()),
        ("arguments", visible(&String::from_utf8_lossy(&run.arguments)).into_owned()),
        ("target", visible(&run.target).into_owned()),
        ("mode", run.mode.to_string()),
        ("on_error", run.on_error.to_string()),
        ("max_concurrency", optional(run.max_concurrency.map(|most| most.to_string()))),
        ("require_min", optional(run.require_min.map(|least| least.to_string()))),
        ("deadline", deadline(run)),
        ("security_context", run.security_context.clone()),
        ("state", run.state.to_string()),
        ("reason", visible(&run.reason).into_owned()),
        ("started", run.started_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ("finished", optional(run.finished_at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()))),
        ("subject", visible(&run.subject).into_owned()),
        ("rollout", optional(run.rollout.clone())),
    ];
    let mut text = fields(lines.into_iter().filter(|(_, value)| !value.is_empty()));
    for host in &board.skipped {
        text += &format!("skipped: {} ({})\n", visible(&host.name), host.reason);
    }
    text += &summary(board, run);
    for result in board.results.iter().flatten() {
        let name = visible(&result.name);
        if !result.error.is_empty() {
            text += &format!("\n== {name} error\n{}\n", visible(result.error.trim_end()));
        }
        for (what, bytes, total) in
            [("stdout", &result.stdout, result.stdout_bytes), ("stderr", &result.stderr, result.stderr_bytes)]
        {
            text += &end_of(&name, what, bytes, total, on_terminal);
        }
    }
    text
}

fn end_of(name: &str, what: &str, bytes: &[u8], total: u64, on_terminal: bool) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    let printed = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = printed.lines().collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    let cut = last.len() < lines.len() || (bytes.len() as u64) < total;
    let heading = if cut { format!("the last lines of {total} bytes") } else { format!("{total} bytes") };
    let last = last.join("\n");
    let last = if on_terminal { visible(&last) } else { last.into() };
    format!("\n== {name} {what} ({heading})\n{last}\n")
}

#[cfg(test)]
mod tests {
    use aegis_core::fleet::{RunState, TargetOutcome};
    use aegis_wire::operator::RunChange;

    use super::*;
    use crate::fleet::Sample;

    fn board() -> (Board, Run) {
        let mut sample = Sample::new(["web-1", "web-2"]);
        let mut board = Board::new(Keep::All);
        board.take(&sample.started());
        let mut result = sample.result(0, TargetOutcome::Error, "one\n\x1b[2Jtwo\n");
        result.error = "exit code 1".into();
        board.take(&sample.kept(RunChange::Result(result)));
        board.take(&sample.kept(RunChange::Dispatched { targets: vec![1] }));
        let run = sample.run(RunState::Running);
        (board, run)
    }

    #[test]
    fn a_run_shows_its_question_its_hosts_and_the_ends_of_their_outputs() {
        let (board, run) = board();
        let text = text(&board, &run, true);
        for part in [
            "arguments:        {\"command\":\"true\"}\n",
            "deadline:         1m\n",
            "web-1  error    1     1.2s\n",
            "web-2  running  -     -\n",
            "\n1 error, 1 running\n",
            "\n== web-1 error\nexit code 1\n",
            "\n== web-1 stdout (12 bytes)\none\n^[[2Jtwo\n",
        ] {
            assert!(text.contains(part), "{part}\n---\n{text}");
        }
        assert!(!text.contains("finished") && !text.contains("rollout"), "{text}");
    }

    #[test]
    fn only_the_last_lines_of_an_output_are_shown() {
        let printed: String = (0..20).map(|number| format!("line {number}\n")).collect();
        let shown = end_of("web-1", "stdout", printed.as_bytes(), 5_000, false);
        assert!(shown.starts_with("\n== web-1 stdout (the last lines of 5000 bytes)\nline 10\n"), "{shown}");
        assert!(shown.ends_with("line 19\n"), "{shown}");
    }

    #[tokio::test]
    async fn the_output_of_a_host_that_is_not_meant_or_has_not_ended_is_not_found() {
        let (board, run) = board();
        for (node, says) in [("web-9", "is no host"), ("web-2", "hasn't ended: it is running")] {
            let failure = output_of(&board, &run, node).await.unwrap_err();
            assert_eq!(failure.exit, ExitCode::Unavailable);
            assert!(failure.message().contains(says), "{}", failure.message());
        }
    }
}
