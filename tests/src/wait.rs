//! Waiting for a condition, with a bound.

use std::{
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

/// How long anything that is to happen at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What `look` finds, once it finds something.
///
/// # Panics
/// When it finds nothing within `bound`; `what` says what was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, bound: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + bound;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {bound:?} in vain: {what}");
        thread::sleep(LOOK_EVERY);
    }
}

/// The time of day in whole seconds since 1970: real programs go by it.
pub fn unix_seconds() -> u64 {
    UNIX_EPOCH.elapsed().unwrap().as_secs()
}
