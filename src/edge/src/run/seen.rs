//! Which commands came before. Each is done once, whatever arrives. It isn't kept over a restart: an order comes in an
//! envelope of one stream, and the stream of another time is another.

use std::collections::HashMap;

use aegis_core::{fleet::CommandId, session::CLOCK_TOLERANCE_MS};

/// More than so many aren't remembered, about 1 MB.
const MOST: usize = 8192;
/// Below so many it isn't worth looking for what may be forgotten.
const FEW: usize = 256;

/// Why a command isn't noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotNoted {
    /// It came before.
    Repeated,
    /// There are as many as are remembered, and the orders of all are still good. To forget one would let it be done
    /// twice, so it is the new one that has to wait.
    Full,
}

/// The commands that came, until their orders have expired.
#[derive(Debug, Default)]
pub(super) struct Seen {
    until_ms: HashMap<CommandId, i64>,
    /// How many there are when it is time to forget some.
    prune_at: usize,
}

impl Seen {
    /// Notes a command whose order is good until `expires_at_ms`.
    pub fn note(&mut self, command: &CommandId, expires_at_ms: i64, now_ms: i64) -> Result<(), NotNoted> {
        if self.until_ms.contains_key(command) {
            return Err(NotNoted::Repeated);
        }
        if self.until_ms.len() >= self.prune_at.max(FEW) {
            self.forget(now_ms);
        }
        if self.until_ms.len() >= MOST {
            return Err(NotNoted::Full);
        }
        self.until_ms.insert(command.clone(), expires_at_ms);
        Ok(())
    }

    /// Forgets what has expired: an order is good for as long after its end as clocks may differ, and the own one may be
    /// set back by as much.
    fn forget(&mut self, now_ms: i64) {
        let tolerance = 2 * CLOCK_TOLERANCE_MS.cast_signed();
        self.until_ms.retain(|_, until| until.saturating_add(tolerance) >= now_ms);
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
            assert_eq!(seen.note(&command(1), expires, 10), Err(NotNoted::Repeated));
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
        assert_eq!(seen.note(&command(7), 1000, 500), Err(NotNoted::Repeated));
        seen.forget(1000 + 60_001);
        assert!(seen.until_ms.is_empty());
    }

    #[test]
    fn the_memory_is_bounded_and_what_is_beyond_waits_until_something_has_expired() {
        let mut seen = Seen::default();
        let count = u32::try_from(MOST).unwrap();
        let soon = 1000;
        let end = |number: u32| if number == 7 { soon } else { 86_400_000 };
        for number in 0..count {
            assert_eq!(seen.note(&command(number), end(number), 0), Ok(()));
        }
        // However late it expires, and none that came before is taken for a new one.
        for expires in [1, soon, i64::MAX] {
            assert_eq!(seen.note(&command(count), expires, 0), Err(NotNoted::Full));
        }
        for number in 0..count {
            assert_eq!(seen.note(&command(number), i64::MAX, 0), Err(NotNoted::Repeated), "{number}");
        }
        let later = soon + 60_001;
        assert_eq!(seen.note(&command(count), 86_400_000, later), Ok(()));
        assert_eq!(seen.note(&command(count + 1), 86_400_000, later), Err(NotNoted::Full));
        assert_eq!(seen.until_ms.len(), MOST);
    }
}
