//! Where each target of a run is, and when those under way are due.

use std::{collections::VecDeque, ops::Range, time::Duration};

use crate::fleet::{Counts, TargetOutcome};

/// One target. A byte: a run may have very many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiting,
    InFlight,
    Ended(TargetOutcome),
}

/// All targets of a run, by their number. They start in the order of their numbers.
#[derive(Debug, Clone)]
pub(super) struct Targets {
    places: Vec<Place>,
    /// The first one that waits; all before have been started or left out.
    next: u32,
    in_flight: u32,
    counts: Counts,
    /// When those in flight are due, in the order of their starts. As all may take equally long, that is also the order
    /// in which they are due. The first target of the first entry is always in flight; others may have ended since.
    due: VecDeque<(Duration, Range<u32>)>,
}

impl Targets {
    /// So many that wait.
    pub(super) fn new(count: u32) -> Self {
        Self {
            places: vec![Place::Waiting; count as usize],
            next: 0,
            in_flight: 0,
            counts: Counts::default(),
            due: VecDeque::new(),
        }
    }

    /// How many there are, in whatever place.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    /// The number of the first one that waits, or how many there are.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// How many have been started and haven't ended.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// How many ended in which way.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether all have ended.
    pub(super) fn all_ended(&self) -> bool {
        self.counts.total() == u64::from(self.count())
    }

    /// How this one ended; none while it hasn't, or if there is no such target.
    pub(super) fn outcome(&self, target: u32) -> Option<TargetOutcome> {
        match self.places.get(target as usize) {
            Some(Place::Ended(outcome)) => Some(*outcome),
            _ => None,
        }
    }

    /// Starts so many of those that wait; they are due at `due`, which is no earlier than that of the start before.
    pub(super) fn start(&mut self, count: u32, due: Duration) -> Range<u32> {
        let started = self.next..self.next.saturating_add(count).min(self.count());
        self.places[started.start as usize..started.end as usize].fill(Place::InFlight);
        self.next = started.end;
        self.in_flight += started.end - started.start;
        if !started.is_empty() {
            self.due.push_back((due, started.clone()));
        }
        started
    }

    /// Ends one that is in flight. False, and nothing is changed, for any other.
    pub(super) fn end(&mut self, target: u32, outcome: TargetOutcome) -> bool {
        if !self.is_in_flight(target) {
            return false;
        }
        self.places[target as usize] = Place::Ended(outcome);
        self.in_flight -= 1;
        self.counts.add(outcome);
        self.forget_ended();
        true
    }

    /// All that wait end as never started.
    pub(super) fn leave_out_rest(&mut self) -> Range<u32> {
        let rest = self.next..self.count();
        self.places[rest.start as usize..].fill(Place::Ended(TargetOutcome::NotStarted));
        rest.clone().for_each(|_| self.counts.add(TargetOutcome::NotStarted));
        self.next = rest.end;
        rest
    }

    /// Those in flight, in order.
    pub(super) fn all_in_flight(&self) -> Vec<u32> {
        let started = self.due.iter().flat_map(|(_, started)| started.clone());
        started.filter(|target| self.is_in_flight(*target)).collect()
    }

    /// When the next of those in flight is due.
    pub(super) fn first_due(&self) -> Option<Duration> {
        self.due.front().map(|(due, _)| *due)
    }

    /// Those of the next start that are in flight, if they are due at `now`.
    pub(super) fn overdue(&self, now: Duration) -> Vec<u32> {
        match self.due.front() {
            Some((due, started)) if *due <= now => {
                started.clone().filter(|target| self.is_in_flight(*target)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn is_in_flight(&self, target: u32) -> bool {
        self.places.get(target as usize) == Some(&Place::InFlight)
    }

    /// Passes each started target once in a run's life, however many end and in which order.
    fn forget_ended(&mut self) {
        while let Some((_, started)) = self.due.front_mut() {
            let places = &self.places;
            match started.clone().find(|target| places[*target as usize] == Place::InFlight) {
                Some(first) => {
                    started.start = first;
                    return;
                }
                None => self.due.pop_front(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_takes_one_byte() {
        assert_eq!(size_of::<Place>(), 1);
    }

    #[test]
    fn what_is_due_next_is_always_something_in_flight() {
        let at = Duration::from_secs;
        let mut targets = Targets::new(5);
        assert_eq!(targets.first_due(), None);
        assert_eq!((targets.start(2, at(10)), targets.start(9, at(20))), (0..2, 2..5));
        assert!(targets.end(1, TargetOutcome::Ok) && targets.end(3, TargetOutcome::Ok));
        assert_eq!((targets.first_due(), targets.all_in_flight()), (Some(at(10)), vec![0, 2, 4]));
        assert!(targets.end(0, TargetOutcome::Ok));
        assert_eq!((targets.first_due(), targets.overdue(at(19))), (Some(at(20)), vec![]));
        assert_eq!(targets.overdue(at(20)), [2, 4]);
        assert!(targets.end(2, TargetOutcome::Ok) && targets.end(4, TargetOutcome::Ok));
        assert_eq!((targets.first_due(), targets.in_flight(), targets.all_ended()), (None, 0, true));
    }
}
