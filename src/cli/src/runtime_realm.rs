//! This machine's daemon as the engine's realm.

use std::collections::BTreeSet;

use aegis_core::{ObjectKey, Owner, Revision, outcome::Summary};
use aegis_engine::realm::{Changes, Host, Object, PastWrite, Provenance, Realm, Write, Written};
use aegis_wire::{
    ApiError, Code,
    runtime::{
        RuntimeClient, RuntimeError,
        realm::{
            BeginPlan, FinishPlan, GetObject, GetPast, ListChanges, ListInventory, ListObjects, RealmCall,
            RealmObject, RealmWrite, RealmWritten, WriteObjects,
        },
    },
};

use crate::secret_values::Values;

/// The objects that are declared on this machine.
#[derive(Debug, Clone)]
pub struct RuntimeRealm {
    /// Asks the daemon.
    pub client: RuntimeClient,
    values: Values,
}

impl RuntimeRealm {
    /// Over this client.
    pub fn new(client: RuntimeClient) -> Self {
        Self { client, values: Values::default() }
    }
    /// With the values of secrets that are going to be written.
    pub fn with_values(self, values: Values) -> Self {
        Self { values, ..self }
    }
    async fn ask<C: RealmCall + Sync>(&self, call: C) -> Result<C::Answer, ApiError> {
        self.client.realm(&call).await.map_err(api_error)
    }
}

/// The same, as a controller would say it.
pub fn api_error(error: RuntimeError) -> ApiError {
    let code = match (error.status, error.code.as_str()) {
        (_, RuntimeError::NOT_RUNNING) => Code::Unavailable,
        (403, _) => Code::PermissionDenied,
        (404, _) => Code::NotFound,
        (409, _) => Code::Conflict,
        (413, _) => Code::Exhausted,
        (400 | 422, _) => Code::Invalid,
        _ => Code::Internal,
    };
    let api = ApiError::new(code, error.message);
    match error.hint {
        Some(hint) => api.hint(hint),
        None => api,
    }
}

fn object(from: RealmObject) -> Object {
    Object { key: from.key, revision: from.revision, body: from.body.into_bytes() }
}

/// Bodies are JSON, and so UTF-8.
fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).unwrap_or_default()
}

impl Realm for RuntimeRealm {
    async fn objects(&self, kinds: &[&str]) -> Result<Vec<Object>, ApiError> {
        let kinds = kinds.iter().map(ToString::to_string).collect();
        Ok(self.ask(ListObjects { kinds }).await?.into_iter().map(object).collect())
    }

    async fn object(&self, key: &ObjectKey) -> Result<Option<Object>, ApiError> {
        Ok(self.ask(GetObject { key: key.clone() }).await?.map(object))
    }

    async fn hosts(&self) -> Result<Vec<Host>, ApiError> {
        Ok(Vec::new())
    }

    async fn changes(&self, since: Revision) -> Result<Changes, ApiError> {
        let changes = self.ask(ListChanges { since }).await?;
        Ok(Changes { revision: changes.revision, complete: changes.complete, keys: changes.keys })
    }

    async fn inventory(&self, owner: &Owner) -> Result<BTreeSet<ObjectKey>, ApiError> {
        self.ask(ListInventory { owner: owner.clone() }).await
    }

    async fn begin(&self, by: &Provenance, owns: Vec<ObjectKey>) -> Result<Revision, ApiError> {
        self.ask(BeginPlan { owner: by.owner.clone(), source: by.source.clone(), owns }).await
    }

    async fn write(&self, plan: Revision, writes: Vec<Write>) -> Result<Vec<Written>, ApiError> {
        let writes = writes.into_iter().map(|write| RealmWrite {
            secret_value: write.next.as_ref().and_then(|_| self.values.get(&write.key)).cloned(),
            key: write.key,
            base: write.base,
            body: write.next.map(text),
            steps: write.steps,
            outcome: write.outcome,
        });
        let results = self.ask(WriteObjects { plan, writes: writes.collect() }).await?;
        let written = |result| match result {
            RealmWritten::Done(revision) => Written::Done(revision),
            RealmWritten::Stale => Written::Stale,
            RealmWritten::Refused(reason) => Written::Refused(reason),
        };
        Ok(results.into_iter().map(written).collect())
    }

    async fn finish(
        &self,
        plan: Revision,
        forgets: Vec<ObjectKey>,
        summary: &Summary,
    ) -> Result<(), ApiError> {
        self.ask(FinishPlan { plan, forgets, summary: summary.clone() }).await
    }

    async fn past(&self, plan: Revision) -> Result<Option<(Owner, Vec<PastWrite>)>, ApiError> {
        let past = self.ask(GetPast { plan }).await?;
        Ok(past.map(|past| {
            let writes = past.writes.into_iter().map(|write| PastWrite {
                by: write.by,
                key: write.key,
                before: write.before.into_bytes(),
            });
            (past.owner, writes.collect())
        }))
    }
}
