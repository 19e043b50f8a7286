//! A token bucket a source address, or whoever else, in bounded memory.

use std::{collections::HashMap, hash::Hash, net::IpAddr, sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::config::EnrollmentLimits;

/// How many are remembered. Beyond it, those that have been quiet are forgotten first.
const REMEMBERED: usize = 10_000;

/// Limits how often each address, or each `Who`, may do something.
#[derive(Debug)]
pub(crate) struct RateLimiter<Who = IpAddr> {
    /// What an attempt costs.
    price: u64,
    /// What is gained in a millisecond.
    gain: u64,
    /// What a full bucket holds.
    full: u64,
    remembered: usize,
    buckets: Mutex<HashMap<Who, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// What is left, in the limiter's own unit.
    left: u64,
    at: Instant,
}

impl<Who: Eq + Hash> RateLimiter<Who> {
    pub fn new(limits: EnrollmentLimits) -> Self {
        let full = u64::from(limits.burst) * 1000;
        let gain = u64::from(limits.rate_per_second);
        Self { price: 1000, gain, full, remembered: REMEMBERED, buckets: Mutex::default() }
    }

    /// One attempt each `seconds`, and `burst` at once; `remembered` of them are told apart.
    pub fn every(seconds: u32, burst: u32, remembered: usize) -> Self {
        let price = u64::from(seconds) * 1000;
        Self { price, gain: 1, full: u64::from(burst) * price, remembered, buckets: Mutex::default() }
    }

    /// Takes one attempt of `who`. False: there is none left at `now`.
    pub fn take(&self, who: Who, now: Instant) -> bool {
        let mut buckets = crate::lock(&self.buckets);
        if buckets.len() >= self.remembered && !buckets.contains_key(&who) {
            buckets.retain(|_, bucket| self.refilled(*bucket, now) < self.full);
            if buckets.len() >= self.remembered {
                return false;
            }
        }
        let bucket = buckets.entry(who).or_insert(Bucket { left: self.full, at: now });
        let left = self.refilled(*bucket, now);
        let allowed = left >= self.price;
        *bucket = Bucket { left: if allowed { left - self.price } else { left }, at: now };
        allowed
    }

    fn refilled(&self, bucket: Bucket, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(bucket.at).min(Duration::from_hours(1));
        let gained = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX) * self.gain;
        bucket.left.saturating_add(gained).min(self.full)
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
    async fn an_attempt_may_take_seconds_to_come_back() {
        let limiter = RateLimiter::every(10, 2, 1);
        let now = Instant::now();
        assert_eq!([0; 3].map(|_| limiter.take("one", now)), [true, true, false]);
        assert!(!limiter.take("one", now + Duration::from_millis(9_999)));
        assert!(limiter.take("one", now + Duration::from_secs(10)));
        assert!(!limiter.take("two", now + Duration::from_secs(10)), "one is remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let limiter = RateLimiter::new(EnrollmentLimits { rate_per_second: 1, burst: 1 });
        let now = Instant::now();
        for number in 0..u32::try_from(REMEMBERED).unwrap_or(0) {
            assert!(limiter.take(IpAddr::from(number.to_be_bytes()), now));
        }
        let stranger = IpAddr::from([255, 0, 0, 1]);
        assert!(!limiter.take(stranger, now));
        assert!(limiter.take(stranger, now + Duration::from_secs(2)), "the quiet ones are forgotten");
    }
}
