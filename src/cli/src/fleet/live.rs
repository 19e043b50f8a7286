//! A run for people, as it happens: a line a line of output with its host's name, waves, and each failure.

use std::collections::HashMap;

use aegis_core::fleet::{RunState, TargetOutcome};
use aegis_wire::operator::{Run, RunChange, RunEvent, TargetResult};
use bytes::Bytes;

use super::{
    Board, Pieces, View,
    lines::{Dress, Lines},
    summary, visible, visible_lines,
};
use crate::terminal::{Paint, Stream};

/// The widest name that others are aligned with.
const WIDEST_NAME: usize = 24;
/// How many skipped hosts are named; the rest are counted.
const MOST_SKIPPED: usize = 10;

/// How it is to look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Colours of what goes to stdout; whether a terminal shows it.
    pub stdout: (Paint, bool),
    /// The same of stderr.
    pub stderr: (Paint, bool),
    /// Show nothing of what hosts print.
    pub quiet: bool,
    /// Leave out the names, if there is one host only.
    pub bare: bool,
}

impl Look {
    /// As the terminals here want it.
    pub fn here(quiet: bool, bare: bool) -> Self {
        let of = |stream| (Paint::of(stream), stream.is_terminal());
        Self { stdout: of(Stream::Stdout), stderr: of(Stream::Stderr), quiet, bare }
    }
}

/// One stream of one host.
#[derive(Default)]
struct Heard {
    lines: Lines,
    /// How many bytes were shown.
    bytes: u64,
    /// In which connection the last of them came.
    connection: u32,
    /// Something is missing before what came last.
    gap: bool,
}

/// Shows a run.
pub struct Live {
    look: Look,
    names: bool,
    width: usize,
    /// By place, and whether it is stderr.
    heard: HashMap<(u32, bool), Heard>,
    /// How often the connection was made anew, or that it began in the middle of a run.
    connection: u32,
}

impl Live {
    /// Of a run that begins now.
    pub fn new(look: Look) -> Self {
        Self { look, names: true, width: 0, heard: HashMap::new(), connection: 0 }
    }
    /// Of a run that is under way: what was printed before is not heard.
    pub fn in_the_middle(look: Look) -> Self {
        Self { connection: 1, ..Self::new(look) }
    }

    fn paint(&self) -> Paint {
        self.look.stderr.0
    }

    fn begin(&mut self, run: &Run, board: &Board, pieces: &mut Pieces) {
        self.names = !(self.look.bare && board.targets.len() == 1);
        let widths = board.targets.iter().map(|target| target.name.chars().count());
        self.width = widths.filter(|width| *width <= WIDEST_NAME).max().unwrap_or(0);
        let skipped = &board.skipped;
        for host in skipped.iter().take(MOST_SKIPPED) {
            let line = format!("{} is skipped: {}", visible(&host.name), host.reason);
            pieces.say(&self.paint().yellow(&line));
        }
        if skipped.len() > MOST_SKIPPED {
            pieces.say(&format!("… and {} more hosts are skipped", skipped.len() - MOST_SKIPPED));
        }
        if self.names {
            let hosts = summary::hosts(board.targets.len());
            pieces.say(
                &self.paint().dim(&format!(
                    "{}: {} on {hosts} ({}, {})",
                    run.run_id, run.tool, run.mode, run.on_error
                )),
            );
        }
    }

    fn output(&mut self, board: &Board, target: u32, stderr: bool, data: &[u8], pieces: &mut Pieces) {
        let connection = self.connection;
        let heard = self.heard.entry((target, stderr)).or_default();
        heard.gap |= heard.connection != connection;
        heard.connection = connection;
        heard.bytes += data.len() as u64;
        self.write(board, target, stderr, Some(data), pieces);
    }

    /// Shows a piece, or with none what was held back.
    fn write(&mut self, board: &Board, target: u32, stderr: bool, data: Option<&[u8]>, pieces: &mut Pieces) {
        if self.look.quiet {
            return;
        }
        let name = board.target(target).map_or("", |host| host.name.as_str());
        let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
        let (paint, on_terminal) = if stderr { self.look.stderr } else { self.look.stdout };
        let padded = format!("{:width$} | ", visible(name), width = self.width);
        let prefix = self.names.then(|| paint.of_many(target, &padded));
        let dress = Dress { prefix: prefix.as_deref(), on_terminal };
        let mut shown = Vec::new();
        if let Some(heard) = self.heard.get_mut(&(target, stderr)) {
            match data {
                Some(data) => heard.lines.push(data, dress, &mut shown),
                None => heard.lines.end(dress, &mut shown),
            }
        }
        pieces.push(stream, &shown);
    }

    fn result(&mut self, board: &Board, result: &TargetResult, pieces: &mut Pieces) {
        let outputs: [(bool, &Bytes, u64); 2] =
            [(false, &result.stdout, result.stdout_bytes), (true, &result.stderr, result.stderr_bytes)];
        let mut missing = 0;
        for (stderr, tail, total) in outputs {
            let heard = self.heard.entry((result.target, stderr)).or_default();
            let unheard = total.saturating_sub(heard.bytes);
            // What came last is the end of all, so the result's end goes on where it stopped, if nothing is between.
            let rest = usize::try_from(unheard).map_or(tail.len(), |unheard| unheard.min(tail.len()));
            if unheard > 0 && !heard.gap {
                self.write(board, result.target, stderr, Some(&tail[tail.len() - rest..]), pieces);
                missing += unheard - rest as u64;
            } else {
                missing += unheard;
            }
            self.write(board, result.target, stderr, None, pieces);
            self.heard.remove(&(result.target, stderr));
        }
        let name = visible(&result.name);
        if missing > 0 && !self.look.quiet {
            pieces.say(
                &self.paint().yellow(&format!("{name}: {missing} bytes of its output are missing here")),
            );
        }
        if let Some(line) = failure(result, &name) {
            let paint = self.paint();
            pieces.say(&paint.red(&line));
        }
    }
}

/// `web-2 failed: exit code 3`; none, if it didn't.
fn failure(result: &TargetResult, name: &str) -> Option<String> {
    let word = match result.outcome {
        TargetOutcome::Error => "failed",
        TargetOutcome::TimedOut => "timed out",
        TargetOutcome::Disconnected => "is gone",
        TargetOutcome::Ok | TargetOutcome::Cancelled | TargetOutcome::NotStarted => return None,
    };
    let why = match result.exit_code {
        _ if !result.error.trim().is_empty() => visible_lines(&result.error, "    "),
        Some(code) => format!("exit code {code}"),
        None => return Some(format!("{name} {word}")),
    };
    Some(format!("{name} {word}: {why}"))
}

impl View for Live {
    fn on(&mut self, board: &Board, event: &RunEvent, pieces: &mut Pieces) {
        match &event.what {
            RunChange::Started { run, .. } => self.begin(run, board, pieces),
            RunChange::WaveStarted { wave, waves, targets } if *waves > 1 => {
                let hosts = summary::hosts(usize::try_from(*targets).unwrap_or(usize::MAX));
                pieces.say(&self.paint().cyan(&format!("== wave {wave} of {waves}: {hosts}")));
            }
            RunChange::Output { target, stderr, data } => self.output(board, *target, *stderr, data, pieces),
            RunChange::Result(result) => self.result(board, result, pieces),
            RunChange::Halted { reason } => {
                pieces.say(&self.paint().red(&format!("halted: {}", visible(reason))));
            }
            RunChange::Cancelling { subject } => {
                pieces.say(&self.paint().yellow(&format!("cancelled by {}", visible(subject))));
            }
            RunChange::Finished { run } if run.state == RunState::Interrupted => {
                pieces.say(&self.paint().red(&format!("interrupted: {}", visible(&run.reason))));
            }
            RunChange::WaveStarted { .. }
            | RunChange::Dispatched { .. }
            | RunChange::WaveEnded { .. }
            | RunChange::Finished { .. } => {}
        }
    }

    fn reattached(&mut self) {
        self.connection += 1;
    }

    fn wants_progress(&self) -> bool {
        self.names
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Keep, sample::Sample},
        *,
    };

    const PIPE: Look =
        Look { stdout: (Paint::OFF, false), stderr: (Paint::OFF, false), quiet: false, bare: false };

    /// What stands on stdout and on stderr after these events.
    fn shown(live: &mut Live, events: &[RunEvent]) -> (String, String) {
        let (mut board, mut pieces) = (Board::new(Keep::Nothing), Pieces::default());
        for event in events {
            if board.take(event) {
                live.on(&board, event, &mut pieces);
            }
        }
        (pieces.text(Stream::Stdout), pieces.text(Stream::Stderr))
    }

    #[test]
    fn each_line_has_its_host_and_each_failure_its_reason() {
        let mut sample = Sample::new(["web-1", "db-2"]);
        let mut failed = sample.result(1, TargetOutcome::Error, "");
        failed.exit_code = Some(3);
        let mut refused = sample.result(0, TargetOutcome::Error, "");
        refused.error =
            "the context 'default' doesn't grant cmd.run\nask for another: --security-context".into();
        let events = [
            sample.started(),
            sample.kept(RunChange::WaveStarted { wave: 2, waves: 3, targets: 2 }),
            sample.output(0, false, b"hello\nhal"),
            sample.output(1, true, b"oh\n"),
            sample.output(0, false, b"f\n"),
            sample.kept(RunChange::Result(failed)),
            sample.kept(RunChange::Result(refused)),
            sample.kept(RunChange::Halted { reason: "fail-fast: 1 of 2 targets failed".into() }),
            sample.finished(RunState::Halted, ""),
        ];
        let (stdout, stderr) = shown(&mut Live::new(PIPE), &events);
        assert_eq!(stdout, "web-1 | hello\nweb-1 | half\n");
        let run = &sample.run(RunState::Running).run_id;
        assert_eq!(
            stderr,
            format!(
                "{run}: cmd.run on 2 hosts (parallel, fail-fast)\n\
                 == wave 2 of 3: 2 hosts\n\
                 db-2  | oh\n\
                 db-2 failed: exit code 3\n\
                 web-1 failed: the context 'default' doesn't grant cmd.run\n    ask for another: --security-context\n\
                 halted: fail-fast: 1 of 2 targets failed\n"
            )
        );
    }

    #[test]
    fn one_wave_needs_no_heading() {
        let mut sample = Sample::new(["web-1"]);
        let events =
            [sample.started(), sample.kept(RunChange::WaveStarted { wave: 1, waves: 1, targets: 1 })];
        assert!(!shown(&mut Live::new(PIPE), &events).1.contains("wave"));
    }

    #[test]
    fn what_was_not_streamed_comes_with_the_result_and_nothing_comes_twice() {
        let mut sample = Sample::new(["web-1"]);
        let mut result = sample.result(0, TargetOutcome::Ok, "one\ntwo\nthree");
        result.stderr = "ends".into();
        result.stderr_bytes = 10;
        let events =
            [sample.started(), sample.output(0, false, b"one\ntw"), sample.kept(RunChange::Result(result))];
        let (stdout, stderr) = shown(&mut Live::new(PIPE), &events);
        assert_eq!(stdout, "web-1 | one\nweb-1 | two\nweb-1 | three\n");
        assert!(
            stderr.ends_with("web-1 | ends\nweb-1: 6 bytes of its output are missing here\n"),
            "{stderr}"
        );
    }

    #[test]
    fn after_a_lost_connection_what_is_missing_is_said_unless_the_result_has_it() {
        let mut sample = Sample::new(["web-1", "web-2"]);
        let started = sample.started();
        let (mut board, mut pieces) = (Board::new(Keep::Nothing), Pieces::default());
        let mut live = Live::new(PIPE);
        let before = [started, sample.output(0, false, b"one\n"), sample.output(1, false, b"one\n")];
        // The first host printed on while nobody listened and again afterwards, the second only in between.
        let after = [
            sample.output(0, false, b"three\n"),
            sample.ended(0, TargetOutcome::Ok, "one\ntwo\nthree\n"),
            sample.ended(1, TargetOutcome::Ok, "one\ntwo\n"),
        ];
        for event in &before {
            board.take(event);
            live.on(&board, event, &mut pieces);
        }
        live.reattached();
        for event in &after {
            board.take(event);
            live.on(&board, event, &mut pieces);
        }
        let stdout = pieces.text(Stream::Stdout);
        assert_eq!(stdout, "web-1 | one\nweb-2 | one\nweb-1 | three\nweb-2 | two\n");
        let stderr = pieces.text(Stream::Stderr);
        assert!(stderr.ends_with("\nweb-1: 4 bytes of its output are missing here\n"), "{stderr}");
    }

    #[test]
    fn a_host_cannot_steer_the_terminal_and_a_pipe_gets_its_bytes() {
        let mut sample = Sample::new(["web-1"]);
        let mut result = sample.result(0, TargetOutcome::Error, "");
        result.error = "\x1b[2Jgone".into();
        result.stdout_bytes = 6;
        let events = [
            sample.started(),
            sample.output(0, false, b"\x1b[2J\xff\n"),
            sample.kept(RunChange::Result(result)),
        ];
        let terminal = Look { stdout: (Paint::OFF, true), stderr: (Paint::OFF, true), ..PIPE };
        let (stdout, stderr) = shown(&mut Live::new(terminal), &events);
        assert_eq!(stdout, "web-1 | ^[[2J\u{fffd}\n");
        assert!(stderr.contains("web-1 failed: ^[[2Jgone\n"), "{stderr}");
        assert!(shown(&mut Live::new(PIPE), &events).0.starts_with("web-1 | \x1b[2J"));
    }

    #[test]
    fn a_single_call_has_the_bare_output_and_a_quiet_run_none() {
        let mut sample = Sample::new(["web-1"]);
        let events =
            [sample.started(), sample.output(0, false, b"50%"), sample.ended(0, TargetOutcome::Ok, "50%")];
        let bare = Look { bare: true, ..PIPE };
        assert_eq!(shown(&mut Live::new(bare), &events), ("50%".into(), String::new()));
        let quiet = Look { quiet: true, ..PIPE };
        assert_eq!(shown(&mut Live::new(quiet), &events).0, "");
    }

    #[test]
    fn skipped_hosts_are_named_or_counted() {
        let mut sample = Sample::new(["web-1"]);
        let RunEvent { what: RunChange::Started { run, targets, .. }, .. } = sample.started() else { return };
        let skipped = (0..12).map(|number| Sample::skipped(&format!("db-{number}"))).collect();
        let mut sample = Sample::new(["web-1"]);
        let events = [sample.kept(RunChange::Started { run, targets, skipped })];
        let (_, stderr) = shown(&mut Live::new(PIPE), &events);
        assert!(stderr.starts_with("db-0 is skipped: disconnected\n"), "{stderr}");
        assert!(stderr.contains("db-9 is skipped") && !stderr.contains("db-10"), "{stderr}");
        assert!(stderr.contains("… and 2 more hosts are skipped\n"), "{stderr}");
    }
}
