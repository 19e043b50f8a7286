//! The values of a tenant's secrets: sealed in the store, each bound to its tenant and name, and given to no operator.

use std::{path::Path, sync::Arc};

use aegis_core::{Secret, TenantId};
use aegis_store::{Batch, CommitError, Revision, Store};
use aegis_wire::{
    ApiError,
    operator::{ObjectWrite, Write, WriteError, WriteRefusal},
    seal::{self, SealingKey},
};
use serde::Deserialize;

use crate::{
    RunError,
    files::{read_if_there, write_private},
    keyspace,
    nodes::read,
};

/// Seals and opens them.
#[derive(Debug, Clone)]
pub(crate) struct Secrets(Arc<SealingKey>);

/// The part of a stored secret that says which value it has.
#[derive(Deserialize)]
struct Body {
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    digest: Option<String>,
}

/// Whether a write brings or takes away a sealed value.
pub(crate) fn is_sealed_write(write: &ObjectWrite) -> bool {
    write.key.kind == "Secret"
}

impl Secrets {
    /// The key in `keys`, made if there is none. Without it the values that are there are lost, so a missing one is
    /// refused when there are any.
    pub fn load_or_make(keys: &Path, store: &dyn Store) -> Result<Self, RunError> {
        let path = keys.join("secrets.key");
        let found = read_if_there(&path).map_err(|error| RunError::io(&path, &error))?;
        let bytes = if let Some(bytes) = found { Secret::new(bytes) } else { Self::make(&path, store)? };
        let key = SealingKey::new(bytes.expose()).map_err(|error| RunError::damaged(&path, &error))?;
        Ok(Self(Arc::new(key)))
    }

    fn make(path: &Path, store: &dyn Store) -> Result<Secret<Vec<u8>>, RunError> {
        if !store.list(keyspace::SECRETS)?.is_empty() {
            let why = "it is missing, and the store has secrets that only it opens; restore it from a backup";
            return Err(RunError::damaged(path, &why));
        }
        let made = seal::random_key().map_err(|error| RunError::damaged(path, &error))?;
        write_private(path, made.expose()).map_err(|error| RunError::io(path, &error))?;
        Ok(made)
    }

    /// With this key, for tests.
    #[cfg(test)]
    pub fn of_key(bytes: &[u8]) -> Self {
        #[allow(clippy::unwrap_used, reason = "tests")]
        Self(Arc::new(SealingKey::new(bytes).unwrap()))
    }

    /// The value of a secret; `None`: it has none.
    pub fn open(
        &self,
        store: &dyn Store,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Option<Secret<Vec<u8>>>, ApiError> {
        let Some(entry) = store.get(&keyspace::secret(tenant, name)).map_err(crate::failed)? else {
            return Ok(None);
        };
        let value = self.0.open(&[tenant.as_str(), name], &entry.value);
        value.map(Some).map_err(|error| crate::failed(format!("Secret/{name}: {error}")))
    }

    /// Adds the value of a secret's write to its commit. A body whose digest isn't its value's is refused, and so is one that
    /// wants another value and doesn't bring it.
    pub fn add(
        &self,
        store: &dyn Store,
        tenant: &TenantId,
        (write, have): (&ObjectWrite, Option<&[u8]>),
        batch: &mut Batch,
    ) -> Result<Result<(), WriteError>, ApiError> {
        let row = keyspace::secret(tenant, &write.key.name);
        let Write::Put(body) = &write.write else {
            batch.delete(row);
            return Ok(Ok(()));
        };
        let digest_of = |body: &[u8]| -> Result<Option<String>, ApiError> {
            Ok(read::<Body>(&row, body).map_err(crate::failed)?.spec.digest)
        };
        let wanted = digest_of(body)?;
        let refused = |message: String| WriteError { refusal: WriteRefusal::Refused, message };
        let Some(value) = &write.value else {
            let known = have.map(digest_of).transpose()?.flatten();
            if wanted.is_some() && wanted != known {
                return Ok(Err(refused(format!("{}: its new value is missing", write.key))));
            }
            return Ok(Ok(()));
        };
        let Some(key) = store.get(&keyspace::digest_key(tenant)).map_err(crate::failed)? else {
            return Ok(Err(refused(format!("{}: no digest key was asked for", write.key))));
        };
        let digest = seal::digest(&key.value, &[&write.key.name], value.expose());
        if wanted.as_deref() != Some(&digest) {
            return Ok(Err(refused(format!("{}: the value isn't the one that its digest says", write.key))));
        }
        let sealed = self.0.seal(&[tenant.as_str(), &write.key.name], value.expose());
        batch.put(row, sealed.map_err(crate::failed)?);
        Ok(Ok(()))
    }

    /// What the digests of the tenant's secrets are made with; made when it is first asked for.
    pub async fn digest_key(store: &dyn Store, tenant: &TenantId) -> Result<Secret<Vec<u8>>, ApiError> {
        let row = keyspace::digest_key(tenant);
        loop {
            if let Some(entry) = store.get(&row).map_err(crate::failed)? {
                return Ok(Secret::new(entry.value));
            }
            let made = seal::random_key().map_err(crate::failed)?;
            let mut batch = Batch { quiet: true, ..Batch::default() };
            batch.check(&row, Revision(0)).put(&row, made.expose().clone());
            match store.commit(batch).await {
                // Another call may have made one in between: that one counts.
                Ok(_) | Err(CommitError::Stale { .. }) => {}
                Err(CommitError::Store(error)) => return Err(crate::failed(error)),
            }
        }
    }
}
