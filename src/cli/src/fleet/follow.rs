//! Follows a run until it is over: across lost connections, and through Ctrl-C.

use std::time::Duration;

use aegis_core::{ExitCode, fleet::RunId};
use aegis_wire::{
    ApiError, Code,
    operator::{GetRun, OperatorClient, Run, RunEvent},
};
use futures::{Stream, StreamExt};
use tokio::time::Instant;

use super::{Board, Pieces, Screen, View};
use crate::{failure::Failure, interrupt::Interrupt};

/// How long a lost controller is called again.
const REATTACH_WITHIN: Duration = Duration::from_secs(30);
/// Between two calls.
const REATTACH_EVERY: Duration = Duration::from_secs(1);

/// What happens in a run, in pieces.
pub type Events = Box<dyn Stream<Item = Result<Vec<RunEvent>, ApiError>> + Send + Unpin>;

/// A controller, as far as a run needs it.
pub trait Runs {
    /// What is kept of a run, and then what happens in it.
    fn attach(&self, run: &RunId) -> impl Future<Output = Result<Events, ApiError>>;
    /// Cancels a run.
    fn cancel(&self, run: &RunId) -> impl Future<Output = Result<Run, ApiError>>;
}

impl Runs for OperatorClient {
    async fn attach(&self, run: &RunId) -> Result<Events, ApiError> {
        Ok(Box::new(self.get_run(GetRun { run: run.to_string(), follow: true }).await?))
    }
    async fn cancel(&self, run: &RunId) -> Result<Run, ApiError> {
        self.cancel_run(run.as_str()).await
    }
}

/// What Ctrl-C ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The run: it was begun here.
    Cancels,
    /// Only the watching.
    Leaves,
}

/// Follows one run.
pub struct Follower<'a, V: ?Sized> {
    /// What is known of the run.
    pub board: Board,
    /// What is made of its events.
    pub view: &'a mut V,
    /// Whether somebody asked to stop.
    pub interrupt: Interrupt,
    /// What that ends.
    pub ending: Ending,
    screen: Screen,
    cancel_sent: bool,
}

impl<'a, V: View + ?Sized> Follower<'a, V> {
    /// Follows with this view.
    pub fn new(board: Board, view: &'a mut V, interrupt: Interrupt, ending: Ending) -> Self {
        Self { board, view, interrupt, ending, screen: Screen::default(), cancel_sent: false }
    }

    /// Until the run is over. Then the board has how each host ended.
    pub async fn follow(mut self, runs: &impl Runs, mut events: Events) -> Result<(Board, Run), Failure> {
        loop {
            let lost = match self.listen(runs, &mut events).await {
                Ok(run) => return Ok((self.board, run)),
                Err(End::Lost(error)) => error,
                Err(End::Failed(failure)) => {
                    self.screen.clear();
                    return Err(failure);
                }
            };
            let reattached = self.reattach(runs, lost).await;
            if reattached.is_err() {
                self.screen.clear();
            }
            events = reattached?;
            self.view.reattached();
        }
    }

    /// Until the run is over, or the events end before it.
    async fn listen(&mut self, runs: &impl Runs, events: &mut Events) -> Result<Run, End> {
        loop {
            let asked = self.interrupt.is_set();
            if asked && !self.cancel_sent {
                self.stop(runs).await?;
            }
            let piece = tokio::select! {
                piece = events.next() => piece,
                () = self.interrupt.asked(), if !asked => continue,
            };
            match piece {
                Some(Ok(piece)) => {
                    if let Some(run) = self.take(piece).await? {
                        return Ok(run);
                    }
                }
                Some(Err(error)) if error.code != Code::Unavailable => return Err(End::Failed(error.into())),
                Some(Err(error)) => return Err(End::Lost(error)),
                None => return Err(End::Lost(ApiError::unavailable("the controller hung up"))),
            }
        }
    }

    /// Takes events in and shows them. A run: it is over.
    async fn take(&mut self, piece: Vec<RunEvent>) -> Result<Option<Run>, Failure> {
        let mut pieces = Pieces::default();
        for event in piece {
            if self.board.take(&event) {
                self.view.on(&self.board, &event, &mut pieces);
            }
        }
        let over = self.board.run.clone().filter(|_| self.board.is_over());
        if over.is_some() {
            self.screen.clear();
        }
        self.screen.write(&mut pieces).await?;
        if over.is_none() && self.view.wants_progress() {
            self.screen.progress(&self.board);
        }
        Ok(over)
    }

    async fn say(&self, line: &str) -> Result<(), Failure> {
        let mut pieces = Pieces::default();
        pieces.say(line);
        self.screen.write(&mut pieces).await
    }

    /// Somebody asked to stop. Before the run has an id there is nothing to cancel yet.
    async fn stop(&mut self, runs: &impl Runs) -> Result<(), Failure> {
        let Some(run) = self.board.run.as_ref().map(|run| run.run_id.clone()) else {
            let left = "left before the run had an id; `aegis edge fleet runs` shows whether it began";
            self.interrupt.on_leaving(left.to_owned());
            return Ok(());
        };
        if self.ending == Ending::Leaves {
            return Err(Failure::new(ExitCode::Cancelled, format!("left; {run} goes on"))
                .hint(format!("`aegis edge fleet cancel {run}` ends it")));
        }
        self.cancel_sent = true;
        self.interrupt.on_leaving(format!(
            "left; {run} is being cancelled, `aegis edge fleet show {run}` shows how it ends"
        ));
        self.say(&format!("cancelling {run} and waiting for its hosts; Ctrl-C again leaves at once")).await?;
        match runs.cancel(&run).await {
            Ok(_) => Ok(()),
            // The connection is made anew, and the cancel is said again.
            Err(error) if error.code == Code::Unavailable => {
                self.cancel_sent = false;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Calls the controller again for a while.
    async fn reattach(&self, runs: &impl Runs, lost: ApiError) -> Result<Events, Failure> {
        let Some(run) = self.board.run.as_ref().map(|run| run.run_id.clone()) else {
            return Err(Failure::from(lost)
                .hint("`aegis edge fleet runs` shows whether the run began; with --idempotency-key it can be said again"));
        };
        self.say(&format!("{}; asking again for {run}", lost.message)).await?;
        let give_up = Instant::now() + REATTACH_WITHIN;
        loop {
            // First of all: a controller that hangs up as soon as it is asked isn't asked all the time.
            tokio::time::sleep(REATTACH_EVERY).await;
            match runs.attach(&run).await {
                Ok(events) => return Ok(events),
                Err(error) if error.code != Code::Unavailable => return Err(error.into()),
                Err(error) if Instant::now() >= give_up => {
                    return Err(Failure::generic(format!(
                        "the controller is gone ({}); {run} goes on without",
                        error.message
                    ))
                    .hint(format!(
                        "`aegis edge fleet show {run}` shows how it ended, once the controller is there"
                    )));
                }
                Err(_) => {}
            }
        }
    }
}

enum End {
    Lost(ApiError),
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The run that these events are of: the first of them says so.
pub async fn started(events: &mut Events) -> Result<Board, Failure> {
    let mut board = Board::new(super::Keep::Nothing);
    while board.run.is_none() {
        match events.next().await {
            Some(piece) => piece?.iter().for_each(|event| {
                board.take(event);
            }),
            None => {
                return Err(ApiError::unavailable(
                    "the controller hung up before it said which run it began",
                )
                .into());
            }
        }
    }
    Ok(board)
}

#[cfg(test)]
mod tests;
