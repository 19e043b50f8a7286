//! A store as the engine's realm: objects, who declared what, and the history, all beneath one prefix.
//!
//! Own before create, forget after delete: a plan is opened before its writes and closed after them. Each write is on
//! condition of the revision that was read, and has its part of the history in the same commit.

mod history;
mod keys;
#[cfg(test)]
mod tests;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use aegis_core::{ObjectKey, Owner, Revision, outcome::Summary};
use aegis_engine::realm::{Changes, Host, Object, PastWrite, Provenance, Realm, Write, Written};
use aegis_wire::ApiError;

pub use history::{PastChange, PastPlan};

use crate::{Batch, Store, StoreError, Watch};
use keys::{Keys, object_of};

/// Tells the time of day, in milliseconds since 1970.
pub type NowMs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What else belongs into the commit of a write, such as a secret's sealed value; or why the write is refused.
/// It may be asked more than once for one write.
pub type Beside<'a> = dyn Fn(&Write, &mut Batch) -> Result<(), String> + Send + Sync + 'a;

/// Objects in a store, beneath a prefix. Cheap to clone.
pub struct StoreRealm<S> {
    store: Arc<S>,
    keys: Keys,
    kinds: &'static [&'static str],
    subject: String,
    now: NowMs,
}

impl<S> Clone for StoreRealm<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            keys: self.keys.clone(),
            kinds: self.kinds,
            subject: self.subject.clone(),
            now: Arc::clone(&self.now),
        }
    }
}

impl<S> fmt::Debug for StoreRealm<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreRealm")
            .field("prefix", &self.keys.0)
            .field("kinds", &self.kinds)
            .finish_non_exhaustive()
    }
}

fn failed(error: impl fmt::Display) -> ApiError {
    ApiError::internal(error.to_string())
}

/// The commit's own error, when it isn't that somebody was quicker.
fn store_failed(error: &StoreError) -> ApiError {
    failed(error)
}

impl<S: Store> StoreRealm<S> {
    /// The realm beneath `prefix`, which ends in `/`, for objects of these kinds. `subject` is who writes, for the
    /// history.
    pub fn new(
        store: Arc<S>,
        prefix: impl Into<String>,
        kinds: &'static [&'static str],
        subject: impl Into<String>,
        now: NowMs,
    ) -> Self {
        Self { store, keys: Keys(prefix.into()), kinds, subject: subject.into(), now }
    }

    /// The same realm, written by somebody else.
    #[must_use]
    pub fn written_by(&self, subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), ..self.clone() }
    }

    /// The store.
    pub fn store(&self) -> &Arc<S> {
        &self.store
    }

    /// Tells of every object that is written or deleted from now on.
    pub fn watch(&self) -> Watch {
        self.store.watch(&self.keys.objects())
    }

    /// All objects of these kinds, now.
    pub fn list(&self, kinds: &[&str]) -> Result<Vec<Object>, StoreError> {
        let start = self.keys.objects().len();
        let mut objects = BTreeMap::new();
        for kind in kinds {
            for entry in self.store.list(&self.keys.of_kind(kind))? {
                let Some(key) = object_of(&entry.key[start..]) else { continue };
                objects.insert(key.clone(), Object { key, revision: entry.revision, body: entry.value });
            }
        }
        Ok(objects.into_values().collect())
    }

    /// Demands, for a batch of other rows, that there is no such object.
    pub fn check_absent(&self, batch: &mut Batch, key: &ObjectKey) {
        batch.check(self.keys.object(key), Revision(0));
    }

    /// One object, now.
    pub fn get(&self, key: &ObjectKey) -> Result<Option<Object>, StoreError> {
        let entry = self.store.get(&self.keys.object(key))?;
        Ok(entry.map(|entry| Object { key: key.clone(), revision: entry.revision, body: entry.value }))
    }
}

impl<S: Store> Realm for StoreRealm<S> {
    async fn objects(&self, kinds: &[&str]) -> Result<Vec<Object>, ApiError> {
        self.list(kinds).map_err(failed)
    }

    async fn object(&self, key: &ObjectKey) -> Result<Option<Object>, ApiError> {
        self.get(key).map_err(failed)
    }

    async fn hosts(&self) -> Result<Vec<Host>, ApiError> {
        // Hosts are a controller's.
        Ok(Vec::new())
    }

    async fn changes(&self, since: Revision) -> Result<Changes, ApiError> {
        // Read first: what is written in between is told again next time, never left out.
        let revision = self.store.revision();
        let prefix = self.keys.objects();
        let Some(changed) = self.store.changes(since, &prefix).map_err(failed)? else {
            return Ok(Changes { revision, complete: false, keys: BTreeSet::new() });
        };
        let keys = changed.iter().filter_map(|key| object_of(&key[prefix.len()..])).collect();
        Ok(Changes { revision, complete: true, keys })
    }

    async fn inventory(&self, owner: &Owner) -> Result<BTreeSet<ObjectKey>, ApiError> {
        let prefix = self.keys.inventory(owner);
        let rows = self.store.list(&prefix).map_err(failed)?;
        Ok(rows.iter().filter_map(|row| object_of(&row.key[prefix.len()..])).collect())
    }

    async fn begin(&self, by: &Provenance, owns: Vec<ObjectKey>) -> Result<Revision, ApiError> {
        self.begin_plan(by, &owns).await
    }

    async fn write(&self, plan: Revision, writes: Vec<Write>) -> Result<Vec<Written>, ApiError> {
        self.write_with(plan, writes, &|_, _| Ok(())).await
    }

    async fn finish(
        &self,
        plan: Revision,
        forgets: Vec<ObjectKey>,
        summary: &Summary,
    ) -> Result<(), ApiError> {
        self.finish_plan(plan, &forgets, summary).await
    }

    async fn past(&self, plan: Revision) -> Result<Option<(Owner, Vec<PastWrite>)>, ApiError> {
        self.past_since(plan)
    }
}
