//! The time of day, as a parameter. Monotonic time is tokio's, which tests pause.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

/// Tells the time of day.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The system's.
    #[expect(clippy::disallowed_methods, reason = "this is the Clock that is given to everybody else")]
    pub fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    /// One that says what `tell` says.
    pub fn new(tell: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
