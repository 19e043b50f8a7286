//! A controller that hangs up, goes away, refuses, and is told to cancel.

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
    let (controller, interrupt) = (Controller::default(), Interrupt::default());
    let followed = follow(&controller, first, &interrupt, Ending::Cancels);
    let failure = tokio::time::timeout(4 * REATTACH_WITHIN, followed).await.unwrap().unwrap_err();
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
