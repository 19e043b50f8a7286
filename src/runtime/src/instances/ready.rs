//! When an instance is ready, and when it is busy.

use std::{sync::Arc, time::Duration};

use aegis_backend::{Guest, GuestError};
use aegis_harness::message::Health;

use crate::{config::Config, record::RunSpec, state::Daemon};

/// Between two attempts to connect.
const AGAIN: Duration = Duration::from_millis(50);
/// Less of the CPU than this is the noise of an idle system: two of a hundred.
const IDLE_SHARE: u32 = 50;

/// Waits until the port accepts a connection that has to.
pub(super) async fn wait(daemon: &Arc<Daemon>, guest: &Guest, run: &RunSpec) -> Result<(), String> {
    let port = match run.readiness_port {
        Some(0) => None,
        Some(port) => Some(port),
        None => run.expose.first().map(|expose| expose.guest),
    };
    let Some(port) = port else { return Ok(()) };
    let limit = run
        .readiness_ms
        .map_or(Duration::from_secs(daemon.config.limits.ready_seconds), Duration::from_millis);
    let attempts = async {
        loop {
            match guest.connect(port).await {
                Ok(_) => return,
                // Its end is told by its machine's or its process's.
                Err(GuestError::Closed(_)) => std::future::pending::<()>().await,
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    };
    tokio::time::timeout(limit, attempts)
        .await
        .map_err(|_| format!("port {port} accepted no connection within {} s", limit.as_secs_f64()))
}

/// How often a guest is asked how it is: often enough that work is noticed before it counts as idle.
pub(super) fn health_every(run: &RunSpec, config: &Config) -> Duration {
    let pause_after = run.pause_after_ms.map(Duration::from_millis).or(config.idle_times().0);
    pause_after
        .unwrap_or(Duration::MAX)
        .div_f64(4.0)
        .clamp(Duration::from_millis(100), Duration::from_secs(10))
}

/// Whether a guest did something between two answers.
pub(super) fn was_busy(before: &Health, now: &Health, passed: Duration) -> bool {
    let cpu = Duration::from_micros(now.cpu_us.saturating_sub(before.cpu_us));
    now.packets > before.packets || cpu * IDLE_SHARE > passed
}

/// A guest that was paused is behind by as long: it is told the time.
pub(super) fn set_clock(daemon: &Daemon, guest: &Guest) {
    let now = u64::try_from(daemon.clock.now().as_nanosecond()).unwrap_or(0);
    if let Err(error) = guest.set_clock(now) {
        tracing::debug!(%error, "a guest's clock isn't set");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_and_work_count_and_noise_does_not() {
        let health = |cpu_us, packets| Health { cpu_us, packets, ..Health::default() };
        let second = Duration::from_secs(1);
        assert!(was_busy(&health(0, 1), &health(0, 2), second));
        assert!(was_busy(&health(0, 0), &health(30_000, 0), second));
        assert!(!was_busy(&health(0, 0), &health(10_000, 0), second));
    }
}
