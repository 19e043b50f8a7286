//! The master key: 32 random bytes in a file of mode 0600.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::SecretError;
use crate::home::write_private;

/// Its length in bytes.
pub(super) const LENGTH: usize = 32;

/// A key, and how rows name it.
pub(super) struct MasterKey {
    bytes: Zeroizing<[u8; LENGTH]>,
    id: [u8; 8],
}

impl MasterKey {
    /// The key in a file; none if there is no file.
    pub fn load(path: &Path) -> Result<Option<Self>, SecretError> {
        let failed = |source| SecretError::Io { path: path.to_owned(), source };
        let bytes = match fs::read(path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretError::KeyMode { path: path.to_owned(), mode });
        }
        let key = <[u8; LENGTH]>::try_from(bytes.as_slice())
            .map_err(|_| SecretError::KeyLength { path: path.to_owned(), length: bytes.len() })?;
        Ok(Some(Self::new(Zeroizing::new(key))))
    }

    /// A new key, on the disk when this returns.
    pub fn make(path: &Path) -> Result<Self, SecretError> {
        let bytes = random()?;
        write_private(path, bytes.as_slice())
            .map_err(|source| SecretError::Io { path: path.to_owned(), source })?;
        Ok(Self::new(bytes))
    }

    fn new(bytes: Zeroizing<[u8; LENGTH]>) -> Self {
        let digest =
            Sha256::new().chain_update(b"aegis master key\0").chain_update(bytes.as_slice()).finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Self { bytes, id }
    }

    pub fn bytes(&self) -> &[u8; LENGTH] {
        &self.bytes
    }

    /// A name that says nothing of the key.
    pub fn id(&self) -> [u8; 8] {
        self.id
    }
}

/// A fresh key's bytes.
pub(super) fn random() -> Result<Zeroizing<[u8; LENGTH]>, SecretError> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|_| SecretError::Crypto("the system gives no random numbers"))?;
    Ok(bytes)
}
