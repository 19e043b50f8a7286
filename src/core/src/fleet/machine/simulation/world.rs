//! Hosts that answer early, late, twice or never, and people who cancel, halt and pause at any time.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use crate::fleet::{Action, ENDING_TAKES, Input, Mode, OnError, Strategy, TargetOutcome, WaveSize};

/// `SplitMix64` (Steele, Lea, Flood 2014): small, and good enough for made-up worlds.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
    /// Evenly from the range.
    fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }
    fn number(&mut self, range: Range<u32>) -> u32 {
        u32::try_from(self.within(range.start.into()..range.end.into())).unwrap()
    }
    fn percent(&mut self, percent: u64) -> bool {
        self.within(0..100) < percent
    }
    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.within(0..choices.len() as u64)).unwrap()]
    }
    /// Up to this time, in milliseconds, so that things meet now and then.
    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.within(0..u64::try_from(most.as_millis()).unwrap() + 1))
    }
}

/// What will happen.
enum Event {
    Give(Input),
    /// A host is revoked: its stream breaks, and it gets nothing more.
    Revoke(u32),
    /// All streams break.
    Cut,
}

pub(super) struct World {
    random: Random,
    /// By time and then by order of its making.
    events: BTreeMap<(Duration, u64), Event>,
    made: u64,
    strategy: Strategy,
    /// In percent: how many answer with a failure, and how many in no proper way.
    failing: u64,
    broken: u64,
    revoked: Vec<bool>,
    in_flight: Vec<bool>,
    halts_at_gate: bool,
}

fn strategy(random: &mut Random, targets: u32) -> Strategy {
    let hosts = random.number(1..targets.max(1) + 2);
    let mode = match random.within(0..6) {
        0 | 1 => Mode::Parallel,
        2 => Mode::Sequential,
        3 => Mode::Rolling(WaveSize::Percent(random.of(&[1, 10, 25, 50, 100]))),
        4 => Mode::Rolling(WaveSize::Hosts(hosts)),
        _ => Mode::Rolling(WaveSize::Hosts(random.number(1..4))),
    };
    let max_concurrency = random.percent(50).then(|| random.number(1..targets / 4 + 3));
    let on_error =
        random.of(&[OnError::Continue, OnError::FailFast, OnError::StopAfter(2), OnError::StopAfter(5)]);
    Strategy {
        mode,
        max_concurrency,
        on_error,
        deadline: Duration::from_millis(random.of(&[0, 1, 20, 500, 5_000, 60_000])),
        pause: Duration::from_millis(random.of(&[0, 0, 1, 2_000, 30_000])),
        gated: random.percent(25),
    }
}

impl World {
    /// The world of this seed, with a run of so many targets in it.
    pub(super) fn new(seed: u64) -> (Self, u32, Strategy) {
        let mut random = Random(seed);
        let targets = match seed % 20 {
            0 => 1_000,
            1..=3 => random.number(20..120),
            _ => random.number(0..13),
        };
        let strategy = strategy(&mut random, targets);
        let mut world = Self {
            events: BTreeMap::new(),
            made: 0,
            strategy,
            failing: random.of(&[0, 0, 0, 1, 10, 60]),
            broken: random.of(&[0, 0, 1, 10, 40]),
            revoked: vec![false; targets as usize],
            in_flight: vec![false; targets as usize],
            halts_at_gate: random.percent(20),
            random,
        };
        world.plan(targets);
        (world, targets, strategy)
    }

    fn plan(&mut self, targets: u32) {
        let span = self.strategy.deadline * 2 + self.strategy.pause * 2 + Duration::from_secs(3);
        let start = self.random.up_to(Duration::from_millis(10));
        self.give(start, Input::Start);
        for (percent, input) in
            [(25, Input::Cancel), (3, Input::Cancel), (15, Input::Halt("aborted".to_owned()))]
        {
            if self.random.percent(percent) {
                let at = self.random.up_to(span);
                self.give(at, input);
            }
        }
        while self.random.percent(30) {
            let at = self.random.up_to(span);
            self.give(at, Input::Pause);
            let at = at + self.random.up_to(span);
            self.give(at, Input::Resume);
        }
        while self.random.percent(30) {
            let at = self.random.up_to(span);
            let host = self.random.number(0..targets + 1);
            self.put(at, Event::Revoke(host));
        }
        if self.random.percent(5) {
            let at = self.random.up_to(span);
            self.put(at, Event::Cut);
        }
        while self.random.percent(70) {
            let at = self.random.up_to(span);
            let target = self.random.number(0..targets + 2);
            let outcome = self.random.of(TargetOutcome::ALL);
            let stray = [Input::Tick, Input::Proceed, Input::Start, Input::Ended { target, outcome }];
            let which = self.random.of(&[0, 1, 2, 3, 3, 3]);
            self.give(at, stray[which].clone());
        }
    }

    fn put(&mut self, at: Duration, event: Event) {
        self.made += 1;
        self.events.insert((at, self.made), event);
    }

    fn give(&mut self, at: Duration, input: Input) {
        self.put(at, Event::Give(input));
    }

    fn answer(&mut self, at: Duration, target: u32, outcome: TargetOutcome) {
        self.give(at, Input::Ended { target, outcome });
    }

    /// When something happens next.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// What happens next; some of it tells the dispatcher nothing, or something more a moment later.
    pub(super) fn next(&mut self) -> (Duration, Option<Input>) {
        let Some(((at, _), event)) = self.events.pop_first() else { return (Duration::ZERO, None) };
        let cut: Vec<u32> = match event {
            Event::Give(input) => return (at, Some(input)),
            Event::Revoke(host) => {
                self.revoked.iter_mut().skip(host as usize).take(1).for_each(|revoked| *revoked = true);
                vec![host]
            }
            Event::Cut => (0..).take(self.in_flight.len()).collect(),
        };
        for host in cut {
            if self.in_flight.get(host as usize) == Some(&true) {
                self.answer(at, host, TargetOutcome::Disconnected);
            }
        }
        (at, None)
    }

    /// The hosts, and who watches over the gates, react.
    pub(super) fn act(&mut self, now: Duration, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Dispatch(started) => started.clone().for_each(|target| self.host_gets(now, target)),
                Action::Cancel(target) => self.host_is_told_to_end(now, *target),
                Action::Ended { target, .. } => self.in_flight[*target as usize] = false,
                Action::WaveEnded { .. } if self.strategy.gated => {
                    let at = now + self.random.up_to(Duration::from_mins(1));
                    let halts = self.halts_at_gate && self.random.percent(20);
                    let word = if halts { Input::Halt("unhealthy".to_owned()) } else { Input::Proceed };
                    self.give(at, word);
                }
                _ => {}
            }
        }
    }

    fn host_gets(&mut self, now: Duration, target: u32) {
        self.in_flight[target as usize] = true;
        let deadline = self.strategy.deadline;
        if self.revoked[target as usize] {
            return self.answer(now, target, TargetOutcome::Disconnected);
        }
        let outcome =
            if self.random.percent(self.failing) { TargetOutcome::Error } else { TargetOutcome::Ok };
        let at = now + self.random.up_to(deadline.min(Duration::from_secs(3)));
        if !self.random.percent(self.broken) {
            return self.answer(at, target, outcome);
        }
        match self.random.within(0..6) {
            // It is lost, or it never comes.
            0 => {}
            1 => {
                let late = self.random.up_to(ENDING_TAKES * 3);
                self.answer(now + deadline + late, target, outcome);
            }
            2 => {
                let (again, second) = (self.random.up_to(deadline), self.random.of(TargetOutcome::ALL));
                self.answer(at, target, outcome);
                self.answer(at + again, target, second);
            }
            3 => self.answer(now, target, TargetOutcome::NotStarted),
            4 => self.answer(at, target, TargetOutcome::Disconnected),
            _ => {
                let ending = self.random.up_to(ENDING_TAKES);
                self.answer(now + deadline + ending, target, TargetOutcome::TimedOut);
            }
        }
    }

    fn host_is_told_to_end(&mut self, now: Duration, target: u32) {
        let at = now + self.random.up_to(ENDING_TAKES + Duration::from_secs(2));
        match self.random.within(0..4) {
            0 => {}
            1 => self.answer(at, target, TargetOutcome::Ok),
            _ => self.answer(at, target, TargetOutcome::Cancelled),
        }
    }
}
