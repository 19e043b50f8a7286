//! What is written in one commit with an object: a secret's sealed value, and the row of a new app with its id.

use aegis_core::{Kind, ObjectKey, Revision};
use aegis_engine::realm::Write;
use aegis_kinds::{App, Secret, SecretScope, StoredSecret};
use aegis_store::{Batch, Store};
use serde::Deserialize;

use super::LocalRealm;
use crate::{
    id, keyspace,
    record::{self, AppRow},
    secrets::Scope,
};

impl<S: Store> LocalRealm<'_, S> {
    /// Adds to `batch` what belongs to `write`, or says why it is refused.
    pub(super) fn beside(&self, write: &Write, batch: &mut Batch) -> Result<(), String> {
        match &*write.key.kind {
            kind if kind == Secret::NAME => self.beside_secret(write, batch),
            kind if kind == App::NAME => self.beside_app(write, batch),
            _ => Ok(()),
        }
    }

    /// The row that the daemon keeps of an app besides what is declared.
    fn app_row(&self, name: &str) -> Result<Option<AppRow>, String> {
        record::get(&**self.realm.store(), &keyspace::app(name)).map_err(|error| error.to_string())
    }

    /// The id of an app.
    #[cfg(test)]
    pub(super) fn app_id(&self, name: &str) -> String {
        self.app_row(name).ok().flatten().map(|row| row.id).unwrap_or_default()
    }

    fn beside_app(&self, write: &Write, batch: &mut Batch) -> Result<(), String> {
        let key = keyspace::app(&write.key.name);
        let found = self.realm.store().get(&key).map_err(|error| error.to_string())?;
        if write.base == Revision(0) {
            // The row of one that was deleted may be about to go: then this looks again.
            batch.check(&key, found.map_or(Revision(0), |entry| entry.revision));
        }
        let row = self.app_row(&write.key.name)?;
        match (&write.next, row) {
            (Some(_), None) => {
                let now = self.clock.now();
                let row = AppRow {
                    id: id::new("app", now),
                    created_at: now,
                    releases: 0,
                    current: None,
                    serving: None,
                };
                record::put(batch, &key, &row);
                Ok(())
            }
            // Nothing reads what was sealed for an app that is gone. Its row goes when its instances have.
            (None, Some(row)) => {
                self.secrets.delete_all(batch, Scope::App(&row.id)).map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
    }

    fn beside_secret(&self, write: &Write, batch: &mut Batch) -> Result<(), String> {
        let before = self.stored(&write.key)?;
        let next = write.next.as_deref().map(read).transpose()?;
        let Some(scope) = next.as_ref().or(before.as_ref()).map(|secret| secret.scope.clone()) else {
            return Ok(());
        };
        let variable = Secret::variable(&scope, &write.key.name);
        let row = match &scope {
            SecretScope::Workspace => None,
            SecretScope::App(app) => match self.app_row(app)? {
                Some(row) => Some(row),
                // Its values went with it.
                None if next.is_none() => return Ok(()),
                None => return Err(format!("there is no app {app}")),
            },
        };
        let scope = row.as_ref().map_or(Scope::Workspace, |row| Scope::App(&row.id));
        let Some(next) = next else {
            self.secrets.delete(batch, scope, variable);
            return Ok(());
        };
        let is_new = before.is_none_or(|before| before.digest != next.digest)
            || !self.secrets.has(scope, variable).map_err(|error| error.to_string())?;
        if !is_new {
            return Ok(());
        }
        let Some(value) = self.values.get(&write.key) else {
            return Err(
                "its value isn't known here: give it with `valueFrom`, or set it with `aegis secret`".into(),
            );
        };
        let digest =
            self.secrets.digest(&write.key.name, value.expose()).map_err(|error| error.to_string())?;
        if next.digest.as_ref() != Some(&digest) {
            return Err("its value and its digest don't belong together".into());
        }
        self.secrets.put(batch, scope, variable, value.expose()).map_err(|error| error.to_string())
    }

    fn stored(&self, key: &ObjectKey) -> Result<Option<StoredSecret>, String> {
        let object = self.realm.get(key).map_err(|error| error.to_string())?;
        object.map(|object| read(&object.body)).transpose()
    }
}

/// The spec of a body: the JSON of an `aegis_core::ownership::Stored`.
fn read(body: &[u8]) -> Result<StoredSecret, String> {
    #[derive(Deserialize)]
    struct Body {
        spec: StoredSecret,
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok(body.spec)
}
