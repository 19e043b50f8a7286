//! Which commands came before. Each is done once, whatever arrives. It isn't kept over a restart: an order comes in an
//! envelope of one stream, and the stream of another time is another.

use std::collections::HashMap;

use aegis_core::{fleet::CommandId, session::CLOCK_TOLERANCE_MS};

/// More than so many aren't remembered, about 1 MB.
const MOST: usize = 8192;
/// Below so many it isn't worth looking for what may be forgotten.
const FEW: usize = 256;

/// The command came before, or it can't be told any more whether it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeated;

/// The commands that came, until their orders have expired.
#[derive(Debug, Default)]
pub(super) struct Seen {
    until_ms: HashMap<CommandId, i64>,
    /// Of what expires at this time or before, some was forgotten early.
    floor_ms: i64,
    /// How many there are when it is time to forget some.
    prune_at: usize,
}

impl Seen {
    /// Notes a command whose order is good until `expires_at_ms`.
    pub fn note(&mut self, command: &CommandId, expires_at_ms: i64, now_ms: i64) -> Result<(), Repeated> {
        if self.until_ms.contains_key(command) || expires_at_ms <= self.floor_ms {
            return Err(Repeated);
        }
        if self.until_ms.len() >= self.prune_at.max(FEW) {
            self.forget(now_ms);
        }
        self.until_ms.insert(command.clone(), expires_at_ms);
        Ok(())
    }

    /// Forgets what has expired: an order is good for as long after its end as clocks may differ, and the own one may be
    /// set back by as much. When that doesn't help, the half that expires first; their orders are refused from then on.
    fn forget(&mut self, now_ms: i64) {
        let tolerance = 2 * CLOCK_TOLERANCE_MS.cast_signed();
        self.until_ms.retain(|_, until| until.saturating_add(tolerance) >= now_ms);
        if self.until_ms.len() >= MOST {
            let mut ends: Vec<i64> = self.until_ms.values().copied().collect();
            let (_, middle, _) = ends.select_nth_unstable(MOST / 2);
            let floor = *middle;
            self.floor_ms = self.floor_ms.max(floor);
            self.until_ms.retain(|_, until| *until > floor);
        }
        self.prune_at = (2 * self.until_ms.len()).clamp(FEW, MOST);
    }
}

#[cfg(test)]
mod tests {
    use aegis_core::fleet::RunId;

    use super::*;

    fn command(number: u32) -> CommandId {
        CommandId::of(&RunId::at(1, [0; 4]), number)
    }

    #[test]
    fn a_command_comes_once_whatever_its_order_says() {
        let mut seen = Seen::default();
        assert_eq!(seen.note(&command(1), 1000, 0), Ok(()));
        for expires in [1000, 999, 100_000] {
            assert_eq!(seen.note(&command(1), expires, 10), Err(Repeated));
        }
        assert_eq!(seen.note(&command(2), 1000, 10), Ok(()));
    }

    #[test]
    fn what_has_expired_is_forgotten_but_not_before_the_clock_may_be_off() {
        let mut seen = Seen::default();
        for number in 0..1000 {
            assert_eq!(seen.note(&command(number), 1000, 0), Ok(()));
        }
        // The order itself is refused by now; if the clock is set back it is still known.
        seen.forget(1000 + 60_000);
        assert_eq!(seen.note(&command(7), 1000, 500), Err(Repeated));
        seen.forget(1000 + 60_001);
        assert!(seen.until_ms.is_empty());
    }

    #[test]
    fn the_memory_is_bounded_and_what_was_forgotten_early_is_refused() {
        let mut seen = Seen::default();
        let far = 86_400_000;
        for number in 0..5 * 8192 {
            assert_eq!(seen.note(&command(number), far + i64::from(number), 0), Ok(()));
            assert!(seen.until_ms.len() <= MOST);
        }
        for number in [0, 100, 8192, 5 * 8192 - 1] {
            assert_eq!(seen.note(&command(number), far + i64::from(number), 0), Err(Repeated), "{number}");
        }
    }
}
