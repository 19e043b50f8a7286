//! Secrets at rest: sealed with a key of the role that keeps them, each bound to its place, and told apart by a keyed
//! digest without being read.

use aegis_core::Secret;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};

/// The bytes of a sealing key, and of a digest key.
pub const KEY_LENGTH: usize = 32;

/// Stands before every sealed value, so that the form can change.
const FORM: u8 = 1;

/// Why something can't be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A key of another length.
    #[error("a key has {KEY_LENGTH} bytes, not {0}")]
    KeyLength(usize),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// Sealed with another key, for another place, or damaged.
    #[error("the value was sealed with another key or for another place, or is damaged")]
    NotOurs,
}

/// Seals and opens values: AES-256-GCM with a random nonce, bound to a context.
pub struct SealingKey(LessSafeKey);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey([redacted])")
    }
}

/// So many random bytes.
pub fn random_key() -> Result<Secret<Vec<u8>>, SealError> {
    let mut bytes = vec![0; KEY_LENGTH];
    getrandom::fill(&mut bytes).map_err(|_| SealError::NoRandomness)?;
    Ok(Secret::new(bytes))
}

impl SealingKey {
    /// The key of these bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| SealError::KeyLength(bytes.len()))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals `value` for the place that `context` names: in another place it can't be opened.
    pub fn seal(&self, context: &[&str], value: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let mut sealed = value.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(joined(context)),
                &mut sealed,
            )
            .map_err(|_| SealError::NotOurs)?;
        Ok([&[FORM], &nonce[..], &sealed].concat())
    }

    /// The value that was sealed for this place.
    pub fn open(&self, context: &[&str], sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let rest = sealed.strip_prefix(&[FORM]).ok_or(SealError::NotOurs)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::NotOurs)?;
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .0
            .open_in_place(nonce, Aad::from(joined(context)), &mut bytes)
            .map_err(|_| SealError::NotOurs)?
            .len();
        bytes.truncate(length);
        Ok(Secret::new(bytes))
    }
}

/// Each part with its length before it, so that no two contexts are the same bytes.
fn joined(parts: &[&str]) -> Vec<u8> {
    let mut joined = b"aegis-secret-v1".to_vec();
    for part in parts {
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part.as_bytes());
    }
    joined
}

/// What tells a secret's values apart without showing them: HMAC-SHA-256 by a key that never leaves the role and its
/// operators. `place` is its scope and name.
pub fn digest(key: &[u8], place: &[&str], value: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(&joined(place));
    context.update(value);
    format!("hmac-sha256:{}", hex::encode(context.sign()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_value_is_opened_only_by_its_key_and_in_its_place() {
        let key = SealingKey::new(&[7; 32]).unwrap();
        let sealed = key.seal(&["app", "web", "TOKEN"], b"hunter2").unwrap();
        assert!(!sealed.windows(7).any(|bytes| bytes == b"hunter2"));
        assert_eq!(key.open(&["app", "web", "TOKEN"], &sealed).unwrap().expose(), b"hunter2");
        for place in [&["app", "web", "OTHER"][..], &["app", "webTOKEN"], &["workspace", "TOKEN"], &[]] {
            assert_eq!(key.open(place, &sealed).unwrap_err(), SealError::NotOurs, "{place:?}");
        }
        let other = SealingKey::new(&[8; 32]).unwrap();
        assert_eq!(other.open(&["app", "web", "TOKEN"], &sealed).unwrap_err(), SealError::NotOurs);
    }

    #[test]
    fn what_was_altered_or_cut_is_refused() {
        let key = SealingKey::new(&[7; 32]).unwrap();
        let sealed = key.seal(&["a"], b"value").unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(key.open(&["a"], &altered).is_err(), "byte {at}");
            assert!(key.open(&["a"], &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_value_sealed_twice_is_not_the_same_twice() {
        let key = SealingKey::new(&[7; 32]).unwrap();
        assert_ne!(key.seal(&["a"], b"value").unwrap(), key.seal(&["a"], b"value").unwrap());
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        for length in [0, 16, 31, 33] {
            assert_eq!(SealingKey::new(&vec![0; length]).unwrap_err(), SealError::KeyLength(length));
        }
    }

    #[test]
    fn a_digest_says_whether_a_value_changed_and_nothing_else() {
        let of = |key: u8, place: &[&str], value: &str| digest(&[key; 32], place, value.as_bytes());
        let one = of(1, &["workspace", "TOKEN"], "hunter2");
        assert_eq!(one, of(1, &["workspace", "TOKEN"], "hunter2"));
        assert_ne!(one, of(1, &["workspace", "TOKEN"], "hunter3"));
        assert_ne!(one, of(1, &["workspace", "OTHER"], "hunter2"));
        assert_ne!(one, of(2, &["workspace", "TOKEN"], "hunter2"));
    }
}
