//! How often: a token bucket for each capability that bounds it. It holds as many as the rate allows in its span, and
//! fills evenly.

use std::collections::HashMap;

use aegis_kinds::Rate;
use tokio::time::Instant;

/// The buckets, by the capability's key.
#[derive(Debug, Default)]
pub(super) struct Buckets(HashMap<String, Bucket>);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
    rate: Rate,
}

impl Bucket {
    fn fill(&mut self, rate: Rate, now: Instant) {
        if self.rate != rate {
            *self = Self { tokens: f64::from(rate.count), at: now, rate };
        }
        let spans = now.saturating_duration_since(self.at).as_secs_f64() / rate.per.as_secs_f64();
        self.tokens = (self.tokens + spans * f64::from(rate.count)).min(f64::from(rate.count));
        self.at = now;
    }
}

/// Buckets that are full again say nothing; from this number on they are forgotten.
const MANY: usize = 1024;

impl Buckets {
    /// Takes one from each, or, when one of them is empty, nothing from any: then it is that rate.
    pub fn take(&mut self, rates: &[(String, Rate)], now: Instant) -> Result<(), Rate> {
        if self.0.len() > MANY {
            self.0.retain(|_, bucket| {
                bucket.fill(bucket.rate, now);
                bucket.tokens < f64::from(bucket.rate.count)
            });
        }
        for (key, rate) in rates {
            let new = || Bucket { tokens: f64::from(rate.count), at: now, rate: *rate };
            let bucket = self.0.entry(key.clone()).or_insert_with(new);
            bucket.fill(*rate, now);
            if bucket.tokens < 1.0 {
                return Err(*rate);
            }
        }
        for (key, _) in rates {
            if let Some(bucket) = self.0.get_mut(key) {
                bucket.tokens -= 1.0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rates(all: &[(&str, &str)]) -> Vec<(String, Rate)> {
        all.iter().map(|(key, rate)| ((*key).to_owned(), rate.parse().unwrap())).collect()
    }

    #[test]
    fn as_many_as_the_rate_says_and_then_one_after_the_other() {
        let (mut buckets, mut now) = (Buckets::default(), Instant::now());
        let twice = rates(&[("a", "2/m")]);
        assert!(buckets.take(&twice, now).is_ok() && buckets.take(&twice, now).is_ok());
        assert_eq!(buckets.take(&twice, now), Err(twice[0].1));
        now += Duration::from_secs(29);
        assert!(buckets.take(&twice, now).is_err());
        now += Duration::from_secs(2);
        assert!(buckets.take(&twice, now).is_ok());
        assert!(buckets.take(&twice, now).is_err());
        now += Duration::from_hours(1);
        assert!(buckets.take(&twice, now).is_ok() && buckets.take(&twice, now).is_ok());
        assert!(buckets.take(&twice, now).is_err());
    }

    #[test]
    fn a_refused_call_takes_nothing_from_any_bucket() {
        let (mut buckets, now) = (Buckets::default(), Instant::now());
        buckets.take(&rates(&[("narrow", "1/h")]), now).unwrap();
        let both = rates(&[("wide", "1/h"), ("narrow", "1/h")]);
        assert!(buckets.take(&both, now).is_err());
        assert!(buckets.take(&rates(&[("wide", "1/h")]), now).is_ok());
    }

    #[test]
    fn a_rate_that_changed_counts_at_once_and_full_buckets_are_forgotten() {
        let (mut buckets, now) = (Buckets::default(), Instant::now());
        buckets.take(&rates(&[("a", "1/h")]), now).unwrap();
        assert!(buckets.take(&rates(&[("a", "2/h")]), now).is_ok());
        for number in 0..2 * MANY {
            buckets.take(&[(number.to_string(), "1/s".parse().unwrap())], now).unwrap();
        }
        buckets.take(&[], now + Duration::from_mins(1)).unwrap();
        assert_eq!(buckets.0.len(), 1);
    }
}
