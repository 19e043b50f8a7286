//! Writes what is to be seen, above a progress bar where there is a terminal.

use std::{
    io::{ErrorKind, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Board, Pieces};
use crate::{
    failure::Failure,
    terminal::{Paint, Stream},
};

/// How often the clock on the bar is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(500);

/// Stdout and stderr.
#[derive(Debug, Default)]
pub struct Screen {
    bar: Option<ProgressBar>,
}

impl Screen {
    /// Shows how far the run is, if stderr is a terminal that may have colours.
    pub fn progress(&mut self, board: &Board) {
        if self.bar.is_none() {
            let wanted = board.targets.len() > 1 && Paint::of(Stream::Stderr).is_on();
            let Some(style) = wanted.then(style).flatten() else { return };
            let bar =
                ProgressBar::with_draw_target(Some(board.targets.len() as u64), ProgressDrawTarget::stderr());
            bar.set_style(style);
            bar.enable_steady_tick(DRAWN_EVERY);
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} failed, {} running", board.counts.failures(), board.in_flight()));
            bar.set_position(board.counts.total());
        }
    }

    /// Takes the bar away.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Writes, and waits until it is written: who reads slowly makes the hosts wait, not this program's memory grow. On
    /// a thread of its own, so that Ctrl-C is heard while nobody reads.
    pub async fn write(&self, pieces: &mut Pieces) -> Result<(), Failure> {
        if pieces.is_empty() {
            return Ok(());
        }
        let (pieces, bar) = (pieces.take(), self.bar.clone());
        let written = tokio::task::spawn_blocking(move || match bar {
            Some(bar) => bar.suspend(|| write(pieces)),
            None => write(pieces),
        });
        let written = written.await.map_err(|error| Failure::generic(format!("output: {error}")))?;
        written.map_err(|error| Failure::generic(format!("output: {error}")))
    }
}

fn style() -> Option<ProgressStyle> {
    ProgressStyle::with_template("{elapsed} [{bar:30}] {pos}/{len} hosts, {msg}")
        .map(|style| style.progress_chars("=> "))
        .ok()
}

/// A reader that has gone away, such as `head`, doesn't end the run.
fn write(pieces: Vec<(Stream, Vec<u8>)>) -> std::io::Result<()> {
    for (stream, bytes) in pieces {
        let written = match stream {
            Stream::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(&bytes).and_then(|()| stdout.flush())
            }
            Stream::Stderr => std::io::stderr().lock().write_all(&bytes),
        };
        match written {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
