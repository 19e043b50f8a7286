//! The nonces of enrolment: good for five minutes, one use, and the key that asked.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use aegis_wire::{PublicKey, keys};
use tokio::time::Instant;

use crate::lock;

/// How long a nonce is good.
const LIFE: Duration = Duration::from_mins(5);
/// How many may be open at once.
const OPEN: usize = 20_000;

/// Why no nonce can be given.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoNonce {
    #[error("too many enrolments are under way")]
    TooMany,
    #[error(transparent)]
    Random(#[from] keys::KeyError),
}

/// Those that were given and not used.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<HashMap<[u8; 32], Given>>);

/// The key that asked, and when.
type Given = ([u8; 32], Instant);

impl Nonces {
    /// A new nonce for whoever holds `key`.
    pub fn give(&self, key: &PublicKey, now: Instant) -> Result<[u8; 32], NoNonce> {
        let nonce = keys::random::<32>()?;
        let mut open = lock(&self.0);
        if open.len() >= OPEN {
            open.retain(|_, (_, given)| now.saturating_duration_since(*given) < LIFE);
            if open.len() >= OPEN {
                return Err(NoNonce::TooMany);
            }
        }
        open.insert(nonce, (*key.as_bytes(), now));
        Ok(nonce)
    }

    /// Uses a nonce up. False: it was never given to this key, is used, or too old.
    pub fn take(&self, nonce: &[u8; 32], key: &PublicKey, now: Instant) -> bool {
        lock(&self.0).remove(nonce).is_some_and(|(owner, given)| {
            owner == *key.as_bytes() && now.saturating_duration_since(given) < LIFE
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use aegis_wire::SigningKey;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_nonce_is_good_once_for_five_minutes_and_one_key() {
        let nonces = Nonces::default();
        let [key, other] = [1, 2].map(|seed| SigningKey::from_seed(&[seed; 32]).public());
        let now = Instant::now();
        let nonce = nonces.give(&key, now).unwrap();
        assert!(nonces.take(&nonce, &key, now));
        assert!(!nonces.take(&nonce, &key, now), "once");
        let nonce = nonces.give(&key, now).unwrap();
        assert!(!nonces.take(&nonce, &other, now), "one key");
        assert!(!nonces.take(&nonce, &key, now), "a wrong use spends it");
        let nonce = nonces.give(&key, now).unwrap();
        assert!(!nonces.take(&nonce, &key, now + LIFE), "five minutes");
        assert!(!nonces.take(&[7; 32], &key, now), "never given");
    }

    #[tokio::test(start_paused = true)]
    async fn open_ones_are_bounded_and_old_ones_make_room() {
        let nonces = Nonces::default();
        let key = SigningKey::from_seed(&[1; 32]).public();
        let now = Instant::now();
        for _ in 0..OPEN {
            nonces.give(&key, now).unwrap();
        }
        assert_eq!(nonces.give(&key, now), Err(NoNonce::TooMany));
        assert!(nonces.give(&key, now + LIFE).is_ok());
    }
}
