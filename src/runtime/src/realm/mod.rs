//! The objects that are declared on this machine: apps, kits and secrets, in the daemon's store.
//!
//! One engine writes them, whoever asks: manifests over `/v1/realm/*` ([`call`]), and the imperative routes ([`edit`]).
//! What belongs to an object besides its body is written in the same commit (`beside.rs`).

mod beside;
mod calls;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use aegis_core::{Kind, ObjectKey, Owner, Revision, Secret as Hidden, outcome::Summary};
use aegis_engine::{
    apply,
    event::{ObjectEvent, Report},
    imperative::{self, WishError},
    intent::Wish,
    realm::{Changes, Host, Object, PastWrite, Provenance, Realm, Write, Written},
};
use aegis_kinds::{App, Kit, Secret};
use aegis_store::{Store, realm::StoreRealm};
use aegis_wire::{ApiError, Code, runtime::RuntimeError};

pub use calls::call;

use crate::{clock::Clock, secrets::Secrets};

/// The kinds whose objects are here.
pub const KINDS: &[&str] = &[App::NAME, Kit::NAME, Secret::NAME];

/// The realm in a daemon's store. `who` is whose daemon it is, for the history.
pub fn open<S: Store>(store: Arc<S>, clock: &Clock, who: &str) -> StoreRealm<S> {
    let clock = clock.clone();
    StoreRealm::new(store, "realm/", KINDS, who, Arc::new(move || clock.now().as_millisecond()))
}

/// The realm, with what a write of it takes: the secrets, and the values that are to be sealed with this request.
pub struct LocalRealm<'a, S> {
    realm: &'a StoreRealm<S>,
    secrets: &'a Secrets,
    clock: &'a Clock,
    values: BTreeMap<ObjectKey, Hidden<String>>,
}

impl<S> fmt::Debug for LocalRealm<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRealm").field("values_of", &self.values.keys()).finish_non_exhaustive()
    }
}

impl<'a, S: Store> LocalRealm<'a, S> {
    /// For one request.
    pub fn new(realm: &'a StoreRealm<S>, secrets: &'a Secrets, clock: &'a Clock) -> Self {
        Self { realm, secrets, clock, values: BTreeMap::new() }
    }

    /// With the new value of a secret that the request writes.
    #[must_use]
    pub fn with_value(mut self, key: ObjectKey, value: Hidden<String>) -> Self {
        self.values.insert(key, value);
        self
    }
}

impl<S: Store> Realm for LocalRealm<'_, S> {
    async fn objects(&self, kinds: &[&str]) -> Result<Vec<Object>, ApiError> {
        self.realm.objects(kinds).await
    }
    async fn object(&self, key: &ObjectKey) -> Result<Option<Object>, ApiError> {
        self.realm.object(key).await
    }
    async fn hosts(&self) -> Result<Vec<Host>, ApiError> {
        self.realm.hosts().await
    }
    async fn changes(&self, since: Revision) -> Result<Changes, ApiError> {
        self.realm.changes(since).await
    }
    async fn inventory(&self, owner: &Owner) -> Result<BTreeSet<ObjectKey>, ApiError> {
        self.realm.inventory(owner).await
    }
    async fn begin(&self, by: &Provenance, owns: Vec<ObjectKey>) -> Result<Revision, ApiError> {
        self.realm.begin(by, owns).await
    }
    async fn write(&self, plan: Revision, writes: Vec<Write>) -> Result<Vec<Written>, ApiError> {
        self.realm.write_with(plan, writes, &|write, batch| self.beside(write, batch)).await
    }
    async fn finish(
        &self,
        plan: Revision,
        forgets: Vec<ObjectKey>,
        summary: &Summary,
    ) -> Result<(), ApiError> {
        self.realm.finish(plan, forgets, summary).await
    }
    async fn past(&self, plan: Revision) -> Result<Option<(Owner, Vec<PastWrite>)>, ApiError> {
        self.realm.past(plan).await
    }
}

/// One imperative command: planned and applied in the name of `cli`, all of it or nothing of an object.
pub async fn edit<S: Store>(
    realm: &LocalRealm<'_, S>,
    source: &str,
    wishes: Vec<Wish>,
) -> Result<Report, RuntimeError> {
    let by = Provenance { owner: Owner::cli(), source: source.to_owned() };
    let plan = imperative::plan(realm, by, wishes, false).await.map_err(at_fault)?;
    let report = apply::apply(realm, plan, &|| false, &mut |_| {}).await.map_err(|error| refused(&error))?;
    let failed = |event: &&ObjectEvent| event.error.is_some();
    match report.objects.iter().find(failed) {
        None => Ok(report),
        Some(event) => {
            let error = event.error.clone().unwrap_or_default();
            Err(RuntimeError::invalid(format!("{}: {error}", event.title())))
        }
    }
}

fn at_fault(error: WishError) -> RuntimeError {
    match error {
        WishError::Api(error) => refused(&error),
        WishError::Invalid(problems) => {
            let lines: Vec<String> =
                problems.iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect();
            let error = RuntimeError::invalid(lines.join("; "));
            match problems.into_iter().find_map(|problem| problem.help) {
                Some(help) => error.hint(help),
                None => error,
            }
        }
    }
}

/// What a call of the realm failed with.
fn refused(error: &ApiError) -> RuntimeError {
    let of = match error.code {
        Code::NotFound => RuntimeError::not_found,
        Code::Invalid => RuntimeError::invalid,
        Code::Conflict => RuntimeError::conflict,
        Code::Exhausted => RuntimeError::too_large,
        _ => RuntimeError::internal,
    };
    match &error.hint {
        Some(hint) => of(error.message.clone()).hint(hint.clone()),
        None => of(error.message.clone()),
    }
}
