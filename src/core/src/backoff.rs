//! How long to wait before dialling again (2-protocol.md, "The stream").

use std::time::Duration;

/// The waits in seconds; the last one repeats.
const STEPS: [u64; 5] = [1, 2, 5, 15, 60];

/// How long a stream must have lived for the waits to begin anew.
const STABLE: Duration = Duration::from_mins(1);

/// The waits between attempts: 1, 2, 5, 15, 60, 60 … seconds, each up to a fifth shorter or longer, so that a fleet
/// whose controller restarts doesn't come back in one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backoff {
    failures: usize,
}

impl Backoff {
    /// The wait before the next attempt. `random` is any number, evenly distributed.
    pub fn next(&mut self, random: u64) -> Duration {
        let seconds = STEPS[self.failures.min(STEPS.len() - 1)];
        self.failures = self.failures.saturating_add(1);
        // 800 to 1200 thousandths of a second for each second: 80 % to 120 %.
        Duration::from_millis(seconds * (800 + random % 401))
    }

    /// A stream has ended that lived for so long. After a minute the waits begin anew; a shorter one counts as one
    /// more failure, else a host whose stream breaks at once would dial without end.
    pub fn on_connected_for(&mut self, lived: Duration) {
        if lived >= STABLE {
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The random number that gives no jitter.
    const MIDDLE: u64 = 200;

    fn waits(backoff: &mut Backoff, count: usize) -> Vec<u64> {
        (0..count).map(|_| backoff.next(MIDDLE).as_secs()).collect()
    }

    #[test]
    fn the_waits_are_those_of_the_overview() {
        assert_eq!(waits(&mut Backoff::default(), 7), [1, 2, 5, 15, 60, 60, 60]);
    }

    #[test]
    fn only_a_minute_of_life_resets() {
        let mut backoff = Backoff::default();
        assert_eq!(waits(&mut backoff, 3), [1, 2, 5]);
        backoff.on_connected_for(Duration::from_millis(59_999));
        assert_eq!(waits(&mut backoff, 1), [15]);
        backoff.on_connected_for(Duration::from_mins(1));
        assert_eq!(waits(&mut backoff, 2), [1, 2]);
    }

    proptest! {
        #[test]
        fn jitter_is_a_fifth_at_most(random in any::<u64>(), failures in 0_usize..9) {
            let mut backoff = Backoff { failures };
            let base = STEPS[failures.min(4)];
            let wait = backoff.next(random);
            prop_assert!(wait >= Duration::from_millis(base * 800) && wait <= Duration::from_millis(base * 1200));
        }
    }
}
