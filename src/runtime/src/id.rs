//! Ids: a word for what it is, and hexadecimal digits that begin with the time, so that lists are in order.

use jiff::Timestamp;

/// A new id, such as `inst-0193a1b2c3d4e5f6a7b8`.
pub(crate) fn new(kind: &str, now: Timestamp) -> String {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    let mut random = [0; 5];
    if getrandom::fill(&mut random).is_err() {
        // Without random numbers nothing else works either; two ids in a millisecond still differ by the counter.
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        random[..4].copy_from_slice(&count.to_be_bytes());
    }
    format!("{kind}-{millis:011x}{}", hex::encode(random))
}

/// A one-time token.
pub(crate) fn token() -> std::io::Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(hex::encode(random))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_time_and_differ() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let (first, second) = (new("inst", at(1_700_000_000)), new("inst", at(1_900_000_000)));
        assert!(first < second && first.len() == second.len(), "{first} {second}");
        assert_ne!(new("inst", at(1)), new("inst", at(1)));
        assert!(first.len() <= 63, "it is a host name in the guest");
    }
}
