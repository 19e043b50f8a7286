//! What a run's events come to: its hosts, and how far each is.

use aegis_core::fleet::Counts;
use aegis_wire::operator::{Run, RunChange, RunEvent, RunTarget, Skipped, TargetResult};

/// How much of what hosts printed is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: it has been shown.
    Nothing,
    /// The last bytes of each.
    Last(usize),
    /// All that the results have.
    All,
}

/// Where a run is.
#[derive(Debug)]
pub struct Board {
    keep: Keep,
    /// The run; none before its first event.
    pub run: Option<Run>,
    /// Its hosts, in order.
    pub targets: Vec<RunTarget>,
    /// Hosts that are meant and weren't dispatched to.
    pub skipped: Vec<Skipped>,
    /// The results, by place.
    pub results: Vec<Option<TargetResult>>,
    dispatched: Vec<bool>,
    in_flight: usize,
    /// How many ended how.
    pub counts: Counts,
    /// How many waves there are.
    pub waves: u32,
    last: u64,
    finished: bool,
}

impl Board {
    /// Of a run of which nothing is known.
    pub fn new(keep: Keep) -> Self {
        Self {
            keep,
            run: None,
            targets: Vec::new(),
            skipped: Vec::new(),
            results: Vec::new(),
            dispatched: Vec::new(),
            in_flight: 0,
            counts: Counts::default(),
            waves: 0,
            last: 0,
            finished: false,
        }
    }

    /// Takes an event in. False: it is known already, as after a reconnect.
    pub fn take(&mut self, event: &RunEvent) -> bool {
        if event.sequence != 0 {
            if event.sequence <= self.last {
                return false;
            }
            self.last = event.sequence;
        }
        match &event.what {
            RunChange::Started { run, targets, skipped } => {
                self.run = Some(run.clone());
                self.targets.clone_from(targets);
                self.skipped.clone_from(skipped);
                self.results = vec![None; targets.len()];
                self.dispatched = vec![false; targets.len()];
            }
            RunChange::WaveStarted { waves, .. } => self.waves = *waves,
            RunChange::Dispatched { targets } => {
                for target in targets {
                    if let Some(dispatched) = self.dispatched.get_mut(place(*target)) {
                        self.in_flight += usize::from(!*dispatched);
                        *dispatched = true;
                    }
                }
            }
            RunChange::Result(result) => self.end(result),
            RunChange::Finished { run } => {
                self.run = Some(run.clone());
                self.finished = true;
            }
            RunChange::Output { .. }
            | RunChange::WaveEnded { .. }
            | RunChange::Halted { .. }
            | RunChange::Cancelling { .. } => {}
        }
        true
    }

    fn end(&mut self, result: &TargetResult) {
        let at = place(result.target);
        if let Some(held @ None) = self.results.get_mut(at) {
            if self.dispatched.get(at) == Some(&true) {
                self.in_flight -= 1;
            }
            self.counts.add(result.outcome);
            let mut result = result.clone();
            for bytes in [&mut result.stdout, &mut result.stderr] {
                match self.keep {
                    Keep::Nothing => bytes.clear(),
                    Keep::Last(most) => *bytes = bytes.slice(bytes.len().saturating_sub(most)..),
                    Keep::All => {}
                }
            }
            *held = Some(result);
        }
    }

    /// The host at this place.
    pub fn target(&self, target: u32) -> Option<&RunTarget> {
        self.targets.get(place(target))
    }
    /// Whether the run's last event has come.
    pub fn is_over(&self) -> bool {
        self.finished
    }
    /// How many hosts have the command and haven't ended.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }
    /// The hosts with their results, in order.
    pub fn rows(&self) -> impl Iterator<Item = (&RunTarget, Option<&TargetResult>)> {
        self.targets.iter().zip(self.results.iter().map(Option::as_ref))
    }
    /// In a word, where a host is.
    pub fn state_of(&self, place: usize) -> &'static str {
        match self.results.get(place).and_then(Option::as_ref) {
            Some(result) => result.outcome.as_str(),
            None if self.dispatched.get(place) == Some(&true) => "running",
            None => "waiting",
        }
    }
}

fn place(target: u32) -> usize {
    // Where it wouldn't fit, no such host is known either.
    usize::try_from(target).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use aegis_core::fleet::{RunState, TargetOutcome};

    use super::{super::sample::Sample, *};

    #[test]
    fn events_that_come_again_change_nothing() {
        let mut sample = Sample::new(["web-1", "web-2"]);
        let events = [
            sample.started(),
            sample.kept(RunChange::Dispatched { targets: vec![0, 1] }),
            sample.ended(0, TargetOutcome::Ok, "out"),
        ];
        let mut board = Board::new(Keep::Nothing);
        assert!(events.iter().all(|event| board.take(event)));
        assert!(!events.iter().any(|event| board.take(event)));
        assert_eq!((board.in_flight(), board.counts.of(TargetOutcome::Ok)), (1, 1));
        assert_eq!([board.state_of(0), board.state_of(1)], ["ok", "running"]);
    }

    #[test]
    fn a_run_is_over_with_its_last_event_and_not_before() {
        let mut sample = Sample::new(["web-1"]);
        let mut board = Board::new(Keep::Nothing);
        // Whoever asks for a run that has ended may be told so at once, with the results still to come.
        let (run, targets) = (sample.run(RunState::Ok), Vec::new());
        board.take(&sample.kept(RunChange::Started { run, targets, skipped: Vec::new() }));
        assert!(!board.is_over());
        board.take(&sample.finished(RunState::Ok, ""));
        assert!(board.is_over());
    }

    #[test]
    fn a_second_result_of_a_host_and_one_of_nobody_are_ignored() {
        let mut sample = Sample::new(["web-1"]);
        let mut board = Board::new(Keep::All);
        for event in [
            sample.started(),
            sample.ended(0, TargetOutcome::Error, "first"),
            sample.ended(0, TargetOutcome::Ok, "second"),
            sample.ended(7, TargetOutcome::Ok, "nobody's"),
        ] {
            board.take(&event);
        }
        let result = board.results[0].as_ref().unwrap();
        assert_eq!((result.outcome, &result.stdout[..]), (TargetOutcome::Error, b"first".as_slice()));
        assert_eq!(board.in_flight(), 0);
    }

    #[test]
    fn only_so_much_of_what_was_printed_is_kept() {
        for (keep, kept) in [(Keep::Nothing, ""), (Keep::Last(3), "ond"), (Keep::All, "second")] {
            let mut sample = Sample::new(["web-1"]);
            let mut board = Board::new(keep);
            board.take(&sample.started());
            board.take(&sample.ended(0, TargetOutcome::Ok, "second"));
            assert_eq!(board.results[0].as_ref().unwrap().stdout, kept);
        }
    }
}
