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
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::cell::{Cell, RefCell};

    use aegis_core::fleet::{RunState, TargetOutcome};
    use futures::stream;

    use super::{
        super::{Keep, Silent, sample::Sample},
        *,
    };

    /// What the controller says to one call after the other, and how often it was told to cancel.
    #[derive(Default)]
    struct Controller {
        answers: RefCell<Vec<Result<Vec<RunEvent>, ApiError>>>,
        attached: Cell<u32>,
        cancelled: Cell<u32>,
        refuses: Option<Code>,
        /// Told what to say once it was cancelled.
        to: Option<(tokio::sync::mpsc::UnboundedSender<RunEvent>, RunEvent)>,
    }

    impl Runs for Controller {
        async fn attach(&self, _: &RunId) -> Result<Events, ApiError> {
            self.attached.set(self.attached.get() + 1);
            let mut answers = self.answers.borrow_mut();
            if answers.is_empty() {
                return Err(ApiError::new(self.refuses.unwrap_or(Code::Unavailable), "away"));
            }
            answers.remove(0).map(|events| said(vec![Ok(events)]))
        }
        async fn cancel(&self, _: &RunId) -> Result<Run, ApiError> {
            self.cancelled.set(self.cancelled.get() + 1);
            if let Some((to, event)) = &self.to {
                to.send(event.clone()).unwrap();
            }
            Ok(Sample::new(["web-1"]).run(RunState::Running))
        }
    }

    fn said(pieces: Vec<Result<Vec<RunEvent>, ApiError>>) -> Events {
        Box::new(stream::iter(pieces))
    }

    fn away() -> ApiError {
        ApiError::unavailable("the connection broke")
    }

    async fn follow(
        controller: &Controller,
        events: Events,
        interrupt: &Interrupt,
        ending: Ending,
    ) -> Result<(Board, Run), Failure> {
        let mut view = Silent;
        let follower = Follower::new(Board::new(Keep::All), &mut view, interrupt.clone(), ending);
        follower.follow(controller, events).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_made_anew_and_nothing_is_counted_twice() {
        let mut sample = Sample::new(["web-1"]);
        let (started, ended) = (sample.started(), sample.ended(0, TargetOutcome::Ok, ""));
        let finished = sample.finished(RunState::Ok, "");
        let controller = Controller {
            answers: RefCell::new(vec![
                Err(away()),
                Ok(vec![started.clone(), ended.clone()]),
                Ok(vec![started.clone(), ended, finished]),
            ]),
            ..Controller::default()
        };
        let first = said(vec![Ok(vec![started]), Err(away())]);
        let (board, run) = follow(&controller, first, &Interrupt::default(), Ending::Cancels).await.unwrap();
        assert_eq!((run.state, board.counts.total(), controller.attached.get()), (RunState::Ok, 1, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_controller_that_stays_away_is_given_up_after_half_a_minute() {
        let begun = Instant::now();
        let first = said(vec![Ok(vec![Sample::new(["web-1"]).started()])]);
        let failure =
            follow(&Controller::default(), first, &Interrupt::default(), Ending::Cancels).await.unwrap_err();
        assert_eq!(failure.exit, ExitCode::Generic);
        let waited = begun.elapsed();
        assert!(waited >= REATTACH_WITHIN && waited < REATTACH_WITHIN + 2 * REATTACH_EVERY, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_controller_refuses_is_not_asked_again() {
        let controller = Controller { refuses: Some(Code::PermissionDenied), ..Controller::default() };
        let first = said(vec![Ok(vec![Sample::new(["web-1"]).started()])]);
        let failure = follow(&controller, first, &Interrupt::default(), Ending::Cancels).await.unwrap_err();
        assert_eq!((failure.exit, controller.attached.get()), (ExitCode::Unauthorized, 1));
        let first = said(vec![Err(ApiError::new(Code::TooFew, "2 hosts, 3 wanted"))]);
        let failure = follow(&controller, first, &Interrupt::default(), Ending::Cancels).await.unwrap_err();
        assert_eq!((failure.exit, controller.attached.get()), (ExitCode::RequireMin, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_run_has_an_id_a_lost_connection_cannot_be_made_anew() {
        let controller = Controller::default();
        let first = said(vec![Err(away())]);
        let failure = follow(&controller, first, &Interrupt::default(), Ending::Cancels).await.unwrap_err();
        assert_eq!((failure.exit, controller.attached.get()), (ExitCode::Generic, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn ctrl_c_cancels_the_run_once_and_waits_for_its_results() {
        let mut sample = Sample::new(["web-1"]);
        let started = sample.started();
        let ended = sample.ended(0, TargetOutcome::Cancelled, "");
        let finished = sample.finished(RunState::Cancelled, "");
        let (to, said) = tokio::sync::mpsc::unbounded_channel::<RunEvent>();
        let interrupt = Interrupt::default();
        // Asked for before the run has an id, it is done as soon as it has one.
        interrupt.ask();
        to.send(started).unwrap();
        let more = to.clone();
        let controller = Controller { to: Some((to, ended)), ..Controller::default() };
        let events = stream::unfold(said, |mut said| async { Some((said.recv().await?, said)) });
        let events = events.inspect(move |event| {
            if matches!(event.what, aegis_wire::operator::RunChange::Result(_)) {
                more.send(finished.clone()).unwrap();
            }
        });
        let events: Events = Box::new(Box::pin(events.map(|event| Ok(vec![event]))));
        let (board, run) = follow(&controller, events, &interrupt, Ending::Cancels).await.unwrap();
        assert_eq!(run.state.exit_code(), ExitCode::Cancelled);
        assert_eq!((controller.cancelled.get(), board.counts.total()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn ctrl_c_only_leaves_a_run_that_somebody_else_began() {
        let controller = Controller::default();
        let interrupt = Interrupt::default();
        interrupt.ask();
        let first = said(vec![Ok(vec![Sample::new(["web-1"]).started()])]);
        let failure = follow(&controller, first, &interrupt, Ending::Leaves).await.unwrap_err();
        assert_eq!((failure.exit, controller.cancelled.get()), (ExitCode::Cancelled, 0));
    }
}
