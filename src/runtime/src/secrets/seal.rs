//! A sealed value: the key's id (8 bytes), and what [`SealingKey`] makes of the value for its row.

use aegis_wire::seal::SealingKey;
use zeroize::Zeroizing;

use super::{SecretError, key::MasterKey};

const ID: usize = 8;

/// Seals `value` for the row called `row`, and no other.
pub(super) fn seal(key: &MasterKey, row: &str, value: &[u8]) -> Result<Vec<u8>, SecretError> {
    // 2^32 values may be sealed with one key before two random nonces are likely to meet; rotation begins anew.
    let sealed = SealingKey::new(key.bytes()).and_then(|cipher| cipher.seal(&[row], value));
    let sealed = sealed.map_err(|_| SecretError::Crypto("the value can't be sealed"))?;
    Ok([&key.id()[..], &sealed].concat())
}

/// Opens a row with `key`; none if it wasn't sealed with it, for this row, as it is.
pub(super) fn open(key: &MasterKey, row: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (_, body) = sealed.split_at_checked(ID).filter(|_| is_by(key, sealed))?;
    let value = SealingKey::new(key.bytes()).ok()?.open(&[row], body).ok()?;
    Some(Zeroizing::new(value.expose().clone()))
}

/// Whether `key` sealed this row.
pub(super) fn is_by(key: &MasterKey, sealed: &[u8]) -> bool {
    sealed.get(..ID) == Some(&key.id()[..])
}
