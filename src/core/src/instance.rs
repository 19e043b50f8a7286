//! The life of an instance as a state machine (3-runtime.md, "Instances"): starting → running ⇄ paused → stopped.
//!
//! It is told what happened and when, and says what to do. It boots never twice at once, answers everybody who asks
//! exactly once, and forgets nobody. Times are monotonic, since any fixed point.

use std::time::Duration;

#[cfg(test)]
mod laws;
mod rules;
#[cfg(test)]
mod tests;

pub use rules::{Ask, Cause, Input, Rules, State, Step, Unmet, Use};

/// The number of a boot: what is said of an older one is of no interest any more.
pub type Boot = u64;
/// Somebody who asked and gets one answer. Whoever asks chooses the number, and each once.
pub type Waiter = u64;

/// Somebody who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiting {
    waiter: Waiter,
    ask: Ask,
    /// When it is told that it takes too long.
    until: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The machine is being made.
    Starting,
    Running,
    Paused {
        since: Duration,
    },
    /// The machine is being ended; it is there until [`Input::Ended`].
    Stopping {
        cause: Cause,
    },
    Stopped {
        cause: Cause,
    },
    Removed,
}

/// One instance.
#[derive(Debug, Clone)]
pub struct Instance {
    rules: Rules,
    phase: Phase,
    boot: Boot,
    connections: u64,
    execs: u64,
    followers: u64,
    /// When it was last used.
    active_at: Duration,
    waiting: Vec<Waiting>,
}

impl Instance {
    /// One without a machine, stopped for `cause`.
    pub fn new(rules: Rules, cause: Cause, now: Duration) -> Self {
        Self {
            rules,
            phase: Phase::Stopped { cause },
            boot: 0,
            connections: 0,
            execs: 0,
            followers: 0,
            active_at: now,
            waiting: Vec::new(),
        }
    }

    /// Where it stands, for people. One that is being stopped still runs.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Starting => State::Starting,
            Phase::Running | Phase::Stopping { .. } => State::Running,
            Phase::Paused { .. } => State::Paused,
            Phase::Stopped { .. } | Phase::Removed => State::Stopped,
        }
    }

    /// Why it is stopped or being stopped.
    pub fn cause(&self) -> Option<&Cause> {
        match &self.phase {
            Phase::Stopping { cause } | Phase::Stopped { cause } => Some(cause),
            _ => None,
        }
    }

    /// Whether it is gone for good.
    pub fn is_removed(&self) -> bool {
        self.phase == Phase::Removed
    }

    /// Whether there is, or may be, a machine.
    pub fn has_machine(&self) -> bool {
        !matches!(self.phase, Phase::Stopped { .. } | Phase::Removed)
    }

    /// Connections through router and ports, now.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// When it was last used.
    pub fn active_at(&self) -> Duration {
        self.active_at
    }

    /// The number of its last boot.
    pub fn boot(&self) -> Boot {
        self.boot
    }

    /// When an [`Input::Tick`] must come at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        let waiting = self.waiting.iter().filter_map(|waiting| waiting.until).min();
        waiting.into_iter().chain(self.idle_deadline()).min()
    }

    /// Takes in what happened at `now`, and says what is to be done, in this order.
    pub fn on(&mut self, input: Input, now: Duration) -> Vec<Step> {
        let mut steps = Vec::new();
        match input {
            Input::Asked { waiter, ask } => self.asked(waiter, ask, now, &mut steps),
            Input::Gone { waiter } => self.waiting.retain(|waiting| waiting.waiter != waiter),
            Input::Released(lease) => self.released(lease, now),
            Input::FollowerAttached => {
                self.followers += 1;
                self.touch(now);
            }
            Input::FollowerLeft => {
                self.followers = self.followers.saturating_sub(1);
                self.touch(now);
            }
            Input::Active => self.touch(now),
            Input::Booted { boot } if self.is_current(boot) => self.booted(now, &mut steps),
            Input::Exited { boot, code } if self.is_current(boot) => {
                let early = self.phase == Phase::Starting;
                self.stop(Cause::Exited { code, early }, &mut steps);
            }
            Input::Ended { boot, cause } if self.is_current(boot) => self.ended(cause, now, &mut steps),
            // Time passes below; what is said of an older boot is of no interest.
            Input::Tick | Input::Booted { .. } | Input::Exited { .. } | Input::Ended { .. } => {}
        }
        self.heed_time(now, &mut steps);
        steps
    }

    fn is_current(&self, boot: Boot) -> bool {
        boot == self.boot && self.has_machine()
    }

    /// It was used. A paused one's time begins anew, too.
    fn touch(&mut self, now: Duration) {
        self.active_at = self.active_at.max(now);
        if let Phase::Paused { since } = &mut self.phase {
            *since = now;
        }
    }

    fn released(&mut self, lease: Use, now: Duration) {
        let count = match lease {
            Use::Connection => &mut self.connections,
            Use::Exec => &mut self.execs,
        };
        *count = count.saturating_sub(1);
        self.touch(now);
    }

    fn asked(&mut self, waiter: Waiter, ask: Ask, now: Duration, steps: &mut Vec<Step>) {
        if self.phase == Phase::Removed {
            let answer = if ask == Ask::Delete { Ok(()) } else { Err(Unmet::Removed) };
            steps.push(Step::Answer { waiter, answer });
            return;
        }
        let until = (ask == Ask::Use(Use::Connection)).then(|| now.saturating_add(self.rules.wake_within));
        self.waiting.push(Waiting { waiter, ask, until });
        match ask {
            Ask::Use(_) => self.asked_to_be_used(ask, now, steps),
            Ask::Start => self.asked_to_start(now, steps),
            Ask::Resume => match &self.phase {
                Phase::Paused { .. } => self.wake(now, steps),
                Phase::Running => self.settle(steps),
                Phase::Starting | Phase::Removed => {}
                Phase::Stopping { cause } | Phase::Stopped { cause } => {
                    let unmet = Unmet::Stopped(cause.clone());
                    self.answer_all(|waiting| waiting == Ask::Resume, &Err(unmet), steps);
                }
            },
            Ask::Pause => self.asked_to_pause(now, steps),
            Ask::Stop => self.stop(Cause::Asked, steps),
            Ask::StopForDaemon => self.stop(Cause::Daemon, steps),
            Ask::Delete => match self.phase {
                Phase::Stopped { .. } => self.remove(steps),
                _ => self.stop(Cause::Asked, steps),
            },
        }
    }

    fn asked_to_be_used(&mut self, ask: Ask, now: Duration, steps: &mut Vec<Step>) {
        self.touch(now);
        match &self.phase {
            Phase::Starting | Phase::Removed => {}
            Phase::Running => self.settle(steps),
            Phase::Paused { .. } => self.wake(now, steps),
            // A request wakes what was stopped for want of requests; an exec never boots.
            Phase::Stopped { cause } if ask == Ask::Use(Use::Connection) && cause.is_woken() => {
                self.start(now, steps);
            }
            Phase::Stopping { cause } if ask == Ask::Use(Use::Connection) && cause.is_woken() => {}
            Phase::Stopping { cause } | Phase::Stopped { cause } => {
                let unmet = Unmet::Stopped(cause.clone());
                self.answer_all(|waiting| waiting == ask, &Err(unmet), steps);
            }
        }
    }

    fn asked_to_start(&mut self, now: Duration, steps: &mut Vec<Step>) {
        match self.phase {
            Phase::Stopped { .. } => self.start(now, steps),
            Phase::Paused { .. } => self.wake(now, steps),
            Phase::Running => self.settle(steps),
            // The boot that is under way answers; after a stop, the next boot does.
            Phase::Starting | Phase::Stopping { .. } | Phase::Removed => {}
        }
    }

    fn asked_to_pause(&mut self, now: Duration, steps: &mut Vec<Step>) {
        let answer = match &self.phase {
            Phase::Running if !self.rules.can_pause => Err(Unmet::CannotPause),
            Phase::Running if self.execs > 0 => Err(Unmet::InUse),
            Phase::Running => {
                self.phase = Phase::Paused { since: now };
                steps.push(Step::Pause);
                Ok(())
            }
            Phase::Paused { .. } => Ok(()),
            Phase::Starting => Err(Unmet::Starting),
            Phase::Stopping { cause } | Phase::Stopped { cause } => Err(Unmet::Stopped(cause.clone())),
            Phase::Removed => Err(Unmet::Removed),
        };
        self.answer_all(|waiting| waiting == Ask::Pause, &answer, steps);
    }

    fn start(&mut self, now: Duration, steps: &mut Vec<Step>) {
        self.boot += 1;
        self.touch(now);
        self.phase = Phase::Starting;
        steps.push(Step::Boot(self.boot));
    }

    fn booted(&mut self, now: Duration, steps: &mut Vec<Step>) {
        if self.phase == Phase::Starting {
            self.phase = Phase::Running;
            self.touch(now);
            self.settle(steps);
        }
    }

    fn wake(&mut self, now: Duration, steps: &mut Vec<Step>) {
        self.phase = Phase::Running;
        self.touch(now);
        steps.push(Step::Resume);
        self.settle(steps);
    }

    /// It runs: whoever waited for that has it.
    fn settle(&mut self, steps: &mut Vec<Step>) {
        self.answer_all(|ask| matches!(ask, Ask::Use(_) | Ask::Start | Ask::Resume), &Ok(()), steps);
    }

    /// Ends the machine. Who wanted it to run is told at once; who waits for the stop, when it is gone.
    fn stop(&mut self, cause: Cause, steps: &mut Vec<Step>) {
        if self.has_machine() && !matches!(self.phase, Phase::Stopping { .. }) {
            let unmet = Unmet::Stopped(cause.clone());
            self.answer_all(|ask| matches!(ask, Ask::Use(_) | Ask::Start | Ask::Resume), &Err(unmet), steps);
        }
        match self.phase {
            Phase::Stopped { .. } => {
                self.answer_all(|ask| matches!(ask, Ask::Stop | Ask::StopForDaemon), &Ok(()), steps);
            }
            Phase::Stopping { .. } | Phase::Removed => {}
            Phase::Starting if !matches!(cause, Cause::Exited { .. }) => {
                self.phase = Phase::Stopping { cause };
                steps.push(Step::Kill(self.boot));
            }
            Phase::Starting | Phase::Running | Phase::Paused { .. } => {
                if matches!(self.phase, Phase::Paused { .. }) {
                    // A frozen guest hears no SIGTERM.
                    steps.push(Step::Resume);
                }
                self.phase = Phase::Stopping { cause };
                steps.push(Step::ShutDown(self.boot));
            }
        }
    }

    /// The machine is gone, for `seen` if nothing better is known.
    fn ended(&mut self, seen: Cause, now: Duration, steps: &mut Vec<Step>) {
        let cause = match &self.phase {
            Phase::Stopping { cause } => cause.clone(),
            _ => seen,
        };
        self.phase = Phase::Stopped { cause: cause.clone() };
        steps.push(Step::EndExecs);
        self.answer_all(|ask| matches!(ask, Ask::Stop | Ask::StopForDaemon), &Ok(()), steps);
        if self.waiting.iter().any(|waiting| waiting.ask == Ask::Delete) {
            self.remove(steps);
            return;
        }
        // Asked to start while it was being stopped, or wanted while it was stopped for want of requests: that stands.
        // But one whose boot failed isn't booted again for those who waited for that boot.
        let ended_by_itself =
            matches!(cause, Cause::BootFailed { .. } | Cause::Exited { .. } | Cause::Died { .. });
        let wanted = self.waiting.iter().any(|waiting| match waiting.ask {
            Ask::Start => true,
            Ask::Use(Use::Connection) => cause.is_woken(),
            _ => false,
        });
        if wanted && !ended_by_itself {
            self.start(now, steps);
        }
        if !self.has_machine() {
            self.answer_all(|_| true, &Err(Unmet::Stopped(cause)), steps);
        }
    }

    fn remove(&mut self, steps: &mut Vec<Step>) {
        self.phase = Phase::Removed;
        steps.push(Step::Remove);
        self.answer_all(|ask| ask == Ask::Delete, &Ok(()), steps);
        self.answer_all(|_| true, &Err(Unmet::Removed), steps);
    }

    fn answer_all(&mut self, which: impl Fn(Ask) -> bool, answer: &Result<(), Unmet>, steps: &mut Vec<Step>) {
        let (answered, rest) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| which(waiting.ask));
        self.waiting = rest;
        for Waiting { waiter, ask, .. } in answered {
            if let (Ask::Use(lease), Ok(())) = (ask, answer) {
                match lease {
                    Use::Connection => self.connections += 1,
                    Use::Exec => self.execs += 1,
                }
            }
            steps.push(Step::Answer { waiter, answer: answer.clone() });
        }
    }

    fn is_used(&self) -> bool {
        self.connections > 0 || self.execs > 0 || self.followers > 0 || !self.waiting.is_empty()
    }

    /// When the next idle rule acts, if nothing happens until then.
    fn idle_deadline(&self) -> Option<Duration> {
        let Rules { pause_after, stop_after, can_pause, .. } = self.rules;
        match self.phase {
            Phase::Running if self.is_used() => None,
            Phase::Running if can_pause => Some(self.active_at.saturating_add(pause_after?)),
            Phase::Running => Some(self.active_at.saturating_add(pause_after?).saturating_add(stop_after?)),
            // Connections that are open stay open; nothing moves on them, so they keep nothing awake.
            Phase::Paused { since } if self.followers == 0 => Some(since.saturating_add(stop_after?)),
            _ => None,
        }
    }

    fn heed_time(&mut self, now: Duration, steps: &mut Vec<Step>) {
        let late: Vec<Waiter> = self
            .waiting
            .iter()
            .filter(|waiting| waiting.until.is_some_and(|until| now >= until))
            .map(|waiting| waiting.waiter)
            .collect();
        self.waiting.retain(|waiting| !late.contains(&waiting.waiter));
        steps.extend(late.into_iter().map(|waiter| Step::Answer { waiter, answer: Err(Unmet::TimedOut) }));
        if self.idle_deadline().is_some_and(|deadline| now >= deadline) {
            match self.phase {
                Phase::Running if self.rules.can_pause => {
                    self.phase = Phase::Paused { since: now };
                    steps.push(Step::Pause);
                }
                _ => self.stop(Cause::Idle, steps),
            }
        }
    }
}
