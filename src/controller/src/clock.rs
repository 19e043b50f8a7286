//! The wall clock, as a parameter. Monotonic time is tokio's, which tests pause.

use std::fmt::Debug;

use jiff::Timestamp;

/// Tells the time of day.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Now, in milliseconds since 1970.
    fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock that is given to everybody else")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that runs with tokio's time, from a fixed point: for tests that pause it, and for simulated networks.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    started: tokio::time::Instant,
    at: Timestamp,
}

impl TokioClock {
    /// It is `at` now. Call it inside of the runtime whose time it follows.
    pub fn starting_at(at: Timestamp) -> Self {
        Self { started: tokio::time::Instant::now(), at }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let passed =
            jiff::SignedDuration::try_from(self.started.elapsed()).unwrap_or(jiff::SignedDuration::MAX);
        self.at.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }
}

/// A stored time, to the second, as listings show it.
pub(crate) fn time(ms: i64) -> Timestamp {
    // What no calendar holds was never stored by a clock.
    Timestamp::from_second(ms.div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A stored time that may be missing, 0, to the millisecond.
pub(crate) fn exact_time(ms: i64) -> Option<Timestamp> {
    (ms != 0).then(|| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// A stored time that may be missing: 0.
pub(crate) fn optional_time(ms: i64) -> Option<Timestamp> {
    (ms != 0).then(|| time(ms))
}
