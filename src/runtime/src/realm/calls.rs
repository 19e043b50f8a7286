//! `/v1/realm/*`: what `aegis` asks of the realm.

use aegis_core::Revision;
use aegis_engine::realm::{Object, Provenance, Realm, Write, Written};
use aegis_store::{
    Store,
    realm::{PastChange, PastPlan, StoreRealm},
};
use aegis_wire::runtime::{
    RuntimeError,
    realm::{
        BeginPlan, FinishPlan, GetAppStatus, GetDigestKey, GetObject, GetPast, GetPlan, ListChanges,
        ListInventory, ListObjects, ListPlans, RealmAppStatus, RealmCall, RealmChange, RealmChanges,
        RealmObject, RealmPast, RealmPastWrite, RealmPlan, RealmPlanDetail, RealmWritten, WriteObjects,
    },
};
use serde::Serialize;

use super::{LocalRealm, refused};
use crate::{
    clock::Clock,
    reconcile::{AppStatus, Condition},
    secrets::Secrets,
};

/// Answers the call `name`, which is what follows `/v1/realm/`. `status` says where an app stands.
pub async fn call<S: Store>(
    (realm, secrets, clock): (&StoreRealm<S>, &Secrets, &Clock),
    status: impl Fn(&str) -> Option<AppStatus>,
    name: &str,
    body: &[u8],
) -> Result<Vec<u8>, RuntimeError> {
    let local = LocalRealm::new(realm, secrets, clock);
    match name {
        ListObjects::NAME => {
            let call: ListObjects = read(body)?;
            let kinds: Vec<&str> = call.kinds.iter().map(String::as_str).collect();
            let objects = local.objects(&kinds).await.map_err(|error| refused(&error))?;
            answer(&objects.into_iter().map(object).collect::<Vec<_>>())
        }
        GetObject::NAME => {
            let call: GetObject = read(body)?;
            let found = local.object(&call.key).await.map_err(|error| refused(&error))?;
            answer(&found.map(object))
        }
        ListChanges::NAME => {
            let call: ListChanges = read(body)?;
            let changes = local.changes(call.since).await.map_err(|error| refused(&error))?;
            let (revision, complete, keys) = (changes.revision, changes.complete, changes.keys);
            answer(&RealmChanges { revision, complete, keys })
        }
        ListInventory::NAME => {
            let call: ListInventory = read(body)?;
            answer(&local.inventory(&call.owner).await.map_err(|error| refused(&error))?)
        }
        BeginPlan::NAME => {
            let BeginPlan { owner, source, owns } = read(body)?;
            answer(&local.begin(&Provenance { owner, source }, owns).await.map_err(|error| refused(&error))?)
        }
        WriteObjects::NAME => answer(&write(local, read(body)?).await?),
        FinishPlan::NAME => {
            let FinishPlan { plan, forgets, summary } = read(body)?;
            local.finish(plan, forgets, &summary).await.map_err(|error| refused(&error))?;
            answer(&())
        }
        GetPast::NAME => {
            let call: GetPast = read(body)?;
            let past = local.past(call.plan).await.map_err(|error| refused(&error))?;
            let past = past.map(|(owner, writes)| RealmPast {
                owner,
                writes: writes
                    .into_iter()
                    .map(|write| RealmPastWrite { by: write.by, key: write.key, before: text(write.before) })
                    .collect(),
            });
            answer(&past)
        }
        ListPlans::NAME => {
            let ListPlans { limit, owner } = read(body)?;
            let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
            let plans = realm.plans(limit, owner.as_ref()).map_err(|error| refused(&error))?;
            answer(&plans.into_iter().map(plan).collect::<Vec<_>>())
        }
        GetPlan::NAME => {
            let call: GetPlan = read(body)?;
            let found = realm.plan(call.plan).map_err(|error| refused(&error))?;
            let detail = found.map(|(header, changes)| RealmPlanDetail {
                plan: plan(header),
                changes: changes.into_iter().map(change).collect(),
            });
            answer(&detail)
        }
        GetAppStatus::NAME => {
            let call: GetAppStatus = read(body)?;
            answer(&status(&call.app).map(app_status))
        }
        GetDigestKey::NAME => answer(&secrets.digest_key()?),
        _ => Err(RuntimeError::not_found(format!("the realm has no call '{name}'"))
            .hint("aegis and aegisd are of different versions: restart it with `aegis down` and `aegis up`")),
    }
}

async fn write<S: Store>(
    mut local: LocalRealm<'_, S>,
    call: WriteObjects,
) -> Result<Vec<RealmWritten>, RuntimeError> {
    let mut writes = Vec::with_capacity(call.writes.len());
    for write in call.writes {
        if let Some(value) = write.secret_value {
            local = local.with_value(write.key.clone(), value);
        }
        writes.push(Write {
            key: write.key,
            base: write.base,
            next: write.body.map(String::into_bytes),
            steps: write.steps,
            outcome: write.outcome,
        });
    }
    let results = local.write(call.plan, writes).await.map_err(|error| refused(&error))?;
    let written = |result| match result {
        Written::Done(revision) => RealmWritten::Done(revision),
        Written::Stale => RealmWritten::Stale,
        Written::Refused(reason) => RealmWritten::Refused(reason),
    };
    Ok(results.into_iter().map(written).collect())
}

fn read<C: RealmCall>(body: &[u8]) -> Result<C, RuntimeError> {
    serde_json::from_slice(body).map_err(|error| {
        // A write has values in it, which serde repeats where the type is wrong.
        let category = format!("{:?}", error.classify()).to_lowercase();
        RuntimeError::bad_request(format!("the body of '{}' can't be read: {category} error", C::NAME))
    })
}

fn answer<T: Serialize>(value: &T) -> Result<Vec<u8>, RuntimeError> {
    serde_json::to_vec(value).map_err(|error| RuntimeError::internal(error.to_string()))
}

/// Bodies are JSON, and so UTF-8.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_default()
}

fn object(from: Object) -> RealmObject {
    RealmObject { key: from.key, revision: from.revision, body: text(from.body) }
}

fn plan(from: PastPlan) -> RealmPlan {
    RealmPlan {
        revision: from.revision,
        started_at_ms: from.started_at_ms,
        finished_at_ms: from.finished_at_ms,
        subject: from.subject,
        owner: from.owner,
        source: from.source,
        summary: from.summary,
    }
}

fn change(from: PastChange) -> RealmChange {
    RealmChange { key: from.key, outcome: from.outcome, steps: from.steps, before: from.before }
}

fn app_status(from: AppStatus) -> RealmAppStatus {
    let revision: Revision = from.revision;
    RealmAppStatus {
        condition: from.condition.as_str().to_owned(),
        is_ready: from.condition == Condition::Ready,
        reason: from.reason,
        revision,
        settled: from.settled,
    }
}
