//! Apps: what is declared of them is in the realm; what became of it (releases, the instance that serves) is here.

mod delete;
mod publish;
mod serve;
mod show;
mod workloads;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use aegis_core::{Kind, ObjectKey};
use aegis_engine::intent::{Intent, Wish};
use aegis_kinds::{App, Kit};
use aegis_store::{Batch, CommitError, Revision, Store};
use aegis_wire::runtime::RuntimeError;
use tokio::sync::{Mutex as Turn, RwLock};

pub(crate) use self::{
    delete::delete,
    publish::{publish, releases},
    serve::{rollback, serve, serving},
    show::{list, show},
    workloads::AppWorkloads,
};
use crate::{
    keyspace,
    realm::{LocalRealm, edit},
    reconcile::{Declared, Fault},
    record::{self, AppRow},
    state::{Daemon, lock},
};

/// Who may do what to which app, when.
#[derive(Debug, Default)]
pub(crate) struct Apps {
    /// One at a time changes what serves an app.
    turns: Mutex<BTreeMap<String, Arc<Turn<()>>>>,
    /// Requests hold it for as long as they look for the instance to go to; who exchanges instances holds it alone.
    gates: Mutex<BTreeMap<String, Arc<RwLock<()>>>>,
}

impl Apps {
    /// The turn of whoever changes what serves an app.
    pub fn turn(&self, name: &str) -> Arc<Turn<()>> {
        lock(&self.turns).entry(name.to_owned()).or_default().clone()
    }

    /// What requests of an app pass through.
    pub fn gate(&self, name: &str) -> Arc<RwLock<()>> {
        lock(&self.gates).entry(name.to_owned()).or_default().clone()
    }

    /// Nobody has to wait for this app any more. Whoever waits already goes on with what it has.
    fn forget(&self, name: &str) {
        lock(&self.gates).remove(name);
    }
}

impl Daemon {
    /// The row of an app of which there is one.
    pub(crate) fn app_row(&self, name: &str) -> Result<Option<AppRow>, RuntimeError> {
        record::get(&*self.store, &keyspace::app(name))
    }

    /// All apps of which there is a row, by name.
    pub(crate) fn known_apps(&self) -> Vec<(String, AppRow)> {
        let entries = self.store.list(keyspace::APPS).unwrap_or_default();
        let row = |entry: &aegis_store::Entry| {
            Some((entry.key[keyspace::APPS.len()..].to_owned(), serde_json::from_slice(&entry.value).ok()?))
        };
        entries.iter().filter_map(row).collect()
    }

    /// Changes the row of an app, with what else goes into the commit. Called again when somebody else was quicker.
    pub(crate) async fn change_app(
        &self,
        name: &str,
        mut change: impl FnMut(&mut AppRow, &mut Batch),
    ) -> Result<AppRow, RuntimeError> {
        let key = keyspace::app(name);
        loop {
            let entry = self.store.get(&key).map_err(|error| record::failed(&error))?;
            let Some(entry) = entry else { return Err(gone(name)) };
            let mut row: AppRow = serde_json::from_slice(&entry.value)
                .map_err(|error| RuntimeError::internal(format!("'{key}' can't be read: {error}")))?;
            let mut batch = Batch::new();
            batch.check(&key, entry.revision);
            change(&mut row, &mut batch);
            record::put(&mut batch, &key, &row);
            match self.store.commit(batch).await {
                Ok(Revision(_)) => return Ok(row),
                Err(CommitError::Stale { .. }) => {}
                Err(CommitError::Store(error)) => return Err(record::failed(&error)),
            }
        }
    }

    /// No request goes to this instance any more.
    pub(crate) async fn forget_serving(&self, name: &str, instance: &str) {
        let is_it = |row: &AppRow| row.serving.as_deref() == Some(instance);
        if self.app_row(name).ok().flatten().is_some_and(|row| is_it(&row)) {
            // An app that is gone serves nothing.
            let _ = self
                .change_app(name, |row, _| {
                    if row.serving.as_deref() == Some(instance) {
                        row.serving = None;
                    }
                })
                .await;
        }
    }

    /// The name of the app that is called so, or has this id.
    pub(crate) fn app_name(&self, reference: &str) -> Result<String, RuntimeError> {
        let is_there = |name: &str| {
            let found = self.realm.get(&ObjectKey::new(App::NAME, name.to_owned()));
            found.map(|found| found.is_some()).map_err(|error| record::failed(&error))
        };
        if is_there(reference)? {
            return Ok(reference.to_owned());
        }
        match self.known_apps().into_iter().find(|(_, row)| row.id == reference) {
            Some((name, _)) if is_there(&name)? => Ok(name),
            _ => Err(gone(reference)),
        }
    }

    /// Refuses an app whose kit isn't there.
    pub(crate) fn needs_kit(&self, kit: &str) -> Result<(), RuntimeError> {
        let found = self.realm.get(&ObjectKey::new(Kit::NAME, kit.to_owned()));
        match found.map_err(|error| record::failed(&error))? {
            Some(_) => Ok(()),
            None => Err(RuntimeError::invalid(format!("the kit {kit} isn't installed")).hint(
                "`aegis kit list` shows those that are; `aegis kit install MANIFEST.yaml` installs one",
            )),
        }
    }

    /// What is declared of an app, to be shown: without its kit, if that is gone.
    pub(crate) fn seen(&self, name: &str) -> Result<Declared, RuntimeError> {
        self.declared(name).or_else(|error| {
            let object = self.realm.get(&ObjectKey::new(App::NAME, name.to_owned()));
            let object = object.map_err(|error| record::failed(&error))?.ok_or_else(|| gone(name))?;
            Declared::of_its_own(&object).map_err(|_| error)
        })
    }

    /// What is declared of an app.
    pub(crate) fn declared(&self, name: &str) -> Result<Declared, RuntimeError> {
        let object = self
            .realm
            .get(&ObjectKey::new(App::NAME, name.to_owned()))
            .map_err(|error| record::failed(&error))?;
        let object = object.ok_or_else(|| gone(name))?;
        let kit = |kit: &str| Ok(self.realm.get(&ObjectKey::new(Kit::NAME, kit.to_owned()))?);
        Declared::read(&object, kit).map_err(|fault| match fault {
            Fault::Passing(reason) => RuntimeError::internal(reason),
            Fault::Blocked(reason) | Fault::Final(reason) => RuntimeError::invalid(reason),
        })
    }

    /// One imperative command on what is declared.
    pub(crate) async fn edit(&self, source: &str, wishes: Vec<Wish>) -> Result<(), RuntimeError> {
        edit(&self.local_realm(), source, wishes).await.map(drop)
    }

    /// The realm as one request writes it.
    pub(crate) fn local_realm(&self) -> LocalRealm<'_, aegis_store::LmdbStore> {
        LocalRealm::new(&self.realm, &self.secrets, &self.clock)
    }
}

/// One verb on one object.
pub(crate) fn verb<K: Kind>(name: &str, edit: K::Edit) -> Vec<Wish>
where
    K::Edit: 'static,
{
    vec![Wish {
        key: ObjectKey::new(K::NAME, name.to_owned()),
        intent: Intent::edit::<K>(edit),
        document: None,
    }]
}

/// The ends of objects.
pub(crate) fn deletions(keys: impl IntoIterator<Item = ObjectKey>) -> Vec<Wish> {
    keys.into_iter().map(|key| Wish { key, intent: Intent::Delete, document: None }).collect()
}

fn gone(name: &str) -> RuntimeError {
    RuntimeError::not_found(format!("there is no app '{name}'")).hint("list them: `aegis app list`")
}
