//! Each rule of the dispatcher, with made-up time.

use std::time::Instant;

use super::*;
use crate::fleet::OnError;
use TargetOutcome::{Cancelled, Disconnected, Error, NotStarted, Ok, TimedOut};

const DEADLINE: Duration = Duration::from_mins(1);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Parallel, without limits, and failures halt nothing.
fn parallel() -> Strategy {
    Strategy {
        mode: Mode::Parallel,
        max_concurrency: None,
        on_error: OnError::Continue,
        deadline: DEADLINE,
        pause: Duration::ZERO,
        gated: false,
    }
}

fn rolling(hosts: &str) -> Strategy {
    Strategy { mode: format!("rolling={hosts}").parse().unwrap(), ..parallel() }
}

fn fail_fast(strategy: Strategy) -> Strategy {
    Strategy { on_error: OnError::FailFast, ..strategy }
}

/// A run that has been started at 0, and what it did.
fn started(targets: u32, strategy: Strategy) -> (FleetRun, Vec<Action>) {
    let mut run = FleetRun::new(targets, strategy);
    let actions = give(&mut run, Input::Start, 0);
    (run, actions)
}

fn give(run: &mut FleetRun, input: Input, seconds: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    run.on(input, at(seconds), &mut actions);
    actions
}

fn result(run: &mut FleetRun, target: u32, outcome: TargetOutcome, seconds: u64) -> Vec<Action> {
    give(run, Input::Ended { target, outcome }, seconds)
}

fn ended(target: u32, outcome: TargetOutcome) -> Action {
    Action::Ended { target, outcome }
}

fn wave_started(wave: u32, waves: u32, targets: u32) -> Action {
    Action::WaveStarted { wave, waves, targets }
}

fn halted(reason: &str) -> Action {
    Action::Halted { reason: reason.to_owned() }
}

#[test]
fn parallel_is_one_wave_of_all_at_once() {
    let (mut run, actions) = started(10_000, parallel());
    assert_eq!(actions, [wave_started(1, 1, 10_000), Action::Dispatch(0..10_000)]);
    assert_eq!((run.in_flight(), run.waves(), run.state()), (10_000, 1, RunState::Running));
    for target in 1..10_000 {
        assert_eq!(result(&mut run, target, Ok, 1), [ended(target, Ok)]);
    }
    let last = [ended(0, Ok), Action::WaveEnded { wave: 1 }, Action::Finished(RunState::Ok)];
    assert_eq!(result(&mut run, 0, Ok, 2), last);
    assert_eq!((run.state(), run.due(), run.counts().of(Ok)), (RunState::Ok, None, 10_000));
    assert_eq!((run.outcome(0), run.outcome(10_000)), (Some(Ok), None));
}

#[test]
fn the_concurrency_bounds_what_is_in_flight() {
    let (mut run, actions) = started(5, Strategy { max_concurrency: Some(2), ..parallel() });
    assert_eq!(actions[1..], [Action::Dispatch(0..2)]);
    assert_eq!(result(&mut run, 1, Error, 1), [ended(1, Error), Action::Dispatch(2..3)]);
    assert_eq!((run.in_flight(), run.outcome(0), run.outcome(1)), (2, None, Some(Error)));
}

#[test]
fn sequential_keeps_the_order_whatever_the_concurrency() {
    let strategy = Strategy { mode: Mode::Sequential, max_concurrency: Some(9), ..parallel() };
    let (mut run, actions) = started(3, strategy);
    assert_eq!(actions, [wave_started(1, 1, 3), Action::Dispatch(0..1)]);
    assert_eq!(result(&mut run, 0, Ok, 1), [ended(0, Ok), Action::Dispatch(1..2)]);
    assert_eq!(result(&mut run, 1, Ok, 2), [ended(1, Ok), Action::Dispatch(2..3)]);
}

#[test]
fn a_wave_begins_when_the_one_before_has_wholly_ended() {
    let (mut run, actions) = started(5, Strategy { max_concurrency: Some(1), ..rolling("2") });
    assert_eq!(actions, [wave_started(1, 3, 2), Action::Dispatch(0..1)], "waves keep the concurrency");
    assert_eq!(result(&mut run, 0, Ok, 1), [ended(0, Ok), Action::Dispatch(1..2)]);
    let second = [ended(1, Ok), Action::WaveEnded { wave: 1 }, wave_started(2, 3, 2), Action::Dispatch(2..3)];
    assert_eq!(result(&mut run, 1, Ok, 2), second);
    result(&mut run, 2, Ok, 3);
    let last = result(&mut run, 3, Ok, 4);
    assert_eq!(last[1..], [Action::WaveEnded { wave: 2 }, wave_started(3, 3, 1), Action::Dispatch(4..5)]);
    assert_eq!(FleetRun::new(10, rolling("25%")).waves(), 4);
}

#[test]
fn waves_are_a_pause_apart() {
    let (mut run, _) = started(2, Strategy { pause: at(30), ..rolling("1") });
    assert_eq!(result(&mut run, 0, Ok, 5), [ended(0, Ok), Action::WaveEnded { wave: 1 }]);
    assert_eq!(run.due(), Some(at(35)));
    assert_eq!(give(&mut run, Input::Tick, 34), []);
    assert_eq!(give(&mut run, Input::Tick, 35), [wave_started(2, 2, 1), Action::Dispatch(1..2)]);
    let last = result(&mut run, 1, Ok, 40);
    assert_eq!(last[2..], [Action::Finished(RunState::Ok)], "after the last wave there is no pause");
}

#[test]
fn a_gated_wave_waits_for_the_word_and_for_the_pause() {
    let (mut run, actions) = started(3, Strategy { gated: true, pause: at(10), ..rolling("1") });
    assert_eq!(actions.len(), 2, "the first wave has no gate");
    assert_eq!(give(&mut run, Input::Proceed, 1), []);
    result(&mut run, 0, Ok, 2);
    assert_eq!(
        (run.due(), give(&mut run, Input::Tick, 20)),
        (None, vec![]),
        "a word before the gate is none"
    );
    assert_eq!(give(&mut run, Input::Start, 20), [], "nor is a second start");
    assert_eq!(give(&mut run, Input::Proceed, 21), [wave_started(2, 3, 1), Action::Dispatch(1..2)]);
    result(&mut run, 1, Ok, 30);
    assert_eq!(give(&mut run, Input::Proceed, 31), []);
    assert_eq!(run.due(), Some(at(40)));
    assert_eq!(give(&mut run, Input::Tick, 40), [wave_started(3, 3, 1), Action::Dispatch(2..3)]);
    assert_eq!(result(&mut run, 2, Ok, 50)[2..], [Action::Finished(RunState::Ok)], "nor has the end");
}

#[test]
fn fail_fast_starts_nothing_more_and_lets_run_what_runs() {
    let (mut run, _) = started(4, Strategy { max_concurrency: Some(2), ..fail_fast(parallel()) });
    let reason = halted("fail-fast: 1 of 4 targets failed");
    let rest = [ended(1, Disconnected), reason, ended(2, NotStarted), ended(3, NotStarted)];
    assert_eq!(result(&mut run, 1, Disconnected, 1), rest);
    assert_eq!((run.in_flight(), run.state()), (1, RunState::Running));
    let last = [ended(0, Ok), Action::WaveEnded { wave: 1 }, Action::Finished(RunState::Halted)];
    assert_eq!(result(&mut run, 0, Ok, 2), last);
}

#[test]
fn a_failure_of_the_slowest_and_last_starts_nothing_late() {
    let (mut run, _) = started(3, fail_fast(rolling("2")));
    result(&mut run, 0, Ok, 1);
    let actions = result(&mut run, 1, Error, 59);
    let end = [ended(2, NotStarted), Action::WaveEnded { wave: 1 }, Action::Finished(RunState::Halted)];
    assert_eq!(actions[2..], end);
}

#[test]
fn stop_after_counts_failures_and_continue_goes_on() {
    let (mut run, _) = started(10, Strategy { on_error: OnError::StopAfter(2), ..rolling("1") });
    result(&mut run, 0, Error, 1);
    result(&mut run, 1, Cancelled, 1);
    result(&mut run, 2, Ok, 1);
    assert_eq!(result(&mut run, 3, TimedOut, 1)[1], halted("stop-after=2: 2 of 10 targets failed"));
    assert_eq!(run.counts().of(NotStarted), 6);

    let (mut run, _) = started(2, rolling("1"));
    assert_eq!(result(&mut run, 0, Error, 1)[2..], [wave_started(2, 2, 1), Action::Dispatch(1..2)]);
    assert_eq!(result(&mut run, 1, Ok, 1)[2..], [Action::Finished(RunState::Failed)]);
}

#[test]
fn a_cancel_leaves_out_what_waits_and_ends_what_runs_by_its_own_word() {
    let (mut run, _) = started(4, Strategy { max_concurrency: Some(3), ..fail_fast(parallel()) });
    let cancel =
        [Action::Cancelling, Action::Cancel(0), Action::Cancel(1), Action::Cancel(2), ended(3, NotStarted)];
    assert_eq!(give(&mut run, Input::Cancel, 10), cancel);
    assert_eq!(give(&mut run, Input::Cancel, 11), [], "said twice");
    assert_eq!(result(&mut run, 0, Ok, 12), [ended(0, Ok)], "it was faster");
    assert_eq!(result(&mut run, 1, Error, 12), [ended(1, Error)], "there is nothing left to halt");
    assert_eq!(run.due(), Some(at(17)));
    assert_eq!(give(&mut run, Input::Tick, 16), []);
    let last = [ended(2, Cancelled), Action::WaveEnded { wave: 1 }, Action::Finished(RunState::Cancelled)];
    assert_eq!(give(&mut run, Input::Tick, 17), last);
}

#[test]
fn a_cancel_between_waves_or_before_the_start_finishes_at_once() {
    let (mut run, _) = started(2, Strategy { gated: true, ..rolling("1") });
    result(&mut run, 0, Ok, 1);
    let end = [Action::Cancelling, ended(1, NotStarted), Action::Finished(RunState::Cancelled)];
    assert_eq!(give(&mut run, Input::Cancel, 2), end);

    let mut run = FleetRun::new(1, parallel());
    assert_eq!(run.due(), None);
    assert_eq!(give(&mut run, Input::Cancel, 0)[1..], [ended(0, NotStarted), end[2].clone()]);
    assert_eq!(give(&mut run, Input::Start, 1), []);
}

#[test]
fn a_host_that_hangs_is_timed_out_after_its_own_deadline() {
    let (mut run, _) = started(3, Strategy { max_concurrency: Some(2), ..parallel() });
    assert_eq!(result(&mut run, 0, Ok, 30)[1], Action::Dispatch(2..3));
    assert_eq!(run.due(), Some(at(67)));
    assert_eq!(give(&mut run, Input::Tick, 66), []);
    assert_eq!(give(&mut run, Input::Tick, 67), [Action::Cancel(1), ended(1, TimedOut)]);
    assert_eq!(run.due(), Some(at(97)));
    assert_eq!(give(&mut run, Input::Tick, 97)[..2], [Action::Cancel(2), ended(2, TimedOut)]);
    assert_eq!(run.state(), RunState::TimedOut);
}

#[test]
fn deadlines_of_less_than_a_second_are_kept() {
    let (run, _) = started(1, Strategy { deadline: Duration::from_millis(20), ..parallel() });
    assert_eq!(run.due(), Some(ENDING_TAKES + Duration::from_millis(20)));
    let (run, _) = started(1, Strategy { deadline: Duration::MAX, ..parallel() });
    assert_eq!(run.due(), Some(Duration::MAX));
}

#[test]
fn a_result_that_comes_with_the_end_of_the_wait_is_late() {
    let (mut run, _) = started(2, parallel());
    assert_eq!(result(&mut run, 0, Ok, 66), [ended(0, Ok)]);
    assert_eq!(result(&mut run, 1, Ok, 67)[1], ended(1, TimedOut), "without a tick before it");
    let (mut run, _) = started(1, parallel());
    give(&mut run, Input::Cancel, 10);
    assert_eq!(result(&mut run, 0, Ok, 17)[0], ended(0, Cancelled));
}

#[test]
fn however_late_the_tick_the_outcome_is_the_one_that_was_due_first() {
    for (cancelled_at, outcome) in [(59, Cancelled), (60, TimedOut), (61, TimedOut)] {
        let (mut run, _) = started(1, parallel());
        give(&mut run, Input::Cancel, cancelled_at);
        give(&mut run, Input::Tick, 1_000);
        assert_eq!(run.outcome(0), Some(outcome), "cancelled at {cancelled_at}");
    }
}

#[test]
fn results_of_targets_that_are_not_in_flight_change_nothing() {
    let (mut run, _) = started(3, Strategy { max_concurrency: Some(1), ..fail_fast(parallel()) });
    result(&mut run, 0, Ok, 1);
    let before = (run.counts().clone(), run.in_flight(), run.due());
    for target in [0, 2, 3, u32::MAX] {
        assert_eq!(result(&mut run, target, Error, 2), []);
    }
    assert_eq!((run.counts().clone(), run.in_flight(), run.due()), before);
    assert_eq!(run.outcome(0), Some(Ok));
    assert_eq!(result(&mut FleetRun::new(1, parallel()), 0, Ok, 0), [], "before the start");
}

#[test]
fn one_that_could_not_be_handed_over_is_no_success() {
    let (mut run, _) = started(2, fail_fast(rolling("1")));
    let actions = result(&mut run, 0, NotStarted, 1);
    assert_eq!((&actions[0], &actions[3]), (&ended(0, NotStarted), &Action::Dispatch(1..2)));
    result(&mut run, 1, Ok, 2);
    assert_eq!(run.state(), RunState::Failed);
}

#[test]
fn without_targets_it_is_over_at_once() {
    let (mut run, actions) = started(0, Strategy { gated: true, pause: at(5), ..rolling("25%") });
    assert_eq!(actions, [Action::Finished(RunState::Ok)]);
    assert_eq!((run.waves(), give(&mut run, Input::Cancel, 1)), (0, vec![]));
}

#[test]
fn while_paused_nothing_starts_neither_target_nor_wave() {
    let (mut run, _) = started(4, Strategy { max_concurrency: Some(1), pause: at(5), ..rolling("2") });
    give(&mut run, Input::Pause, 1);
    assert_eq!(result(&mut run, 0, Ok, 2), [ended(0, Ok)]);
    assert_eq!(run.due(), None);
    assert_eq!(give(&mut run, Input::Resume, 3), [Action::Dispatch(1..2)]);
    give(&mut run, Input::Pause, 4);
    assert_eq!(result(&mut run, 1, Ok, 5), [ended(1, Ok), Action::WaveEnded { wave: 1 }]);
    assert_eq!((run.due(), give(&mut run, Input::Tick, 20)), (None, vec![]));
    assert_eq!(give(&mut run, Input::Resume, 21), [wave_started(2, 2, 2), Action::Dispatch(2..3)]);

    let mut run = FleetRun::new(1, parallel());
    give(&mut run, Input::Pause, 0);
    assert_eq!(give(&mut run, Input::Start, 1), []);
    assert_eq!(give(&mut run, Input::Resume, 2), [wave_started(1, 1, 1), Action::Dispatch(0..1)]);
    give(&mut run, Input::Pause, 3);
    assert_eq!(run.due(), Some(at(69)), "what runs keeps its deadline");
}

#[test]
fn a_halt_from_outside_gives_its_reason() {
    let (mut run, _) = started(2, Strategy { gated: true, ..rolling("1") });
    let reason = || "health check failed on web-1".to_owned();
    give(&mut run, Input::Pause, 0);
    assert_eq!(give(&mut run, Input::Halt(reason()), 1), [halted(&reason()), ended(1, NotStarted)]);
    assert_eq!(give(&mut run, Input::Halt(reason()), 1), [], "said twice");
    let last = [ended(0, Ok), Action::WaveEnded { wave: 1 }, Action::Finished(RunState::Halted)];
    assert_eq!(result(&mut run, 0, Ok, 2), last);
    let mut run = FleetRun::new(1, parallel());
    assert_eq!(give(&mut run, Input::Halt(reason()), 0)[2..], [Action::Finished(RunState::Halted)]);
}

#[test]
fn a_halted_run_can_still_be_cancelled() {
    let (mut run, _) = started(2, parallel());
    give(&mut run, Input::Halt("aborted".to_owned()), 1);
    let cancel = [Action::Cancelling, Action::Cancel(0), Action::Cancel(1)];
    assert_eq!(give(&mut run, Input::Cancel, 2), cancel);
    give(&mut run, Input::Tick, 9);
    assert_eq!(run.state(), RunState::Cancelled);
}

#[test]
fn the_final_state_is_the_worst_that_happened() {
    let fast = OnError::FailFast;
    let after = OnError::Continue;
    let cases: &[(OnError, Option<Input>, &[TargetOutcome], RunState)] = &[
        (after, None, &[Ok, Ok], RunState::Ok),
        (after, None, &[Ok, Cancelled], RunState::Cancelled),
        (after, None, &[TimedOut, Cancelled], RunState::TimedOut),
        (after, None, &[TimedOut, Error], RunState::Failed),
        (after, None, &[Disconnected, TimedOut], RunState::Failed),
        (after, None, &[NotStarted, TimedOut], RunState::Failed),
        (fast, None, &[TimedOut, Ok], RunState::TimedOut),
        (fast, None, &[TimedOut, NotStarted], RunState::Halted),
        (fast, None, &[TimedOut, Error], RunState::Halted),
        (after, Some(Input::Halt(String::new())), &[Ok, Ok], RunState::Halted),
        (after, Some(Input::Halt(String::new())), &[Ok, TimedOut], RunState::TimedOut),
        (after, Some(Input::Cancel), &[Ok, Ok], RunState::Ok),
        (after, Some(Input::Cancel), &[Ok, TimedOut], RunState::Cancelled),
        (fast, Some(Input::Cancel), &[Error, Error], RunState::Cancelled),
    ];
    for (on_error, input, outcomes, state) in cases {
        let (mut run, _) = started(2, Strategy { on_error: *on_error, ..parallel() });
        if let Some(input) = input {
            give(&mut run, input.clone(), 1);
        }
        for (target, outcome) in (0..).zip(*outcomes) {
            result(&mut run, target, *outcome, 2);
        }
        assert_eq!(run.state(), *state, "{on_error} {input:?} {outcomes:?}");
    }
}

#[test]
fn after_the_end_nothing_happens() {
    let (mut run, _) = started(1, parallel());
    result(&mut run, 0, Ok, 1);
    let late = Input::Ended { target: 0, outcome: Error };
    for input in [Input::Start, Input::Cancel, Input::Tick, Input::Proceed, Input::Halt(String::new()), late]
    {
        assert_eq!(give(&mut run, input, 100), []);
    }
    assert_eq!((run.state(), run.outcome(0), run.due()), (RunState::Ok, Some(Ok), None));
}

/// With one look at all targets for each result, this would take hours.
#[test]
fn the_cost_of_a_result_does_not_grow_with_the_targets() {
    const TARGETS: u32 = 300_000;
    let began = Instant::now();
    let orders: [fn(u32) -> u32; 3] = [|n| n, |n| TARGETS - 1 - n, |n| n ^ 1];
    for (order, max_concurrency) in orders.into_iter().zip([Some(100), None, None]) {
        let (mut run, mut actions) = started(TARGETS, Strategy { max_concurrency, ..parallel() });
        for target in (0..TARGETS).map(order) {
            actions.clear();
            run.on(Input::Ended { target, outcome: Ok }, at(1), &mut actions);
            let _ = run.due();
            assert!(began.elapsed() < Duration::from_mins(1), "{target} after {:?}", began.elapsed());
        }
        assert_eq!(run.state(), RunState::Ok);
    }
}
