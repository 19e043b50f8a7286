//! Wall-clock time and randomness as parameters, so that tests choose them. Monotonic time is tokio's.

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;

    /// Whole seconds since 1970, as in tokens.
    fn now_seconds(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock that others are given")]
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        }
    }
}

/// Random numbers: stream ids, and the spread of reconnects.
pub trait Random: Send + Sync + 'static {
    /// Any number, evenly distributed.
    fn number(&self) -> u64;

    /// 128 bits as hex, for an id that nobody guesses.
    fn id(&self) -> String {
        format!("{:016x}{:016x}", self.number(), self.number())
    }
}

/// The system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn number(&self) -> u64 {
        // Linux gives random numbers to whoever asks once it is up. Where it doesn't, an id that repeats only
        // makes the controller refuse a stream; nothing secret is drawn from here.
        getrandom::u64().unwrap_or_default()
    }
}

/// Milliseconds since 1970 as RFC 3339 in UTC, to the second.
pub fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1000))
        .map_or_else(|_| "(unknown)".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_to_the_second() {
        assert_eq!(rfc3339(1_777_386_731_999), "2026-04-28T14:32:11Z");
        assert_eq!(rfc3339(i64::MAX), "(unknown)");
    }

    #[test]
    fn ids_differ() {
        assert_ne!(SystemRandom.id(), SystemRandom.id());
        assert_eq!(SystemRandom.id().len(), 32);
        assert!(SystemClock.now_ms() > 1_700_000_000_000);
    }
}
