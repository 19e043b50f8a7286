//! `node.key.next`: the key of a rotation that isn't finished. As long as it is there, either it or `node.key` is the
//! node's key, and only the controller knows which.

use std::{fs, io, time::Duration};

use aegis_wire::SigningKey;

use super::{StateDir, StateError, write_atomic};

/// A key's seed, and a number of eight bytes.
const LENGTH: usize = 32 + 8;

/// The key that is to replace `node.key`.
#[derive(Debug, Clone)]
pub struct PendingKey {
    /// The key.
    pub key: SigningKey,
    /// For how long the key that it replaces is kept: a rotation that is finished by another process keeps to it.
    pub keep_old: Duration,
}

impl PendingKey {
    /// Reads it; `None`: no rotation is under way.
    pub fn read(state: &StateDir) -> Result<Option<Self>, StateError> {
        let path = state.node_key_next();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::new("read", path, error)),
        };
        let parts = bytes.split_first_chunk::<32>().zip(bytes.last_chunk::<8>());
        match parts {
            Some(((seed, _), kept)) if bytes.len() == LENGTH => Ok(Some(Self {
                key: SigningKey::from_seed(seed),
                keep_old: Duration::from_millis(u64::from_be_bytes(*kept)),
            })),
            _ => {
                let why = format!("it hasn't {LENGTH} bytes; no rotation wrote it, so move it away");
                Err(StateError::new("use", path, io::Error::other(why)))
            }
        }
    }

    /// Writes it, for good.
    pub fn write(&self, state: &StateDir) -> Result<(), StateError> {
        let kept = u64::try_from(self.keep_old.as_millis()).unwrap_or(u64::MAX);
        let bytes = [&self.key.seed()[..], &kept.to_be_bytes()].concat();
        write_atomic(&state.node_key_next(), 0o600, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_private() {
        let base = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(base.path().join("aegis-config.yaml"));
        assert!(PendingKey::read(&state).unwrap().is_none());
        let pending =
            PendingKey { key: SigningKey::from_seed(&[3; 32]), keep_old: Duration::from_millis(1500) };
        pending.write(&state).unwrap();
        let read = PendingKey::read(&state).unwrap().unwrap();
        assert_eq!((read.key.public(), read.keep_old), (pending.key.public(), pending.keep_old));
        let mode = fs::metadata(state.node_key_next()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn what_no_rotation_wrote_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(base.path().join("aegis-config.yaml"));
        for length in [0, 32, 39, 41] {
            fs::write(state.node_key_next(), vec![1; length]).unwrap();
            let error = PendingKey::read(&state).unwrap_err().to_string();
            assert!(error.ends_with("move it away"), "{error}");
        }
    }
}
