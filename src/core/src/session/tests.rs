//! The daemon's side, driven with made-up time.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::exit::ExitCode;

/// The random number that gives no jitter.
const MIDDLE: u64 = 200;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn wait(seconds: u64) -> Action {
    Action::Wait(at(seconds))
}

/// A daemon that connected at `now`.
fn live(now: Duration) -> Daemon {
    let mut daemon = Daemon::new(now);
    assert_eq!(daemon.on(Input::Tick, now, MIDDLE), [Action::Dial, wait(30)]);
    assert_eq!(daemon.on(Input::Connected, now, MIDDLE), [Action::SendHello, wait(30)]);
    assert_eq!(daemon.state(), DaemonState::Live);
    daemon
}

#[test]
fn it_dials_says_hello_and_beats() {
    let mut daemon = live(at(0));
    assert_eq!(daemon.on(Input::Tick, at(29), MIDDLE), [wait(1)]);
    assert_eq!(daemon.on(Input::Tick, at(30), MIDDLE), [Action::SendHeartbeat, wait(30)]);
}

#[test]
fn it_waits_longer_after_each_failure() {
    let mut daemon = Daemon::new(at(0));
    let mut now = at(0);
    for seconds in [1, 2, 5, 15, 60, 60] {
        assert_eq!(daemon.on(Input::Tick, now, MIDDLE), [Action::Dial, wait(30)]);
        assert_eq!(daemon.on(Input::DialFailed, now, MIDDLE), [wait(seconds)]);
        assert_eq!(daemon.state(), DaemonState::Disconnected);
        now += at(seconds);
    }
}

#[test]
fn a_dial_that_hangs_is_given_up() {
    let mut daemon = Daemon::new(at(0));
    daemon.on(Input::Tick, at(0), MIDDLE);
    assert_eq!(daemon.on(Input::Tick, at(30), MIDDLE), [Action::Hangup, wait(1)]);
    assert_eq!(daemon.on(Input::Connected, at(30), MIDDLE), [Action::Hangup, wait(1)], "it comes too late");
}

#[test]
fn a_refused_node_does_not_try_again() {
    for refused in [Refused::Revoked, Refused::Unauthorized] {
        for mut daemon in [Daemon::new(at(0)), live(at(0))] {
            let exit = Exit::Refused(refused);
            assert_eq!(daemon.on(Input::Refused(refused), at(1), MIDDLE), [Action::Exit(exit)]);
            assert_eq!(exit.code(), ExitCode::Unauthorized);
            assert_eq!(daemon.on(Input::Tick, at(99), MIDDLE), []);
            assert_eq!(daemon.state(), DaemonState::Stopped);
        }
    }
}

#[test]
fn draining_refuses_new_work_until_it_is_turned_off() {
    let mut daemon = live(at(0));
    assert_eq!(daemon.on(Input::Work, at(1), MIDDLE), [Action::StartWork, wait(29)]);
    daemon.on(Input::Drain(true), at(2), MIDDLE);
    assert_eq!(daemon.state(), DaemonState::Draining);
    assert_eq!(daemon.on(Input::Work, at(3), MIDDLE), [Action::RefuseWork, wait(27)]);
    assert_eq!(daemon.on(Input::WorkEnded, at(4), MIDDLE), [wait(26)], "draining doesn't end the daemon");
    daemon.on(Input::Drain(false), at(5), MIDDLE);
    assert_eq!(daemon.on(Input::Work, at(6), MIDDLE), [Action::StartWork, wait(24)]);
}

#[test]
fn shutdown_waits_for_running_work_and_exits_zero() {
    let mut daemon = live(at(0));
    daemon.on(Input::Work, at(1), MIDDLE);
    assert_eq!(daemon.on(Input::Shutdown, at(2), MIDDLE), [wait(28)]);
    assert_eq!(daemon.state(), DaemonState::Stopping);
    assert_eq!(daemon.on(Input::Work, at(3), MIDDLE), [Action::RefuseWork, wait(27)]);
    assert_eq!(daemon.on(Input::Tick, at(30), MIDDLE), [Action::SendHeartbeat, wait(30)]);
    assert_eq!(daemon.on(Input::WorkEnded, at(31), MIDDLE), [Action::Exit(Exit::Shutdown)]);
    assert_eq!(Exit::Shutdown.code(), ExitCode::Success);
}

#[test]
fn shutdown_without_work_or_said_twice_ends_at_once() {
    for mut daemon in [Daemon::new(at(0)), live(at(0))] {
        assert_eq!(daemon.on(Input::Shutdown, at(1), MIDDLE), [Action::Exit(Exit::Shutdown)]);
    }
    let mut dialing = Daemon::new(at(0));
    dialing.on(Input::Tick, at(0), MIDDLE);
    assert_eq!(dialing.on(Input::Shutdown, at(1), MIDDLE), [Action::Hangup, Action::Exit(Exit::Shutdown)]);
    let mut busy = live(at(0));
    busy.on(Input::Work, at(1), MIDDLE);
    busy.on(Input::Shutdown, at(2), MIDDLE);
    assert_eq!(busy.on(Input::Shutdown, at(3), MIDDLE), [Action::Exit(Exit::Shutdown)]);
}

#[test]
fn a_stream_that_breaks_while_stopping_is_not_replaced() {
    let mut daemon = live(at(0));
    daemon.on(Input::Work, at(1), MIDDLE);
    daemon.on(Input::Shutdown, at(2), MIDDLE);
    assert_eq!(daemon.on(Input::StreamEnded, at(3), MIDDLE), []);
    assert_eq!(daemon.on(Input::Tick, at(100), MIDDLE), []);
    assert_eq!(daemon.on(Input::WorkEnded, at(101), MIDDLE), [Action::Exit(Exit::Shutdown)]);
}

#[test]
fn a_redial_is_at_once_and_no_failure() {
    let mut daemon = live(at(0));
    for second in 1..6 {
        let now = at(second);
        assert_eq!(daemon.on(Input::Redial, now, MIDDLE), [Action::Hangup, Action::Dial, wait(30)]);
        assert_eq!(daemon.on(Input::Connected, now, MIDDLE), [Action::SendHello, wait(30)]);
    }
    assert_eq!(daemon.on(Input::StreamEnded, at(6), MIDDLE), [wait(1)], "the first failure");
}

#[test]
fn a_redial_ends_a_wait_and_forgets_no_failure() {
    let mut daemon = Daemon::new(at(0));
    for (now, waits) in [(0, 1), (1, 2), (3, 5)] {
        daemon.on(Input::Tick, at(now), MIDDLE);
        assert_eq!(daemon.on(Input::DialFailed, at(now), MIDDLE), [wait(waits)]);
    }
    assert_eq!(daemon.on(Input::Redial, at(4), MIDDLE), [Action::Dial, wait(30)]);
    assert_eq!(daemon.on(Input::Redial, at(5), MIDDLE), [wait(29)], "the attempt goes on");
    assert_eq!(daemon.on(Input::DialFailed, at(5), MIDDLE), [wait(15)]);
}

#[test]
fn a_stream_that_lived_for_a_minute_resets_the_waits_when_it_is_replaced() {
    for (lived, waits) in [(59, 2), (60, 1)] {
        let mut daemon = Daemon::new(at(0));
        daemon.on(Input::Tick, at(0), MIDDLE);
        daemon.on(Input::DialFailed, at(0), MIDDLE);
        daemon.on(Input::Tick, at(1), MIDDLE);
        daemon.on(Input::Connected, at(1), MIDDLE);
        daemon.on(Input::Redial, at(1 + lived), MIDDLE);
        assert_eq!(daemon.on(Input::DialFailed, at(1 + lived), MIDDLE), [wait(waits)]);
    }
}

#[test]
fn a_daemon_that_stops_hangs_up_and_does_not_redial() {
    let mut daemon = live(at(0));
    daemon.on(Input::Work, at(1), MIDDLE);
    daemon.on(Input::Shutdown, at(2), MIDDLE);
    assert_eq!(daemon.on(Input::Redial, at(3), MIDDLE), [Action::Hangup]);
    assert_eq!(daemon.on(Input::Redial, at(4), MIDDLE), []);
    assert_eq!(daemon.on(Input::WorkEnded, at(5), MIDDLE), [Action::Exit(Exit::Shutdown)]);
}

/// What the world does next, once the daemon has been obeyed.
fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        8 => Just(Input::Tick),
        6 => Just(Input::Connected),
        3 => Just(Input::DialFailed),
        3 => Just(Input::StreamEnded),
        2 => Just(Input::Redial),
        3 => Just(Input::Work),
        3 => Just(Input::WorkEnded),
        1 => any::<bool>().prop_map(Input::Drain),
        1 => Just(Input::Shutdown),
    ]
}

/// The world around a daemon: does what it is told, and checks the laws while it does.
struct World {
    daemon: Daemon,
    now: Duration,
    wake: Option<Duration>,
    dialing: bool,
    up_since: Option<Duration>,
    last_beat: Duration,
    /// How many times in a row the daemon had to wait, to know which wait is right.
    failures: usize,
    running: usize,
    stopping: bool,
    exited: bool,
}

impl World {
    fn new() -> Self {
        let now = at(1000);
        Self {
            daemon: Daemon::new(now),
            now,
            wake: Some(now),
            dialing: false,
            up_since: None,
            last_beat: now,
            failures: 0,
            running: 0,
            stopping: false,
            exited: false,
        }
    }

    /// Lets time pass, waking the daemon whenever it asked for it, and then gives it the input if it is possible now.
    fn step(&mut self, pause: Duration, input: Input, random: u64) -> Result<(), TestCaseError> {
        let until = self.now + pause;
        while let Some(wake) = self.wake.filter(|wake| *wake <= until && !self.exited) {
            self.now = wake;
            self.give(Input::Tick, random)?;
        }
        self.now = until;
        let possible = match input {
            Input::Connected | Input::DialFailed => self.dialing,
            Input::StreamEnded | Input::Work | Input::Drain(_) => self.up_since.is_some(),
            Input::WorkEnded => self.running > 0,
            Input::Tick | Input::Redial | Input::Shutdown | Input::Refused(_) => true,
        };
        if possible && !self.exited { self.give(input, random) } else { Ok(()) }
    }

    fn give(&mut self, input: Input, random: u64) -> Result<(), TestCaseError> {
        match input {
            Input::Connected => {
                self.dialing = false;
                self.up_since = Some(self.now);
                self.last_beat = self.now;
            }
            Input::DialFailed => {
                self.dialing = false;
                self.failures += 1;
            }
            Input::StreamEnded => {
                self.end_stream();
                self.failures += 1;
            }
            Input::WorkEnded => self.running -= 1,
            Input::Shutdown => self.stopping = true,
            Input::Tick | Input::Redial | Input::Work | Input::Drain(_) | Input::Refused(_) => {}
        }
        self.wake = None;
        let actions = self.daemon.on(input, self.now, random);
        for action in &actions {
            self.obey(*action)?;
        }
        if input == Input::Redial && !self.stopping {
            prop_assert!(self.dialing && self.up_since.is_none(), "a redial is at once");
        }
        if self.up_since.is_some() && !self.exited {
            prop_assert!(
                self.now.saturating_sub(self.last_beat) <= HEARTBEAT_EVERY,
                "a heartbeat is overdue"
            );
            prop_assert!(
                self.wake.is_some_and(|wake| wake.saturating_sub(self.last_beat) <= HEARTBEAT_EVERY),
                "it will be"
            );
        }
        if !self.stopping && !self.exited {
            prop_assert!(self.wake.is_some(), "a daemon that isn't told to stop goes on");
        }
        prop_assert_eq!(self.exited, self.stopping && (self.running == 0 || self.exited));
        Ok(())
    }

    /// A stream that lived for a minute makes up for the failures before it.
    fn end_stream(&mut self) {
        let lived = self.up_since.take().map_or(Duration::ZERO, |since| self.now.saturating_sub(since));
        if lived >= at(60) {
            self.failures = 0;
        }
    }

    fn obey(&mut self, action: Action) -> Result<(), TestCaseError> {
        prop_assert!(!self.exited, "nothing follows an exit");
        match action {
            Action::Dial => {
                prop_assert!(!self.dialing && self.up_since.is_none() && !self.stopping);
                self.dialing = true;
            }
            Action::Hangup if self.up_since.is_some() => self.end_stream(),
            Action::Hangup => {
                prop_assert!(self.dialing);
                self.dialing = false;
                self.failures += 1;
            }
            Action::SendHello => prop_assert!(self.up_since == Some(self.now)),
            Action::SendHeartbeat => {
                prop_assert!(self.up_since.is_some());
                self.last_beat = self.now;
            }
            Action::StartWork => {
                prop_assert!(self.daemon.state() == DaemonState::Live);
                self.running += 1;
            }
            Action::RefuseWork => {
                prop_assert!(matches!(self.daemon.state(), DaemonState::Draining | DaemonState::Stopping));
            }
            Action::Wait(pause) => {
                self.wake = Some(self.now + pause);
                prop_assert!(self.daemon.state() != DaemonState::Disconnected || self.failures > 0);
                if self.daemon.state() == DaemonState::Disconnected {
                    let base = [1, 2, 5, 15, 60][(self.failures - 1).min(4)];
                    prop_assert!(pause <= at(base).mul_f64(1.2), "the wait after {} failures", self.failures);
                }
            }
            Action::Exit(exit) => {
                prop_assert_eq!(exit, Exit::Shutdown);
                self.exited = true;
            }
        }
        Ok(())
    }
}

proptest! {
    /// Never two dials or one beside a stream, never a late heartbeat, never work while draining, the right waits,
    /// an end exactly when it was told to and nothing runs.
    #[test]
    fn the_laws_hold_whatever_happens(steps in prop::collection::vec((0_u64..100_000, any_input(), any::<u64>()), 0..80)) {
        let mut world = World::new();
        for (pause, input, random) in steps {
            world.step(Duration::from_millis(pause), input, random)?;
        }
    }

    /// The wait after a stream's end is the first one again only if it lived for a minute.
    #[test]
    fn a_minute_of_life_resets_the_waits(failures in 1_usize..6, lived in 0_u64..120) {
        let mut daemon = Daemon::new(at(0));
        let mut now = at(0);
        for _ in 0..failures {
            daemon.on(Input::Tick, now, MIDDLE);
            daemon.on(Input::DialFailed, now, MIDDLE);
            now += at(60);
        }
        daemon.on(Input::Tick, now, MIDDLE);
        daemon.on(Input::Connected, now, MIDDLE);
        now += at(lived);
        let actions = daemon.on(Input::StreamEnded, now, MIDDLE);
        let expected = if lived >= 60 { 1 } else { [1, 2, 5, 15, 60][failures.min(4)] };
        prop_assert_eq!(actions.last(), Some(&wait(expected)));
    }

    /// Not even impossible inputs make two dials of one.
    #[test]
    fn confused_inputs_never_cause_a_second_dial(inputs in prop::collection::vec((0_u64..70, any_input()), 0..60)) {
        let mut daemon = Daemon::new(at(0));
        let (mut now, mut open) = (at(0), false);
        for (pause, input) in inputs {
            now += at(pause);
            let before = daemon.state();
            let closes = matches!(
                (input, before),
                (Input::DialFailed, DaemonState::Dialing)
                    | (Input::StreamEnded, DaemonState::Live | DaemonState::Draining)
            );
            open &= !closes;
            for action in daemon.on(input, now, MIDDLE) {
                match action {
                    Action::Dial => {
                        prop_assert!(!open);
                        open = true;
                    }
                    Action::Hangup => open = false,
                    _ => {}
                }
            }
        }
    }
}
