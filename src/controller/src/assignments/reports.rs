//! What hosts say of what they shall have: kept for each host, and shown beside what is declared.

use std::collections::HashMap;

use aegis_core::{NodeId, ObjectKey, Revision, TenantId};
use aegis_store::{Batch, Store, StoreError};
use aegis_wire::{
    ApiError,
    edge::{ObjectReport, ReportPhase},
    operator::{Delivery, ListDeliveries},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    failed, keyspace,
    nodes::{json, read},
    operator::all_meant,
    state::Controller,
};

/// A host's last report, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reported {
    /// Of the assignment that it is about.
    revision: u64,
    objects: Vec<Object>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Object {
    kind: String,
    name: String,
    phase: ReportPhase,
    message: String,
    /// Since when it is so.
    since_ms: i64,
}

fn last(store: &dyn Store, tenant: &TenantId, node: &NodeId) -> Result<Option<Reported>, StoreError> {
    let row = keyspace::report(tenant, node);
    store.get(&row)?.map(|entry| read(&row, &entry.value)).transpose()
}

/// Whether the host had anything at its last report: then it must hear of it when it shall have nothing any more.
pub(crate) fn had_something(store: &dyn Store, tenant: &TenantId, node: &NodeId) -> Result<bool, StoreError> {
    Ok(last(store, tenant, node)?.is_some())
}

/// Takes in what a host says. What didn't change keeps its time.
pub(crate) async fn take_report(
    controller: &Controller,
    (tenant, node): (&TenantId, &NodeId),
    revision: u64,
    objects: Vec<ObjectReport>,
) -> Result<(), StoreError> {
    let before = last(&*controller.store, tenant, node)?;
    let known: HashMap<(&str, &str), &Object> = before
        .iter()
        .flat_map(|reported| &reported.objects)
        .map(|object| ((object.kind.as_str(), object.name.as_str()), object))
        .collect();
    let now_ms = controller.clock.now_ms();
    let object = |report: ObjectReport| {
        let known = known.get(&(report.key.kind.as_ref(), report.key.name.as_str()));
        let same = known.filter(|have| have.phase == report.phase && have.message == report.message);
        Object {
            since_ms: same.map_or(now_ms, |have| have.since_ms),
            kind: report.key.kind.into_owned(),
            name: report.key.name,
            phase: report.phase,
            message: report.message,
        }
    };
    let reported = Reported { revision, objects: objects.into_iter().map(object).collect() };
    if before.as_ref() == Some(&reported) {
        return Ok(());
    }
    let mut batch = Batch { lazy: true, quiet: true, ..Batch::default() };
    let row = keyspace::report(tenant, node);
    if reported.objects.is_empty() {
        batch.delete(row);
    } else {
        batch.put(row, json(&reported));
    }
    controller.store.commit(batch).await.map(|_| ()).map_err(|error| StoreError::Engine(error.to_string()))
}

/// How the tenant's hosts stand with what they shall have.
pub(crate) fn deliveries(
    controller: &Controller,
    tenant: &TenantId,
    which: &ListDeliveries,
) -> Result<Vec<Delivery>, ApiError> {
    let store = &*controller.store;
    let targeted = controller.assignments.of(store, tenant).map_err(failed)?;
    let mut reports: HashMap<NodeId, Option<Reported>> = HashMap::new();
    let mut deliveries = Vec::new();
    for object in targeted.iter() {
        let is_wanted = which.kind.as_ref().is_none_or(|kind| *kind == object.key.kind)
            && which.name.as_ref().is_none_or(|name| *name == object.key.name);
        if !is_wanted {
            continue;
        }
        for (node_id, node_name) in all_meant(controller, tenant, &object.target)? {
            if !reports.contains_key(&node_id) {
                reports.insert(node_id.clone(), last(store, tenant, &node_id).map_err(failed)?);
            }
            let said = reports.get(&node_id).and_then(Option::as_ref);
            let said = said.and_then(|reported| of_object(reported, &object.key, object.revision));
            deliveries.push(Delivery {
                key: object.key.clone(),
                node_id,
                node_name,
                phase: said.map(|said| said.phase),
                message: said.map(|said| said.message.clone()).unwrap_or_default(),
                since: said.and_then(|said| Timestamp::from_millisecond(said.since_ms).ok()),
            });
        }
    }
    Ok(deliveries)
}

/// What a report says of an object as it is declared now: an older one is about another spec.
fn of_object<'a>(reported: &'a Reported, key: &ObjectKey, revision: Revision) -> Option<&'a Object> {
    let mut objects = reported.objects.iter().filter(|_| reported.revision >= revision.0);
    objects.find(|object| object.kind == key.kind && object.name == key.name)
}
