//! Secrets at rest: each value sealed in a row of its own, under a key that is in a file.
//!
//! A sealed value is bound to where it stands: a row that somebody moved or copied to another key can't be opened.

mod key;
mod rotate;
mod seal;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use aegis_kinds::{ValueDigest, is_variable};
use aegis_store::{Batch, Store, StoreError};
use aegis_wire::runtime::realm::DigestKey;
use zeroize::Zeroizing;

use self::key::MasterKey;
use crate::keyspace::SEALED;

/// The longest value: it has to fit into an environment.
const LONGEST_VALUE: usize = 64 * 1024;
/// Where the key of digests is sealed. Names of secrets have no dots.
const DIGEST_KEY: &str = "run/sealed/digest.key";

/// Whose a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// All apps' and, by name, everybody's.
    Workspace,
    /// That of the app with this id.
    App(&'a str),
}

impl Scope<'_> {
    fn prefix(self) -> String {
        match self {
            Self::Workspace => format!("{SEALED}workspace/"),
            Self::App(id) => format!("{SEALED}app/{id}/"),
        }
    }

    fn row(self, name: &str) -> String {
        self.prefix() + name
    }
}

/// Why secrets can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The key is gone and there is something that only it opens.
    #[error("{path} is missing, and {rows} sealed values can't be read without it")]
    KeyLost {
        /// Where it should be.
        path: PathBuf,
        /// How many.
        rows: usize,
    },
    /// The file isn't a key.
    #[error("{path} has {length} bytes; a master key has {}", key::LENGTH)]
    KeyLength {
        /// The file.
        path: PathBuf,
        /// How long it is.
        length: usize,
    },
    /// Others may read the key.
    #[error("{path} has the mode {mode:03o}; others may read it")]
    KeyMode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another key sealed it, or the row was changed or moved.
    #[error("'{row}' can't be opened: it was sealed with another key or for another place, or it is damaged")]
    CannotOpen {
        /// The row.
        row: String,
    },
    /// The name can't be a variable's.
    #[error(
        "'{0}' can't be the name of a secret: letters, digits and _, no digit first, at most 128, and not AEGIS_…"
    )]
    Name(String),
    /// The value can't be in an environment.
    #[error("the value has {0}")]
    Value(&'static str),
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system's random numbers or the cipher failed.
    #[error("sealing failed: {0}")]
    Crypto(&'static str),
}

/// The secrets of one daemon.
pub struct Secrets {
    store: Arc<dyn Store>,
    path: PathBuf,
    keys: Mutex<Keys>,
}

/// The key that seals; while it is being replaced, also the one before.
struct Keys {
    current: Arc<MasterKey>,
    before: Option<Arc<MasterKey>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Reads the master key, makes one if nothing was ever sealed, and ends a rotation that was cut off. Blocks.
    pub fn open(path: PathBuf, store: Arc<dyn Store>) -> Result<Self, SecretError> {
        // The key of digests alone is no loss: another is made.
        let rows = store.list(SEALED)?.iter().filter(|entry| entry.key != DIGEST_KEY).count();
        let current = match MasterKey::load(&path)? {
            Some(key) => key,
            None if rows == 0 && !rotate::next_path(&path).exists() => {
                let mut batch = Batch::new();
                batch.delete(DIGEST_KEY);
                store.commit(batch).wait().map_err(|error| StoreError::Engine(error.to_string()))?;
                MasterKey::make(&path)?
            }
            None => match MasterKey::load(&rotate::next_path(&path))? {
                // Cut off between the two names: the new key is the only one.
                Some(key) => key,
                None => return Err(SecretError::KeyLost { path, rows }),
            },
        };
        let secrets =
            Self { store, path, keys: Mutex::new(Keys { current: Arc::new(current), before: None }) };
        secrets.finish_rotation()?;
        secrets.check_all()?;
        secrets.make_digest_key()?;
        Ok(secrets)
    }

    /// Opens every row once: a wrong key is noticed at the start, not at the next boot of an app.
    fn check_all(&self) -> Result<(), SecretError> {
        for entry in self.store.list(SEALED)? {
            self.open_row(&entry.key, &entry.value)?;
        }
        Ok(())
    }

    fn keys(&self) -> (Arc<MasterKey>, Option<Arc<MasterKey>>) {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        (keys.current.clone(), keys.before.clone())
    }

    fn open_row(&self, row: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let (current, before) = self.keys();
        seal::open(&current, row, sealed)
            .or_else(|| before.and_then(|key| seal::open(&key, row, sealed)))
            .ok_or_else(|| SecretError::CannotOpen { row: row.to_owned() })
    }

    fn seal_row(&self, row: &str, value: &[u8]) -> Result<Vec<u8>, SecretError> {
        seal::seal(&self.keys().0, row, value)
    }

    /// Adds to `batch` the write of a value, sealed.
    pub fn put(
        &self,
        batch: &mut Batch,
        scope: Scope<'_>,
        name: &str,
        value: &str,
    ) -> Result<(), SecretError> {
        check_name(name)?;
        check_value(value)?;
        let row = scope.row(name);
        let sealed = self.seal_row(&row, value.as_bytes())?;
        batch.put(row, sealed);
        Ok(())
    }

    /// Adds to `batch` the removal of a value.
    pub fn delete(&self, batch: &mut Batch, scope: Scope<'_>, name: &str) {
        batch.delete(scope.row(name));
    }

    /// Adds to `batch` the removal of all values of a scope.
    pub fn delete_all(&self, batch: &mut Batch, scope: Scope<'_>) -> Result<(), SecretError> {
        for entry in self.store.list(&scope.prefix())? {
            batch.delete(entry.key);
        }
        Ok(())
    }

    /// The names of a scope's secrets, in order.
    pub fn names(&self, scope: Scope<'_>) -> Result<Vec<String>, SecretError> {
        let prefix = scope.prefix();
        Ok(self.store.list(&prefix)?.into_iter().map(|entry| entry.key[prefix.len()..].to_owned()).collect())
    }

    /// Whether there is one of this name.
    pub fn has(&self, scope: Scope<'_>, name: &str) -> Result<bool, SecretError> {
        Ok(self.store.get(&scope.row(name))?.is_some())
    }

    /// All values of a scope.
    pub fn values(&self, scope: Scope<'_>) -> Result<BTreeMap<String, Zeroizing<String>>, SecretError> {
        let prefix = scope.prefix();
        let mut values = BTreeMap::new();
        for entry in self.store.list(&prefix)? {
            let bytes = self.open_row(&entry.key, &entry.value)?;
            let text = String::from_utf8(bytes.to_vec())
                .map_err(|_| SecretError::CannotOpen { row: entry.key.clone() })?;
            values.insert(entry.key[prefix.len()..].to_owned(), Zeroizing::new(text));
        }
        Ok(values)
    }

    /// The key of digests. It stays the same when the master key is replaced.
    pub fn digest_key(&self) -> Result<DigestKey, SecretError> {
        let entry = self.store.get(DIGEST_KEY)?.ok_or(SecretError::Crypto("there is no key of digests"))?;
        Ok(DigestKey::new(&self.open_row(DIGEST_KEY, &entry.value)?))
    }

    /// A digest of the value of the secret that is kept as `object`: without the key nobody can tell from it whether
    /// two values are the same.
    pub fn digest(&self, object: &str, value: &str) -> Result<ValueDigest, SecretError> {
        Ok(self.digest_key()?.digest(object, value))
    }

    /// Makes the key of digests if there is none.
    fn make_digest_key(&self) -> Result<(), SecretError> {
        if self.store.get(DIGEST_KEY)?.is_none() {
            let mut batch = Batch::new();
            batch.put(DIGEST_KEY, self.seal_row(DIGEST_KEY, key::random()?.as_slice())?);
            self.store.commit(batch).wait().map_err(|error| StoreError::Engine(error.to_string()))?;
        }
        Ok(())
    }
}

/// Whether `name` can be a variable's.
pub fn check_name(name: &str) -> Result<(), SecretError> {
    if is_variable(name) { Ok(()) } else { Err(SecretError::Name(name.chars().take(128).collect())) }
}

fn check_value(value: &str) -> Result<(), SecretError> {
    match value {
        value if value.len() > LONGEST_VALUE => Err(SecretError::Value("more than 64 KiB")),
        value if value.contains('\0') => Err(SecretError::Value("a zero byte, which no variable can hold")),
        _ => Ok(()),
    }
}
