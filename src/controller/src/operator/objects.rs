//! Declared objects, as they are read. Every enrolled node is an object, even when nothing was ever declared about it.

use std::collections::BTreeMap;

use aegis_core::{ObjectKey, Owner, Revision};
use aegis_store::Entry;
use aegis_wire::{
    ApiError,
    operator::{Changes, ListObjects, Object},
};
use bytes::Bytes;

use super::{Reply, auth::Caller};
use crate::{
    failed, keyspace,
    nodes::{self, Node, read},
    state::Controller,
};

/// The kind whose objects are the enrolled nodes.
pub(super) const NODE_KIND: &str = "EdgeNode";

pub(super) fn list(controller: &Controller, caller: &Caller, which: &ListObjects) -> Reply<Vec<Object>> {
    let is_wanted = |kind: &str| which.kinds.is_empty() || which.kinds.iter().any(|wanted| wanted == kind);
    let store = &*controller.store;
    let prefixes = if which.kinds.is_empty() {
        vec![keyspace::objects(&caller.tenant)]
    } else {
        which.kinds.iter().map(|kind| keyspace::objects_of_kind(&caller.tenant, kind)).collect()
    };
    let mut objects = BTreeMap::new();
    let start = keyspace::objects(&caller.tenant).len();
    for prefix in prefixes {
        for entry in store.list(&prefix).map_err(failed)? {
            let Some(key) = keyspace::object_of(&entry.key[start..]) else { continue };
            if key.kind != NODE_KIND {
                objects.insert(key.clone(), object(key, Some(entry)));
            }
        }
    }
    if is_wanted(NODE_KIND) {
        for node in
            nodes::of_tenant(store, &caller.tenant).map_err(failed)?.iter().filter(|node| !node.is_revoked())
        {
            let entry = store.get(&keyspace::object(&caller.tenant, &node.object())).map_err(failed)?;
            objects.insert(node.object(), object(node.object(), entry));
        }
    }
    let named = objects
        .into_values()
        .filter(|object| which.name.as_ref().is_none_or(|name| object.key.name == *name));
    Ok(named.collect())
}

pub(super) fn get(controller: &Controller, caller: &Caller, key: &ObjectKey) -> Reply<Object> {
    let store = &*controller.store;
    if key.kind == NODE_KIND {
        let node = nodes::find(store, &caller.tenant, &key.name)?;
        if node.is_revoked() {
            return Err(nodes::unknown(&key.name));
        }
        let entry = store.get(&keyspace::object(&caller.tenant, &node.object())).map_err(failed)?;
        return Ok(object(node.object(), entry));
    }
    match store.get(&keyspace::object(&caller.tenant, key)).map_err(failed)? {
        Some(entry) => Ok(object(key.clone(), Some(entry))),
        None => Err(unknown(key)),
    }
}

/// The answer for an object that doesn't exist and for one of another tenant.
pub(super) fn unknown(key: &ObjectKey) -> ApiError {
    ApiError::not_found(format!("{key} not found")).hint(format!("aegis get {}", key.kind))
}

fn object(key: ObjectKey, entry: Option<Entry>) -> Object {
    match entry {
        Some(entry) => Object { key, revision: entry.revision, body: Bytes::from(entry.value) },
        None => Object { key, revision: Revision(0), body: Bytes::new() },
    }
}

pub(super) fn changes(controller: &Controller, caller: &Caller, since: Revision) -> Reply<Changes> {
    let store = &*controller.store;
    // Read first: what is written in between is told again next time, never left out.
    let revision = store.revision();
    let prefix = keyspace::objects(&caller.tenant);
    let objects = store.changes(since, &prefix).map_err(failed)?;
    let nodes = store.changes(since, keyspace::NODES).map_err(failed)?;
    let (Some(objects), Some(nodes)) = (objects, nodes) else {
        return Ok(Changes { revision, complete: false, keys: Vec::new() });
    };
    let mut keys: Vec<ObjectKey> =
        objects.iter().filter_map(|key| keyspace::object_of(&key[prefix.len()..])).collect();
    for key in nodes {
        let Some(entry) = store.get(&key).map_err(failed)? else { continue };
        let node: Node = read(&key, &entry.value).map_err(failed)?;
        if node.tenant == caller.tenant {
            keys.push(node.object());
        }
    }
    keys.sort();
    keys.dedup();
    Ok(Changes { revision, complete: true, keys })
}

pub(super) fn inventory(controller: &Controller, caller: &Caller, owner: &Owner) -> Reply<Vec<ObjectKey>> {
    let prefix = keyspace::inventory(&caller.tenant, owner);
    let rows = controller.store.list(&prefix).map_err(failed)?;
    Ok(rows.iter().filter_map(|row| keyspace::object_of(&row.key[prefix.len()..])).collect())
}
