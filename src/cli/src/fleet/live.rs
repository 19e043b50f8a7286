//! A run for people, as it happens: a line a line of output with its host's name, waves, and each failure.

use std::collections::HashMap;

use aegis_core::fleet::{RunState, TargetOutcome};
use aegis_wire::{
    edge::OUTPUT_TAIL,
    operator::{Run, RunChange, RunEvent, TargetResult},
};
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
            // A context may bound the output: then the result has the end of what is within the bound, not of all. With
            // everything heard from the start that can be told: a short end that isn't all was bounded.
            let length = tail.len() as u64;
            let sent = match length < total && self.connection == 0 {
                true if tail.len() < OUTPUT_TAIL => length,
                true => heard.bytes,
                false => total,
            };
            // What came last is the end, so the result's end goes on where it stopped, if nothing is between.
            let rest = sent.saturating_sub(heard.bytes).min(length);
            let rest = usize::try_from(rest).unwrap_or(tail.len());
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
        TargetOutcome::Disconnected => "disconnected",
        TargetOutcome::Ok | TargetOutcome::Cancelled | TargetOutcome::NotStarted => return None,
    };
    let why = match result.exit_code {
        _ if !result.error.trim().is_empty() => visible_lines(&result.error, "    "),
        Some(code) => format!("exit code {code}"),
        None if result.outcome == TargetOutcome::TimedOut && result.duration_ms > 0 => {
            return Some(format!("{name} {word} after {}", summary::duration(result.duration())));
        }
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
mod tests;
