//! Ctrl-C: the first asks to stop between two writes, so that what is half done is at least known; the second leaves.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use aegis_core::ExitCode;

/// Whether somebody asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on. Must be called inside a runtime.
    pub fn listen() -> Self {
        let interrupt = Self::default();
        let flag = interrupt.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                flag.0.store(true, Ordering::Relaxed);
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                leave();
            }
        });
        interrupt
    }
    /// Whether it was asked.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[allow(clippy::disallowed_methods, reason = "asked twice: whatever is under way isn't waited for")]
fn leave() {
    std::process::exit(ExitCode::Cancelled.code().into());
}
