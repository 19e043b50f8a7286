//! A sealed value: `1 · key id (8) · nonce (12) · ciphertext and tag`, AES-256-GCM. The row's key and the key's id are
//! authenticated with it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{SecretError, key::MasterKey};

/// The form of a row.
const FORM: u8 = 1;
const HEADER: usize = 1 + 8 + NONCE_LEN;

/// Seals `value` for the row called `row`, and no other.
pub(super) fn seal(key: &MasterKey, row: &str, value: &[u8]) -> Result<Vec<u8>, SecretError> {
    let mut nonce = [0; NONCE_LEN];
    // 2^32 values may be sealed with one key before two random nonces are likely to meet; rotation begins anew.
    getrandom::fill(&mut nonce).map_err(|_| SecretError::Crypto("the system gives no random numbers"))?;
    let mut sealed = Zeroizing::new(value.to_vec());
    cipher(key)
        .ok_or(SecretError::Crypto("the key isn't one"))?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), context(key, row), &mut *sealed)
        .map_err(|_| SecretError::Crypto("the cipher refused"))?;
    let mut out = Vec::with_capacity(HEADER + sealed.len());
    out.push(FORM);
    out.extend_from_slice(&key.id());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
    Ok(out)
}

/// Opens a row with `key`; none if it wasn't sealed with it, for this row, as it is.
pub(super) fn open(key: &MasterKey, row: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (header, body) = sealed.split_at_checked(HEADER)?;
    let nonce: [u8; NONCE_LEN] = header.get(9..)?.try_into().ok()?;
    if header[0] != FORM || header.get(1..9)? != key.id() {
        return None;
    }
    let mut body = Zeroizing::new(body.to_vec());
    let length = cipher(key)?
        .open_in_place(Nonce::assume_unique_for_key(nonce), context(key, row), &mut body)
        .ok()?
        .len();
    body.truncate(length);
    Some(body)
}

/// Whether `key` sealed this row.
pub(super) fn is_by(key: &MasterKey, sealed: &[u8]) -> bool {
    sealed.get(1..9) == Some(&key.id()[..])
}

fn cipher(key: &MasterKey) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key.bytes()).ok().map(LessSafeKey::new)
}

fn context(key: &MasterKey, row: &str) -> Aad<Vec<u8>> {
    let mut context = b"aegis sealed value\0".to_vec();
    context.push(FORM);
    context.extend_from_slice(&key.id());
    context.extend_from_slice(row.as_bytes());
    Aad::from(context)
}
