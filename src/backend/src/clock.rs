//! The rate of the host's time stamp counter, which a guest's kernel is told instead of measuring it.

use std::time::{Duration, Instant};

/// A longer measurement is no better than the clock's own drift.
const ENOUGH: Duration = Duration::from_millis(20);

/// A measurement that began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeStampCounter {
    began: Instant,
    count: Option<u64>,
}

impl TimeStampCounter {
    /// Begins to measure.
    pub(crate) fn start() -> Self {
        Self { began: Instant::now(), count: count() }
    }

    /// The rate in kHz; waits if the beginning was just now. None: the CPU has no such counter.
    pub(crate) async fn khz(&self) -> Option<u64> {
        tokio::time::sleep(ENOUGH.saturating_sub(self.began.elapsed())).await;
        let ticks = count()?.checked_sub(self.count?)?;
        let khz = u128::from(ticks) * 1_000_000 / self.began.elapsed().as_nanos().max(1);
        u64::try_from(khz).ok().filter(|khz| *khz > 0)
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(clippy::unnecessary_wraps, reason = "other CPUs have none")]
fn count() -> Option<u64> {
    #[allow(unsafe_code, reason = "an instruction without another form")]
    // SAFETY: it reads a register that every x86-64 CPU has and Linux lets everybody read.
    Some(unsafe { core::arch::x86_64::_rdtsc() })
}

#[cfg(not(target_arch = "x86_64"))]
fn count() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    #[cfg(target_arch = "x86_64")]
    async fn a_counter_runs_at_some_gigahertz() {
        let khz = super::TimeStampCounter::start().khz().await;
        assert!(khz.is_some_and(|khz| (200_000..20_000_000).contains(&khz)), "{khz:?}");
    }
}
