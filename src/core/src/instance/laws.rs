//! What holds for an instance whatever happens, in whatever order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Event {
    Ask(Ask),
    Gone(u64),
    Release(bool),
    Follow,
    Leave,
    Active,
    BootDone,
    BootFails,
    Exits,
    Dies,
    Ends,
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let ask = prop::sample::select(vec![
        Ask::Use(Use::Connection),
        Ask::Use(Use::Exec),
        Ask::Start,
        Ask::Resume,
        Ask::Pause,
        Ask::Stop,
        Ask::StopForDaemon,
        Ask::Delete,
    ]);
    prop_oneof![
        6 => ask.prop_map(Event::Ask),
        1 => (0_u64..20).prop_map(Event::Gone),
        3 => any::<bool>().prop_map(Event::Release),
        1 => Just(Event::Follow),
        1 => Just(Event::Leave),
        1 => Just(Event::Active),
        4 => Just(Event::BootDone),
        1 => Just(Event::BootFails),
        1 => Just(Event::Exits),
        1 => Just(Event::Dies),
        4 => Just(Event::Ends),
        3 => (0_u64..1300).prop_map(Event::Wait),
    ]
}

/// A host that does what it is told, and counts.
#[derive(Default)]
struct Host {
    machine: Option<Boot>,
    frozen: bool,
    ending: bool,
    open: BTreeSet<Waiter>,
    /// What was granted: connections and execs.
    granted: [u64; 2],
    followers: u64,
    asked: Vec<(Waiter, Ask)>,
    removed: bool,
}

impl Host {
    fn do_all(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Boot(boot) => {
                    assert!(self.machine.is_none(), "a second machine");
                    assert!(!self.removed, "a machine for what is removed");
                    (self.machine, self.frozen, self.ending) = (Some(boot), false, false);
                }
                Step::Pause => {
                    assert!(self.machine.is_some() && !self.frozen && self.granted[1] == 0, "a frozen exec");
                    self.frozen = true;
                }
                Step::Resume => {
                    assert!(self.machine.is_some() && self.frozen);
                    self.frozen = false;
                }
                Step::ShutDown(boot) | Step::Kill(boot) => {
                    assert!(self.machine == Some(boot) && !self.ending && !self.frozen);
                    self.ending = true;
                }
                Step::EndExecs => self.frozen = false,
                Step::Answer { waiter, answer } => {
                    assert!(self.open.remove(&waiter), "{waiter} was answered twice, or never asked");
                    let ask = self.asked.iter().find(|(asked, _)| *asked == waiter).map(|(_, ask)| *ask);
                    if let (Ok(()), Some(Ask::Use(lease))) = (answer, ask) {
                        assert!(
                            self.machine.is_some() && !self.frozen && !self.ending,
                            "granted a dead machine"
                        );
                        self.granted[usize::from(lease == Use::Exec)] += 1;
                    }
                }
                Step::Remove => {
                    assert!(self.machine.is_none(), "a machine is orphaned");
                    self.removed = true;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Never two machines, everybody is answered once, what is used isn't frozen, and in the end nothing is left.
    #[test]
    fn laws(events in prop::collection::vec(event(), 1..80), can_pause in any::<bool>()) {
        let rules = Rules { can_pause, ..Rules::default() };
        let mut instance = Instance::new(rules, Cause::New, Duration::ZERO);
        let (mut host, mut now, mut next) = (Host::default(), 0_u64, 0_u64);
        let died = Cause::Died { reason: String::new() };
        for event in events {
            let boot = host.machine.unwrap_or(0);
            let input = match event {
                Event::Ask(ask) => {
                    next += 1;
                    host.open.insert(next);
                    host.asked.push((next, ask));
                    Input::Asked { waiter: next, ask }
                }
                Event::Gone(waiter) => {
                    host.open.remove(&waiter);
                    Input::Gone { waiter }
                }
                Event::Release(exec) if host.granted[usize::from(exec)] > 0 => {
                    host.granted[usize::from(exec)] -= 1;
                    Input::Released(if exec { Use::Exec } else { Use::Connection })
                }
                Event::Follow => {
                    host.followers += 1;
                    Input::FollowerAttached
                }
                Event::Leave if host.followers > 0 => {
                    host.followers -= 1;
                    Input::FollowerLeft
                }
                Event::Active => Input::Active,
                Event::BootDone => Input::Booted { boot },
                Event::Exits => Input::Exited { boot, code: 1 },
                Event::BootFails | Event::Dies => {
                    host.machine = None;
                    Input::Ended { boot, cause: died.clone() }
                }
                Event::Ends if host.ending => {
                    host.machine = None;
                    Input::Ended { boot, cause: died.clone() }
                }
                Event::Wait(seconds) => {
                    now += seconds;
                    Input::Tick
                }
                _ => Input::Tick,
            };
            let steps = instance.on(input, Duration::from_secs(now));
            host.do_all(steps);
            prop_assert_eq!(instance.has_machine(), host.machine.is_some());
            prop_assert_eq!(instance.connections(), host.granted[0]);
            if let Some(deadline) = instance.deadline() {
                prop_assert!(deadline > Duration::from_secs(now), "a deadline in the past");
            }
        }
        // Whatever was going on: asked to go, it goes, and nobody waits any more.
        next += 1;
        host.open.insert(next);
        host.asked.push((next, Ask::Delete));
        let steps = instance.on(Input::Asked { waiter: next, ask: Ask::Delete }, Duration::from_secs(now));
        host.do_all(steps);
        for _ in 0..3 {
            if let Some(boot) = host.machine.take() {
                let steps = instance.on(Input::Ended { boot, cause: died.clone() }, Duration::from_secs(now));
                host.do_all(steps);
            }
        }
        prop_assert!(host.removed && instance.is_removed() && host.open.is_empty(), "{:?}", host.open);
    }
}
