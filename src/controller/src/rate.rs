//! A token bucket a source address, in bounded memory.

use std::{collections::HashMap, net::IpAddr, sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::config::EnrollmentLimits;

/// How many addresses are remembered. Beyond it, those that have been quiet are forgotten first.
const ADDRESSES: usize = 10_000;

/// Limits how often each address may do something.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limits: EnrollmentLimits,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Thousandths of an attempt that are left.
    left: u64,
    at: Instant,
}

impl RateLimiter {
    pub fn new(limits: EnrollmentLimits) -> Self {
        Self { limits, buckets: Mutex::default() }
    }

    /// Takes one attempt of `address`. False: it has none left at `now`.
    pub fn take(&self, address: IpAddr, now: Instant) -> bool {
        let full = u64::from(self.limits.burst) * 1000;
        let mut buckets = crate::lock(&self.buckets);
        if buckets.len() >= ADDRESSES && !buckets.contains_key(&address) {
            buckets.retain(|_, bucket| self.refilled(*bucket, now) < full);
            if buckets.len() >= ADDRESSES {
                return false;
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket { left: full, at: now });
        let left = self.refilled(*bucket, now);
        let allowed = left >= 1000;
        *bucket = Bucket { left: if allowed { left - 1000 } else { left }, at: now };
        allowed
    }

    fn refilled(&self, bucket: Bucket, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(bucket.at).min(Duration::from_hours(1));
        let gained =
            u64::try_from(passed.as_millis()).unwrap_or(u64::MAX) * u64::from(self.limits.rate_per_second);
        bucket.left.saturating_add(gained).min(u64::from(self.limits.burst) * 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_has_a_burst_and_then_a_rate() {
        let limiter = RateLimiter::new(EnrollmentLimits { rate_per_second: 2, burst: 3 });
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let now = Instant::now();
        assert_eq!([0; 4].map(|_| limiter.take(one, now)), [true, true, true, false]);
        assert!(limiter.take(two, now), "another address has its own");
        let later = now + Duration::from_millis(600);
        assert_eq!([0; 2].map(|_| limiter.take(one, later)), [true, false]);
        let much_later = now + Duration::from_hours(500);
        assert_eq!([0; 4].map(|_| limiter.take(one, much_later)), [true, true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let limiter = RateLimiter::new(EnrollmentLimits { rate_per_second: 1, burst: 1 });
        let now = Instant::now();
        for number in 0..u32::try_from(ADDRESSES).unwrap_or(0) {
            assert!(limiter.take(IpAddr::from(number.to_be_bytes()), now));
        }
        let stranger = IpAddr::from([255, 0, 0, 1]);
        assert!(!limiter.take(stranger, now));
        assert!(limiter.take(stranger, now + Duration::from_secs(2)), "the quiet ones are forgotten");
    }
}
