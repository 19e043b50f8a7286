//! Ctrl-C: the first asks to stop between two writes, so that what is half done is at least known; the second leaves.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use aegis_core::ExitCode;
use tokio::sync::Notify;

use crate::terminal::Stream;

/// Whether somebody asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<State>);

#[derive(Debug, Default)]
struct State {
    asked: AtomicBool,
    changed: Notify,
    /// What is said by the second.
    farewell: Mutex<String>,
}

impl Interrupt {
    /// Listens from now on. Must be called inside a runtime.
    pub fn listen() -> Self {
        let interrupt = Self::default();
        let listener = interrupt.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                listener.ask();
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                listener.leave();
            }
        });
        interrupt
    }
    /// Whether it was asked.
    pub fn is_set(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }
    /// Until it is asked.
    pub async fn asked(&self) {
        let changed = self.0.changed.notified();
        if !self.is_set() {
            changed.await;
        }
    }
    /// What the second Ctrl-C says before it leaves.
    pub fn on_leaving(&self, farewell: String) {
        *self.0.farewell.lock().unwrap_or_else(PoisonError::into_inner) = farewell;
    }
    /// Asks.
    pub fn ask(&self) {
        self.0.asked.store(true, Ordering::Relaxed);
        self.0.changed.notify_waiters();
    }

    #[allow(clippy::disallowed_methods, reason = "asked twice: whatever is under way isn't waited for")]
    #[allow(clippy::print_stderr, reason = "messages go to stderr")]
    fn leave(&self) {
        let farewell = self.0.farewell.lock().unwrap_or_else(PoisonError::into_inner);
        if !farewell.is_empty() {
            // The terminal's cursor stands behind "^C", or behind a progress bar.
            let begin = if Stream::Stderr.is_terminal() { "\n" } else { "" };
            eprintln!("{begin}{farewell}");
        }
        std::process::exit(ExitCode::Cancelled.code().into());
    }
}
