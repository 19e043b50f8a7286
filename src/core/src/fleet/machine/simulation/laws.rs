//! The laws of a run, checked by one that sees only what goes in and what comes out.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use crate::fleet::{
    Action, Counts, ENDING_TAKES, FleetRun, Input, Mode, OnError, RunState, Strategy, TargetOutcome,
};

macro_rules! law {
    ($holds:expr, $($law:tt)+) => {
        if !$holds {
            return Err(format!($($law)+));
        }
    };
}

/// What was seen of one run.
pub(super) struct Witness {
    strategy: Strategy,
    limit: u32,
    started_at: Vec<Option<Duration>>,
    outcomes: Vec<Option<TargetOutcome>>,
    /// Those in flight, by the time at which they must have ended.
    in_flight: BTreeSet<(Duration, u32)>,
    counts: Counts,
    begun: bool,
    paused: bool,
    halted: Option<Duration>,
    cancelled: Option<Duration>,
    /// The targets of the wave under way that haven't been started.
    wave: Option<Range<u32>>,
    waves_begun: u32,
    started: u32,
    wave_ended_at: Option<Duration>,
    gate_open: bool,
    finished: Option<RunState>,
}

impl Witness {
    pub(super) fn new(targets: u32, strategy: Strategy) -> Self {
        let limit = match strategy.mode {
            Mode::Sequential => 1,
            _ => strategy.max_concurrency.unwrap_or(u32::MAX),
        };
        Self {
            strategy,
            limit,
            started_at: vec![None; targets as usize],
            outcomes: vec![None; targets as usize],
            in_flight: BTreeSet::new(),
            counts: Counts::default(),
            begun: false,
            paused: false,
            halted: None,
            cancelled: None,
            wave: None,
            waves_begun: 0,
            started: 0,
            wave_ended_at: None,
            gate_open: true,
            finished: None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.finished.is_some()
    }

    fn count(&self) -> u32 {
        u32::try_from(self.outcomes.len()).unwrap()
    }

    fn is_stopping(&self) -> bool {
        self.halted.or(self.cancelled).is_some()
    }

    fn must_end_at(&self, target: u32) -> Option<Duration> {
        self.started_at[target as usize].map(|at| at + self.strategy.deadline + ENDING_TAKES)
    }

    /// Takes in one step and says which law it breaks.
    pub(super) fn saw(
        &mut self,
        input: &Input,
        now: Duration,
        actions: &[Action],
        run: &FleetRun,
    ) -> Result<(), String> {
        let cancel_ends = self.cancelled.map(|at| at + ENDING_TAKES);
        let mut missing = match input {
            Input::Ended { target, .. } if self.is_in_flight(*target) => Some(*target),
            _ => None,
        };
        match input {
            Input::Start => self.begun = true,
            Input::Pause => self.paused = true,
            Input::Resume => self.paused = false,
            Input::Proceed => self.gate_open |= self.wave_ended_at.is_some(),
            _ => {}
        }
        for action in actions {
            law!(!self.is_over(), "the end must be the last action");
            match action {
                Action::WaveStarted { wave, waves, targets } => {
                    law!(*waves == run.waves(), "the number of waves must stay");
                    self.wave_started(*wave, *targets, now)?;
                }
                Action::Dispatch(started) => self.dispatched(started, now)?,
                Action::Cancel(target) => {
                    law!(self.is_in_flight(*target), "only what is in flight must be cancelled");
                }
                Action::Ended { target, outcome } => {
                    missing = missing.filter(|missing| missing != target);
                    self.ended(*target, *outcome, input, now, cancel_ends)?;
                }
                Action::WaveEnded { wave } => {
                    law!(*wave == self.waves_begun && self.wave.is_some(), "a wave must end once");
                    let rest = self.wave.take().is_some_and(|rest| !rest.is_empty());
                    law!(!rest || self.is_stopping(), "a wave must not end before all its targets started");
                    law!(self.in_flight.is_empty(), "a wave must not end before its targets");
                    self.wave_ended_at = Some(now);
                    self.gate_open = false;
                }
                Action::Halted { .. } => {
                    law!(!self.is_stopping(), "a run must halt once, and not after a cancel");
                    let by_policy = match self.strategy.on_error {
                        OnError::FailFast => self.counts.failures() >= 1,
                        OnError::Continue => false,
                        OnError::StopAfter(most) => self.counts.failures() >= most.into(),
                    };
                    law!(by_policy || matches!(input, Input::Halt(_)), "a run must not halt without cause");
                    self.halted = Some(now);
                }
                Action::Cancelling => {
                    law!(*input == Input::Cancel && self.cancelled.is_none(), "only a cancel cancels, once");
                    self.cancelled = Some(now);
                }
                Action::Finished(state) => self.finished = Some(*state),
            }
        }
        law!(missing.is_none(), "the result of a target in flight must be taken");
        self.stands(input, now, run)
    }

    fn is_in_flight(&self, target: u32) -> bool {
        self.outcomes.get(target as usize) == Some(&None) && self.started_at[target as usize].is_some()
    }

    fn wave_started(&mut self, wave: u32, targets: u32, now: Duration) -> Result<(), String> {
        law!(self.begun && !self.is_stopping() && !self.paused, "no wave must begin while nothing may start");
        law!(self.wave.is_none() && self.in_flight.is_empty(), "a wave must not begin before the last ended");
        law!(wave == self.waves_begun + 1, "waves must come in order");
        let pause_over = self.wave_ended_at.is_none_or(|at| now >= at + self.strategy.pause);
        law!(pause_over, "waves must be a pause apart");
        law!(self.gate_open || !self.strategy.gated, "a gated wave must wait for the word");
        let size = match self.strategy.mode {
            Mode::Rolling(size) => size.of(self.count()),
            Mode::Parallel | Mode::Sequential => self.count(),
        };
        let rest = self.count() - self.started;
        law!(targets == size.min(rest), "a wave must have {size} targets, or the rest");
        self.waves_begun = wave;
        self.wave = Some(self.started..self.started + targets);
        self.wave_ended_at = None;
        Ok(())
    }

    fn dispatched(&mut self, started: &Range<u32>, now: Duration) -> Result<(), String> {
        law!(!self.is_stopping(), "nothing must start after a halt or a cancel");
        law!(!self.paused, "nothing must start while paused");
        let wave = self.wave.as_mut().ok_or("nothing must start outside of a wave")?;
        let in_order = !started.is_empty() && started.start == wave.start && started.end <= wave.end;
        law!(in_order, "targets must start in order, each once, and within their wave");
        wave.start = started.end;
        self.started = started.end;
        for target in started.clone() {
            self.started_at[target as usize] = Some(now);
            let due = now + self.strategy.deadline + ENDING_TAKES;
            self.in_flight.insert((due, target));
        }
        let in_flight = self.in_flight.len() as u64;
        law!(in_flight <= self.limit.into(), "never more than {} in flight: {in_flight}", self.limit);
        Ok(())
    }

    fn ended(
        &mut self,
        target: u32,
        outcome: TargetOutcome,
        input: &Input,
        now: Duration,
        cancel_ends: Option<Duration>,
    ) -> Result<(), String> {
        law!(
            self.outcomes.get(target as usize) == Some(&None),
            "each target must end exactly once: {target}"
        );
        let due = self.must_end_at(target);
        let expected = match (due, cancel_ends) {
            (None, _) => {
                law!(self.is_stopping(), "only a halt or a cancel leaves targets out");
                TargetOutcome::NotStarted
            }
            (Some(due), ends) if due <= now && ends.is_none_or(|ends| due <= ends) => TargetOutcome::TimedOut,
            (_, Some(ends)) if ends <= now => TargetOutcome::Cancelled,
            _ => match input {
                Input::Ended { target: of, outcome } if *of == target => *outcome,
                _ => return Err(format!("a target must not end without cause: {target}")),
            },
        };
        law!(outcome == expected, "{target} must end as {expected}, not as {outcome}");
        let latest = [due, cancel_ends].into_iter().flatten().min();
        law!(latest.is_none_or(|latest| now <= latest), "the deadline must be kept: {target}, {latest:?}");
        self.outcomes[target as usize] = Some(outcome);
        if let Some(due) = due {
            self.in_flight.remove(&(due, target));
        }
        self.counts.add(outcome);
        Ok(())
    }

    /// What must hold after each step.
    fn stands(&self, input: &Input, now: Duration, run: &FleetRun) -> Result<(), String> {
        let overdue = self.in_flight.first().is_some_and(|(due, _)| *due <= now);
        law!(!overdue, "the deadline must be kept: {:?}", self.in_flight.first());
        let cancel_over = self.cancelled.is_some_and(|at| at + ENDING_TAKES <= now);
        law!(!cancel_over || self.in_flight.is_empty(), "a cancel must end what runs in time");
        law!(*input != Input::Cancel || self.cancelled.is_some() || self.is_over(), "a cancel must cancel");
        law!(!matches!(input, Input::Halt(_)) || self.is_stopping() || self.is_over(), "a halt must halt");
        let too_many = self.strategy.on_error.halts(self.counts.failures());
        law!(!too_many || self.is_stopping(), "failures must halt the run as its policy says");
        let waiting = self.outcomes.iter().skip(self.started as usize).any(Option::is_none);
        law!(!self.is_stopping() || !waiting, "after a halt or a cancel nothing must wait");
        law!(*run.counts() == self.counts, "the counts must add up: {:?}", run.counts());
        law!(run.in_flight() as usize == self.in_flight.len(), "what is in flight must be counted");
        law!(run.state() == self.finished.unwrap_or(RunState::Running), "the state must be what was said");
        if self.begun && !self.paused && !self.is_stopping() && !self.is_over() {
            self.is_busy(now)?;
        }
        Ok(())
    }

    /// Where something may start, it does.
    fn is_busy(&self, now: Duration) -> Result<(), String> {
        if let Some(rest) = &self.wave {
            let full = self.in_flight.len() as u64 >= self.limit.into();
            law!(full || rest.is_empty(), "what may start must start");
            law!(!rest.is_empty() || !self.in_flight.is_empty(), "a wave must end with its targets");
        } else {
            let opens = self.wave_ended_at.map(|at| at + self.strategy.pause);
            let closed = self.strategy.gated && !self.gate_open;
            law!(closed || opens.is_some_and(|at| now < at), "a wave that may begin must begin");
        }
        Ok(())
    }

    /// What must hold when all is over.
    pub(super) fn at_the_end(&self, run: &FleetRun) -> Result<(), String> {
        let all = (0..self.count()).zip(&self.outcomes);
        for (target, outcome) in all {
            law!(outcome.is_some(), "each target must end exactly once: {target} never did");
            law!(run.outcome(target) == *outcome, "the first outcome must stay: {target}");
        }
        law!(self.wave.is_none(), "a run must not end before its last wave");
        law!(self.counts.total() == u64::from(self.count()), "the counts must add up");
        law!(self.started == self.count() || self.is_stopping(), "without halt or cancel all must start");
        let only = |outcome| self.counts.of(outcome) == self.counts.total();
        let state = self.finished.ok_or("a run must end")?;
        let ok = only(TargetOutcome::Ok) && self.halted.is_none();
        law!((state == RunState::Ok) == ok, "a run must be ok exactly if all is: {state}");
        let cancelled = self.cancelled.is_some() && !only(TargetOutcome::Ok);
        law!(!cancelled || state == RunState::Cancelled, "who cancels must find it cancelled: {state}");
        law!(state != RunState::Halted || self.halted.is_some(), "a run must not claim to be halted");
        Ok(())
    }
}
