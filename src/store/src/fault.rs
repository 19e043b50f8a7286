//! Places where a test may kill the process, to prove that nothing acknowledged is lost and nothing half-done is left.
//!
//! `AEGIS_FAULT="store.commit.before:7"` makes the process kill itself (SIGKILL, so nothing is flushed or dropped) the
//! seventh time that this point is passed after [`arm`]. In builds without debug assertions every function is empty.

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    /// The point and how many passes are left, once armed.
    static PLAN: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();

    pub fn arm(text: Option<String>) {
        PLAN.get_or_init(|| {
            let text = text?;
            let (name, count) = text.rsplit_once(':')?;
            Some((name.to_owned(), AtomicU64::new(count.parse().ok().filter(|count| *count > 0)?)))
        });
    }

    pub fn point(name: &str) {
        let Some(Some((planned, left))) = PLAN.get() else { return };
        if planned == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Only fails for a process that isn't there, and this one is.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

/// Reads `AEGIS_FAULT` and counts from now on. Called when the process is ready.
pub fn arm() {
    #[cfg(debug_assertions)]
    armed::arm(std::env::var("AEGIS_FAULT").ok());
}

/// Passes the point `name`.
#[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "faults are for tests only"))]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    armed::point(name);
}
