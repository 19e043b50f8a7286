//! The life of an instance, case by case.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fresh() -> Instance {
    Instance::new(Rules::default(), Cause::New, at(0))
}

fn ask(instance: &mut Instance, waiter: Waiter, ask: Ask, now: u64) -> Vec<Step> {
    instance.on(Input::Asked { waiter, ask }, at(now))
}

fn granted(waiter: Waiter) -> Step {
    Step::Answer { waiter, answer: Ok(()) }
}

fn refused(waiter: Waiter, unmet: Unmet) -> Step {
    Step::Answer { waiter, answer: Err(unmet) }
}

fn running() -> Instance {
    let mut instance = fresh();
    assert_eq!(ask(&mut instance, 1, Ask::Start, 0), [Step::Boot(1)]);
    assert_eq!(instance.on(Input::Booted { boot: 1 }, at(2)), [granted(1)]);
    instance
}

const CONNECTION: Ask = Ask::Use(Use::Connection);
const EXEC: Ask = Ask::Use(Use::Exec);

#[test]
fn idle_it_is_paused_after_a_minute_and_stopped_twenty_minutes_later() {
    let mut instance = running();
    assert_eq!(instance.deadline(), Some(at(62)));
    assert_eq!(instance.on(Input::Tick, at(61)), []);
    assert_eq!(instance.on(Input::Tick, at(62)), [Step::Pause]);
    assert_eq!(instance.deadline(), Some(at(62 + 1200)));
    assert_eq!(instance.on(Input::Tick, at(62 + 1200)), [Step::Resume, Step::ShutDown(1)]);
    let ended = Input::Ended { boot: 1, cause: Cause::Died { reason: "gone".into() } };
    assert_eq!(instance.on(ended, at(1263)), [Step::EndExecs]);
    assert_eq!(instance.cause(), Some(&Cause::Idle), "the reason for the stop stays");
    assert_eq!(instance.deadline(), None);
}

#[test]
fn where_the_backend_cannot_pause_it_runs_until_it_is_stopped() {
    let rules = Rules { can_pause: false, ..Rules::default() };
    let mut instance = Instance::new(rules, Cause::New, at(0));
    ask(&mut instance, 1, Ask::Start, 0);
    instance.on(Input::Booted { boot: 1 }, at(0));
    assert_eq!(ask(&mut instance, 2, Ask::Pause, 1), [refused(2, Unmet::CannotPause)]);
    assert_eq!(instance.on(Input::Tick, at(1259)), []);
    assert_eq!(instance.on(Input::Tick, at(1260)), [Step::ShutDown(1)]);
}

#[test]
fn what_uses_it_keeps_it_awake() {
    for keep in [CONNECTION, EXEC] {
        let mut instance = running();
        assert_eq!(ask(&mut instance, 2, keep, 3), [granted(2)]);
        assert_eq!(instance.deadline(), None);
        assert_eq!(instance.on(Input::Tick, at(9000)), []);
        let Ask::Use(lease) = keep else { panic!() };
        instance.on(Input::Released(lease), at(9000));
        assert_eq!(instance.deadline(), Some(at(9060)));
    }
    let mut instance = running();
    instance.on(Input::FollowerAttached, at(3));
    assert_eq!(instance.on(Input::Tick, at(9000)), []);
    instance.on(Input::FollowerLeft, at(9000));
    assert_eq!(instance.on(Input::Active, at(9030)), []);
    assert_eq!(instance.deadline(), Some(at(9090)));
}

#[test]
fn a_request_wakes_it_and_two_wake_it_once() {
    let mut instance = running();
    instance.on(Input::Tick, at(62));
    assert_eq!(instance.state(), State::Paused);
    assert_eq!(ask(&mut instance, 2, CONNECTION, 70), [Step::Resume, granted(2)]);
    assert_eq!(ask(&mut instance, 3, CONNECTION, 70), [granted(3)]);
    assert_eq!(instance.connections(), 2);
}

#[test]
fn a_request_boots_what_was_stopped_for_want_of_requests_and_nothing_else() {
    for (cause, woken) in [
        (Cause::Idle, true),
        (Cause::Daemon, true),
        (Cause::Asked, false),
        (Cause::Exited { code: 0, early: false }, false),
        (Cause::BootFailed { reason: String::new() }, false),
    ] {
        let mut instance = Instance::new(Rules::default(), cause.clone(), at(0));
        let wanted =
            if woken { vec![Step::Boot(1)] } else { vec![refused(2, Unmet::Stopped(cause.clone()))] };
        assert_eq!(ask(&mut instance, 2, CONNECTION, 1), wanted, "{cause:?}");
        let mut instance = Instance::new(Rules::default(), cause.clone(), at(0));
        let refusal = refused(2, Unmet::Stopped(cause));
        assert_eq!(ask(&mut instance, 2, EXEC, 1), [refusal], "an exec never boots");
    }
}

#[test]
fn a_request_waits_thirty_seconds_and_the_boot_goes_on() {
    let mut instance = Instance::new(Rules::default(), Cause::Idle, at(0));
    assert_eq!(ask(&mut instance, 2, CONNECTION, 0), [Step::Boot(1)]);
    assert_eq!(ask(&mut instance, 3, CONNECTION, 5), [], "the same boot");
    assert_eq!(ask(&mut instance, 4, EXEC, 5), [], "an exec waits as long as the boot takes");
    assert_eq!(instance.on(Input::Gone { waiter: 3 }, at(6)), [], "nobody is told who isn't there");
    assert_eq!(instance.deadline(), Some(at(30)));
    assert_eq!(instance.on(Input::Tick, at(30)), [refused(2, Unmet::TimedOut)]);
    assert_eq!(instance.on(Input::Booted { boot: 1 }, at(40)), [granted(4)]);
}

#[test]
fn a_failed_boot_tells_everybody_why() {
    let mut instance = fresh();
    ask(&mut instance, 1, Ask::Start, 0);
    ask(&mut instance, 2, EXEC, 0);
    let cause = Cause::BootFailed { reason: "no kernel".into() };
    let steps = instance.on(Input::Ended { boot: 1, cause: cause.clone() }, at(1));
    let unmet = Unmet::Stopped(cause.clone());
    assert_eq!(steps, [Step::EndExecs, refused(1, unmet.clone()), refused(2, unmet)]);
    assert_eq!(instance.cause(), Some(&cause));
    assert_eq!(ask(&mut instance, 3, Ask::Start, 2), [Step::Boot(2)], "it may be tried again");
    let late = Input::Ended { boot: 1, cause };
    assert_eq!(instance.on(late, at(3)), [], "what is said of the boot before is of no interest");
}

#[test]
fn its_process_ends_it_and_the_code_is_kept() {
    let mut instance = running();
    assert_eq!(instance.on(Input::Exited { boot: 1, code: 42 }, at(5)), [Step::ShutDown(1)]);
    assert_eq!(ask(&mut instance, 2, EXEC, 5).len(), 1, "refused at once");
    instance.on(Input::Ended { boot: 1, cause: Cause::Asked }, at(6));
    assert_eq!(instance.cause(), Some(&Cause::Exited { code: 42, early: false }));
    let mut instance = fresh();
    ask(&mut instance, 1, Ask::Start, 0);
    let early = Cause::Exited { code: 3, early: true };
    let steps = instance.on(Input::Exited { boot: 1, code: 3 }, at(1));
    assert_eq!(steps, [refused(1, Unmet::Stopped(early.clone())), Step::ShutDown(1)]);
    instance.on(Input::Ended { boot: 1, cause: Cause::Asked }, at(2));
    assert_eq!(instance.cause(), Some(&early));
}

#[test]
fn a_machine_that_was_killed_stops_it() {
    let mut instance = running();
    assert_eq!(ask(&mut instance, 2, EXEC, 3), [granted(2)]);
    let cause = Cause::Died { reason: "killed by signal 9".into() };
    assert_eq!(instance.on(Input::Ended { boot: 1, cause: cause.clone() }, at(4)), [Step::EndExecs]);
    assert_eq!((instance.state(), instance.cause()), (State::Stopped, Some(&cause)));
}

#[test]
fn delete_ends_a_boot_and_start_during_a_stop_boots_again() {
    let mut instance = fresh();
    ask(&mut instance, 1, Ask::Start, 0);
    let steps = ask(&mut instance, 2, Ask::Delete, 1);
    assert_eq!(steps, [refused(1, Unmet::Stopped(Cause::Asked)), Step::Kill(1)]);
    let steps = instance.on(Input::Ended { boot: 1, cause: Cause::Asked }, at(2));
    assert_eq!(steps, [Step::EndExecs, Step::Remove, granted(2)]);
    assert_eq!(ask(&mut instance, 3, Ask::Start, 3), [refused(3, Unmet::Removed)]);
    assert_eq!(ask(&mut instance, 4, Ask::Delete, 3), [granted(4)]);

    let mut instance = running();
    assert_eq!(ask(&mut instance, 2, Ask::Stop, 3), [Step::ShutDown(1)]);
    assert_eq!(ask(&mut instance, 3, Ask::Start, 4), []);
    let steps = instance.on(Input::Ended { boot: 1, cause: Cause::Asked }, at(5));
    assert_eq!(steps, [Step::EndExecs, granted(2), Step::Boot(2)]);
    assert_eq!(instance.on(Input::Booted { boot: 2 }, at(6)), [granted(3)]);
}

#[test]
fn a_pause_by_hand_is_refused_under_an_exec_and_a_follower_does_not_wake() {
    let mut instance = running();
    ask(&mut instance, 2, EXEC, 3);
    assert_eq!(ask(&mut instance, 3, Ask::Pause, 3), [refused(3, Unmet::InUse)]);
    instance.on(Input::Released(Use::Exec), at(4));
    assert_eq!(ask(&mut instance, 4, Ask::Pause, 5), [Step::Pause, granted(4)]);
    assert_eq!(instance.on(Input::FollowerAttached, at(6)), []);
    assert_eq!(instance.state(), State::Paused);
    assert_eq!(instance.deadline(), None, "it isn't stopped under its follower");
    assert_eq!(ask(&mut instance, 5, Ask::Resume, 7), [Step::Resume, granted(5)]);
}
