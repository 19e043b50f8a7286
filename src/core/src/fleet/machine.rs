//! The dispatcher of one run as a state machine: it is told what happened and when, and says what is to be done.
//!
//! Times are monotonic, since any fixed point, and never go back. Numbers of waves begin at 1, those of targets at 0.

use std::{ops::Range, time::Duration};

use super::{Counts, ENDING_TAKES, Mode, RunState, Strategy, TargetOutcome};
use targets::Targets;

#[cfg(test)]
mod simulation;
mod targets;
#[cfg(test)]
mod tests;

/// What happened to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// It begins. Said twice, it changes nothing.
    Start,
    /// A target's result came, or its host is gone, or it couldn't be handed over. For a target that isn't in flight
    /// it changes nothing, so a result may come late or twice.
    Ended {
        /// Which.
        target: u32,
        /// How.
        outcome: TargetOutcome,
    },
    /// Somebody cancels the run.
    Cancel,
    /// Time has passed.
    Tick,
    /// Where waves are gated: the next one may begin. It counts only between two waves.
    Proceed,
    /// Something outside ends the run as its failure policy would, for this reason.
    Halt(String),
    /// Nothing new starts until [`Input::Resume`]; what runs goes on.
    Pause,
    /// What was paused goes on.
    Resume,
}

/// What is to be done now, in the given order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A wave begins; its dispatches follow.
    WaveStarted {
        /// Which, from 1.
        wave: u32,
        /// Of how many in all.
        waves: u32,
        /// How many targets it has.
        targets: u32,
    },
    /// Send these the command.
    Dispatch(Range<u32>),
    /// Tell this one's host to end the command.
    Cancel(u32),
    /// The one terminal result of a target; nothing that comes later changes it.
    Ended {
        /// Which.
        target: u32,
        /// How.
        outcome: TargetOutcome,
    },
    /// All of the wave that were started have ended. Where waves are gated, [`Input::Proceed`] is awaited from now on,
    /// unless [`Action::Finished`] follows at once.
    WaveEnded {
        /// Which, from 1.
        wave: u32,
    },
    /// Nothing new will start. What runs goes on.
    Halted {
        /// Why.
        reason: String,
    },
    /// Nothing new will start, and what runs is being ended.
    Cancelling,
    /// The run is over; the last action of all.
    Finished(RunState),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not begun.
    New,
    /// Between two waves, or before the first.
    Between { ended: u32, opens: Duration, proceed: bool },
    /// In a wave, which has the targets before `end`.
    Wave { number: u32, end: u32 },
    /// Over.
    Over(RunState),
}

/// One run: a command to targets that are known only by their numbers.
#[derive(Debug, Clone)]
pub struct FleetRun {
    strategy: Strategy,
    /// How many may be in flight at once.
    limit: u32,
    /// How many targets a wave has; the last may have fewer.
    wave_size: u32,
    targets: Targets,
    phase: Phase,
    paused: bool,
    halted: bool,
    /// Since when it is being cancelled.
    cancelled: Option<Duration>,
}

impl FleetRun {
    /// A run over so many targets, which does nothing before [`Input::Start`].
    pub fn new(targets: u32, strategy: Strategy) -> Self {
        let limit = match strategy.mode {
            Mode::Sequential => 1,
            Mode::Parallel | Mode::Rolling(_) => strategy.max_concurrency.unwrap_or(u32::MAX).max(1),
        };
        let wave_size = match strategy.mode {
            Mode::Rolling(size) => size.of(targets),
            Mode::Parallel | Mode::Sequential => targets.max(1),
        };
        Self {
            strategy,
            limit,
            wave_size,
            targets: Targets::new(targets),
            phase: Phase::New,
            paused: false,
            halted: false,
            cancelled: None,
        }
    }

    /// Takes in what happened at `now` and appends to `actions` what is to be done, in order. What is due at `now` is due
    /// whether a tick was faster or not: a result that comes with the end of the wait for it comes too late.
    pub fn on(&mut self, input: Input, now: Duration, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Over(_)) {
            return;
        }
        self.expire(now, actions);
        match input {
            Input::Start if self.phase == Phase::New => {
                self.phase = Phase::Between { ended: 0, opens: now, proceed: true };
            }
            Input::Ended { target, outcome } => self.end(target, outcome, actions),
            Input::Cancel if self.cancelled.is_none() => {
                self.cancelled = Some(now);
                actions.push(Action::Cancelling);
                actions.extend(self.targets.all_in_flight().into_iter().map(Action::Cancel));
                self.leave_out_rest(actions);
            }
            Input::Halt(reason) => self.halt(reason, actions),
            Input::Proceed => {
                if let Phase::Between { proceed, .. } = &mut self.phase {
                    *proceed = true;
                }
            }
            Input::Pause => self.paused = true,
            Input::Resume => self.paused = false,
            Input::Start | Input::Cancel | Input::Tick => {}
        }
        self.advance(now, actions);
    }

    /// Running until every target has its outcome and the last wave has ended; then how the run ended.
    pub fn state(&self) -> RunState {
        match self.phase {
            Phase::Over(state) => state,
            Phase::New | Phase::Between { .. } | Phase::Wave { .. } => RunState::Running,
        }
    }

    /// How many targets ended in which way.
    pub fn counts(&self) -> &Counts {
        self.targets.counts()
    }

    /// How this target ended; none while it hasn't, or if there is no such target.
    pub fn outcome(&self, target: u32) -> Option<TargetOutcome> {
        self.targets.outcome(target)
    }

    /// How many targets have been sent the command and haven't ended.
    pub fn in_flight(&self) -> u32 {
        self.targets.in_flight()
    }

    /// How many waves there are if all goes well; none without targets.
    pub fn waves(&self) -> u32 {
        self.targets.count().div_ceil(self.wave_size)
    }

    /// When [`Input::Tick`] must come at the latest; none where only another input can change anything.
    pub fn due(&self) -> Option<Duration> {
        let wave = match self.phase {
            Phase::Between { opens, proceed, .. } if self.may_open(proceed) => Some(opens),
            _ => None,
        };
        let cancelled = self.cancel_ends().filter(|_| self.in_flight() > 0);
        [wave, cancelled, self.targets.first_due()].into_iter().flatten().min()
    }

    /// Ends what was waited for long enough.
    fn expire(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let cancel_ends = self.cancel_ends();
        // However late the tick, a target gets the outcome that was due first.
        let timed_out_by = cancel_ends.map_or(now, |ends| ends.min(now));
        loop {
            let overdue = self.targets.overdue(timed_out_by);
            if overdue.is_empty() {
                break;
            }
            for target in overdue {
                // Before the outcome, with which the caller may forget which host it was.
                actions.push(Action::Cancel(target));
                self.end(target, TargetOutcome::TimedOut, actions);
            }
        }
        if cancel_ends.is_some_and(|ends| ends <= now) {
            for target in self.targets.all_in_flight() {
                self.end(target, TargetOutcome::Cancelled, actions);
            }
        }
    }

    fn end(&mut self, target: u32, outcome: TargetOutcome, actions: &mut Vec<Action>) {
        if !self.targets.end(target, outcome) {
            return;
        }
        actions.push(Action::Ended { target, outcome });
        let failures = self.counts().failures();
        if outcome.is_failure() && self.strategy.on_error.halts(failures) {
            let (policy, targets) = (self.strategy.on_error, self.targets.count());
            self.halt(format!("{policy}: {failures} of {targets} targets failed"), actions);
        }
    }

    fn halt(&mut self, reason: String, actions: &mut Vec<Action>) {
        if !self.is_stopping() {
            self.halted = true;
            actions.push(Action::Halted { reason });
            self.leave_out_rest(actions);
        }
    }

    /// After this nothing can start any more: nothing waits.
    fn leave_out_rest(&mut self, actions: &mut Vec<Action>) {
        let outcome = TargetOutcome::NotStarted;
        actions.extend(self.targets.leave_out_rest().map(|target| Action::Ended { target, outcome }));
    }

    /// Goes on as far as it can: ends and begins waves, starts targets, finishes.
    fn advance(&mut self, now: Duration, actions: &mut Vec<Action>) {
        loop {
            match self.phase {
                Phase::New if !self.is_stopping() => return,
                Phase::New | Phase::Between { .. } if self.targets.all_ended() => {
                    let state = self.final_state();
                    self.phase = Phase::Over(state);
                    actions.push(Action::Finished(state));
                }
                Phase::Between { ended, opens, proceed } if self.may_open(proceed) && opens <= now => {
                    self.begin_wave(ended + 1, actions);
                }
                Phase::Wave { number, end } => {
                    self.dispatch(end, now, actions);
                    if self.in_flight() > 0 || self.targets.next() < end {
                        return;
                    }
                    actions.push(Action::WaveEnded { wave: number });
                    let opens = now.saturating_add(self.strategy.pause);
                    self.phase = Phase::Between { ended: number, opens, proceed: false };
                }
                Phase::New | Phase::Between { .. } | Phase::Over(_) => return,
            }
        }
    }

    fn begin_wave(&mut self, number: u32, actions: &mut Vec<Action>) {
        let begin = self.targets.next();
        let end = begin.saturating_add(self.wave_size).min(self.targets.count());
        self.phase = Phase::Wave { number, end };
        actions.push(Action::WaveStarted { wave: number, waves: self.waves(), targets: end - begin });
    }

    fn dispatch(&mut self, end: u32, now: Duration, actions: &mut Vec<Action>) {
        let waiting = end.saturating_sub(self.targets.next());
        let count = waiting.min(self.limit - self.in_flight());
        if count > 0 && !self.paused {
            let due = now.saturating_add(self.strategy.deadline).saturating_add(ENDING_TAKES);
            actions.push(Action::Dispatch(self.targets.start(count, due)));
        }
    }

    fn may_open(&self, proceed: bool) -> bool {
        !self.paused && (proceed || !self.strategy.gated)
    }

    fn is_stopping(&self) -> bool {
        self.halted || self.cancelled.is_some()
    }

    /// When the hosts' word isn't waited for any more after a cancel.
    fn cancel_ends(&self) -> Option<Duration> {
        self.cancelled.map(|since| since.saturating_add(ENDING_TAKES))
    }

    fn final_state(&self) -> RunState {
        let counts = self.counts();
        let [ok, timed_out, cancelled, not_started] =
            [TargetOutcome::Ok, TargetOutcome::TimedOut, TargetOutcome::Cancelled, TargetOutcome::NotStarted]
                .map(|outcome| counts.of(outcome));
        let failures = counts.failures();
        if self.cancelled.is_some() && ok < counts.total() {
            RunState::Cancelled
        } else if self.halted {
            let only_late = failures > 0 && failures == timed_out && not_started == 0;
            if only_late { RunState::TimedOut } else { RunState::Halted }
        } else if failures > timed_out || not_started > 0 {
            // Without halt or cancel, one that wasn't started couldn't be handed over.
            RunState::Failed
        } else if timed_out > 0 {
            RunState::TimedOut
        } else if cancelled > 0 {
            RunState::Cancelled
        } else {
            RunState::Ok
        }
    }
}
