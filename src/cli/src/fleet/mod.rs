//! Following a run: what its events come to, how they look while they come, and how it ended.

mod board;
mod follow;
mod json;
mod lines;
mod live;
mod pieces;
#[cfg(test)]
mod sample;
mod screen;
mod summary;
mod visible;

pub use board::{Board, Keep};
pub use follow::{Ending, Follower, started};
pub use json::JsonLines;
pub use live::{Live, Look};
pub use pieces::Pieces;
#[cfg(test)]
pub use sample::Sample;
pub use screen::Screen;
pub use summary::{deadline, duration, results_table, verdict};
use visible::visible_lines;
pub use visible::{visible, visible_with_colours};

use aegis_wire::operator::RunEvent;

/// What is made of a run's events.
pub trait View {
    /// Something happened; the board has taken it in already.
    fn on(&mut self, board: &Board, event: &RunEvent, pieces: &mut Pieces);
    /// The connection was lost and is there again: output may be missing from here on.
    fn reattached(&mut self) {}
    /// Whether a bar is to show how far the run is, where there is a terminal.
    fn wants_progress(&self) -> bool {
        false
    }
}

/// Shows nothing while it goes on.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl View for Silent {
    fn on(&mut self, _: &Board, _: &RunEvent, _: &mut Pieces) {}
}
