//! One turn of a run: what follows from what was said. Nothing of it is done here.

use std::sync::Arc;

use aegis_core::fleet::{Action, Input, RunState, TargetOutcome};
use aegis_wire::{
    edge::{CommandResult, Refusal},
    operator::{RunChange, TargetResult},
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{driver::Driver, flight::Flight, live::Said, notes::Notes, tooling::Unfit};

/// What a turn brought.
#[derive(Default)]
pub(super) struct Turn {
    pub events: Vec<RunChange>,
    pub send: Vec<Arc<Flight>>,
    pub cancel: Vec<Arc<Flight>>,
    pub give_up: Vec<Arc<Flight>>,
    pub notes: Notes,
    /// Whether the run's own row changes.
    pub header: bool,
    pub done: Vec<oneshot::Sender<()>>,
    /// Held until what takes the room is on the disk.
    room: Vec<OwnedSemaphorePermit>,
}

/// Who says how a target ended.
enum Word {
    Host(Box<CommandResult>),
    Gone { sent: bool },
    CalledOff,
    Congested,
    Unfit(Unfit),
}

impl Driver {
    /// The first turn.
    pub(super) fn begin(&mut self, turn: &mut Turn) {
        turn.header = true;
        self.on(Input::Start, None, turn);
    }

    pub(super) fn tick(&mut self, turn: &mut Turn) {
        self.on(Input::Tick, None, turn);
    }

    /// Takes in what was said.
    pub(super) fn hear(&mut self, said: Said, turn: &mut Turn) {
        let ended = |target, outcome| Input::Ended { target, outcome };
        match said {
            Said::Result { target, result, room } => {
                turn.room.extend(room);
                self.on(ended(target, result.outcome), Some((target, Word::Host(result))), turn);
            }
            Said::Gone { target, .. }
                if self.flights[target as usize].as_ref().is_some_and(|flight| flight.is_congested()) =>
            {
                self.on(ended(target, TargetOutcome::Error), Some((target, Word::Congested)), turn);
            }
            Said::Gone { target, sent } => {
                self.on(
                    ended(target, TargetOutcome::Disconnected),
                    Some((target, Word::Gone { sent })),
                    turn,
                );
            }
            Said::CalledOff { target } => {
                self.on(ended(target, TargetOutcome::Cancelled), Some((target, Word::CalledOff)), turn);
            }
            Said::Steer(input) => self.on(input, None, turn),
            Said::Cancel { subject, done } => {
                if self.machine.state() == RunState::Running && self.header.reason.is_empty() {
                    self.header.reason = format!("cancelled by {subject}");
                }
                turn.notes.cancelled_by = Some(subject);
                turn.done.push(done);
                self.on(Input::Cancel, None, turn);
            }
            Said::Stop => self.interrupt(turn),
        }
    }

    fn on(&mut self, input: Input, word: Option<(u32, Word)>, turn: &mut Turn) {
        if self.header.state != RunState::Running {
            return;
        }
        let mut waiting = vec![(input, word)];
        while let Some((input, mut word)) = waiting.pop() {
            let mut actions = Vec::new();
            self.machine.on(input, self.started.elapsed(), &mut actions);
            for action in actions {
                self.follow(action, &mut word, turn, &mut waiting);
            }
            if let Some((target, Word::Host(_))) = word {
                turn.notes.late(target);
            }
        }
    }

    fn follow(
        &mut self,
        action: Action,
        word: &mut Option<(u32, Word)>,
        turn: &mut Turn,
        waiting: &mut Vec<(Input, Option<(u32, Word)>)>,
    ) {
        match action {
            Action::WaveStarted { wave, waves, targets } => {
                turn.events.push(RunChange::WaveStarted { wave, waves, targets });
            }
            Action::WaveEnded { wave } => turn.events.push(RunChange::WaveEnded { wave }),
            Action::Dispatch(range) => {
                let [from, to] = [range.start, range.end]
                    .map(|end| self.unfit.partition_point(|unfit| unfit.target < end));
                let unfit = self.unfit[from..to].to_vec();
                let is_fit = |target: &u32| unfit.binary_search_by_key(target, |unfit| unfit.target).is_err();
                let targets: Vec<u32> = range.filter(is_fit).collect();
                for target in &targets {
                    let flight = Flight::new(&self.run, *target, self.controller.runs.aloft());
                    self.flights[*target as usize] = Some(flight.clone());
                    turn.send.push(flight);
                }
                turn.notes.dispatched(&targets);
                if !targets.is_empty() {
                    turn.events.push(RunChange::Dispatched { targets });
                }
                for unfit in unfit {
                    let input = Input::Ended { target: unfit.target, outcome: TargetOutcome::Error };
                    waiting.push((input, Some((unfit.target, Word::Unfit(unfit)))));
                }
            }
            Action::Cancel(target) => turn.cancel.extend(self.flights[target as usize].clone()),
            Action::Ended { target, outcome } => {
                let own = word.take_if(|(whose, _)| *whose == target).map(|(_, word)| word);
                let flight = self.flights[target as usize].take();
                if own.is_none() {
                    turn.give_up.extend(flight);
                }
                let result = self.result(target, outcome, own);
                self.header.outcomes.add(outcome);
                turn.notes.ended(&result);
                turn.events.push(RunChange::Result(result));
            }
            Action::Halted { reason } => {
                self.header.reason.clone_from(&reason);
                turn.header = true;
                turn.events.push(RunChange::Halted { reason });
            }
            Action::Cancelling => {
                let subject = turn.notes.cancelled_by.clone().unwrap_or_default();
                turn.header = true;
                turn.notes.cancelling = true;
                turn.events.push(RunChange::Cancelling { subject });
            }
            Action::Finished(state) => self.finish(state, turn),
        }
    }

    fn finish(&mut self, state: RunState, turn: &mut Turn) {
        self.header.state = state;
        self.header.finished_at = Some(self.controller.clock.now());
        turn.header = true;
        turn.notes.finished = Some(state);
        turn.events.push(RunChange::Finished { run: self.header.clone() });
    }

    fn result(&self, target: u32, outcome: TargetOutcome, word: Option<Word>) -> TargetResult {
        let host = self.run.targets[target as usize].clone();
        let error = match (word, outcome) {
            (Some(Word::Host(result)), _) if result.outcome == outcome => {
                return TargetResult::of_host(target, host, *result);
            }
            (Some(Word::Unfit(unfit)), _) => {
                let result = TargetResult::without_host(target, host, outcome, unfit.why);
                return TargetResult { refusal: Some(unfit.rule), ..result };
            }
            (Some(Word::Congested), _) => {
                let why = format!("{} takes no orders at the moment; run it again", host.name);
                let result = TargetResult::without_host(target, host, outcome, why);
                return TargetResult { refusal: Some(Refusal::Busy), ..result };
            }
            (Some(Word::Gone { sent: false }), _) => {
                "edge_disconnected: the host went away before the command was sent; run it again when it is back"
            }
            (_, TargetOutcome::Disconnected) => {
                "edge_disconnected: the host went away before its result came; what it did is not known"
            }
            (Some(Word::CalledOff), _) => "cancelled before the command was sent",
            (_, TargetOutcome::Cancelled) => "cancelled; the host didn't say how the command ended",
            (_, TargetOutcome::TimedOut) => {
                "no result within the deadline, and the host didn't say that it ended the command"
            }
            (_, TargetOutcome::NotStarted) => self.not_started(),
            (_, TargetOutcome::Ok | TargetOutcome::Error) => "",
        };
        TargetResult::without_host(target, host, outcome, error.to_owned())
    }

    fn not_started(&self) -> &'static str {
        if self.header.reason.starts_with("cancelled") {
            "the run was cancelled before its turn came"
        } else {
            "the run was halted before its turn came"
        }
    }

    /// Ends the run as it is: the controller stops.
    fn interrupt(&mut self, turn: &mut Turn) {
        if self.header.state != RunState::Running {
            return;
        }
        for target in 0..u32::try_from(self.run.targets.len()).unwrap_or(u32::MAX) {
            if self.machine.outcome(target).is_some() {
                continue;
            }
            let sent = self.flights[target as usize].take();
            let host = self.run.targets[target as usize].clone();
            let result = interrupted(target, host, sent.is_some());
            turn.give_up.extend(sent);
            self.header.outcomes.add(result.outcome);
            turn.notes.ended(&result);
            turn.events.push(RunChange::Result(result));
        }
        INTERRUPTED.clone_into(&mut self.header.reason);
        self.finish(RunState::Interrupted, turn);
    }
}

/// Why a run ended with its controller.
pub(super) const INTERRUPTED: &str = "the controller ended in the middle of it";

/// What is known of a target when the controller ends, or has ended.
pub(super) fn interrupted(
    target: u32,
    host: aegis_wire::operator::RunTarget,
    was_dispatched: bool,
) -> TargetResult {
    let (outcome, error) = if was_dispatched {
        let error = "the controller ended before the result came; what the host did is not known";
        (TargetOutcome::Disconnected, error)
    } else {
        (TargetOutcome::NotStarted, "the controller ended before its turn came")
    };
    TargetResult::without_host(target, host, outcome, error.to_owned())
}
