//! What hosts shall have: the apps, kits and secrets of a tenant whose target they are in. Each stream looks up what is its
//! host's own; the daemon there makes it so and reports.

mod reports;
mod secrets;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use aegis_core::{NodeId, ObjectKey, Revision, TenantId, selector::Target};
use aegis_store::{Store, StoreError};
use aegis_wire::{
    ApiError,
    edge::{Assigned, MAX_ASSIGNED},
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{keyspace, lock, nodes::read, operator::is_meant, state::Controller};

pub(crate) use reports::{deliveries, had_something, take_report};
pub(crate) use secrets::{Secrets, is_sealed_write};

/// The kinds that hosts get.
pub(crate) const KINDS: [&str; 3] = ["App", "Kit", "Secret"];
/// The most bytes that a host's objects have together: they come in one message.
const MOST: usize = 3 * 1024 * 1024;

/// Whether a write of this kind may change what some host shall have.
pub(crate) fn concerns(kind: &str) -> bool {
    KINDS.contains(&kind) || matches!(kind, "EdgeNode" | "EdgeGroup")
}

/// An object with a target.
#[derive(Debug)]
pub(crate) struct Targeted {
    pub key: ObjectKey,
    /// Of its last write.
    pub revision: Revision,
    pub target: Target,
    /// As it is declared, JSON.
    pub spec: Bytes,
}

/// What is known of every tenant's objects with a target. Read when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct Assignments {
    /// Rises with every change that may concern a host, so that a stream can see at a glance that nothing changed.
    generation: AtomicU64,
    tenants: Mutex<HashMap<TenantId, Arc<Vec<Targeted>>>>,
}

/// The parts of a stored object that matter here.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    spec: &'a RawValue,
}

#[derive(Deserialize)]
struct Spec {
    target: Option<Target>,
}

impl Assignments {
    /// Higher than before if anything may have changed since.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The tenant's objects that have a target, in the order of their keys.
    pub fn of(&self, store: &dyn Store, tenant: &TenantId) -> Result<Arc<Vec<Targeted>>, StoreError> {
        // Read under the lock: what was read before a change must not be noted after it.
        let mut tenants = lock(&self.tenants);
        if let Some(known) = tenants.get(tenant) {
            return Ok(known.clone());
        }
        let loaded = Arc::new(load(store, tenant)?);
        tenants.insert(tenant.clone(), loaded.clone());
        Ok(loaded)
    }

    /// Something was written. Call it before whoever wrote it is told so.
    fn forget(&self, tenant: &TenantId) {
        lock(&self.tenants).remove(tenant);
        self.generation.fetch_add(1, Ordering::Release);
    }
}

fn load(store: &dyn Store, tenant: &TenantId) -> Result<Vec<Targeted>, StoreError> {
    let mut targeted = Vec::new();
    for kind in KINDS {
        let prefix = keyspace::objects_of_kind(tenant, kind);
        for entry in store.list(&prefix)? {
            let text = std::str::from_utf8(&entry.value)
                .map_err(|error| StoreError::Engine(format!("'{}' can't be read: {error}", entry.key)))?;
            let spec = serde_json::from_str::<Body<'_>>(text)
                .map_err(|error| StoreError::Engine(format!("'{}' can't be read: {error}", entry.key)))?
                .spec
                .get();
            let Some(target) = read::<Spec>(&entry.key, spec.as_bytes())?.target else { continue };
            targeted.push(Targeted {
                key: ObjectKey::new(kind, &entry.key[prefix.len()..]),
                revision: entry.revision,
                target,
                spec: Bytes::copy_from_slice(spec.as_bytes()),
            });
        }
    }
    Ok(targeted)
}

/// What one host shall have, as of a revision of the store.
#[derive(Debug)]
pub(crate) struct Assignment {
    /// Rises with every change of the store.
    pub revision: u64,
    pub objects: Vec<Assigned>,
    /// Differs from another's if anything in it does.
    pub digest: [u8; 32],
}

impl Controller {
    /// An object of the tenant was written that may concern what its hosts shall have. Those that are connected look at once.
    pub(crate) fn assignments_changed(&self, tenant: &TenantId) {
        self.assignments.forget(tenant);
        match crate::nodes::of_tenant(&*self.store, tenant) {
            Ok(nodes) => nodes.iter().for_each(|node| self.bus.poke(&node.id)),
            // Each looks by itself when it connects anew.
            Err(error) => tracing::error!(%error, "the hosts can't be told of what they shall have"),
        }
    }

    /// What this host shall have.
    pub(crate) fn assignment(&self, tenant: &TenantId, node: &NodeId) -> Result<Assignment, ApiError> {
        let store = &*self.store;
        let targeted = self.assignments.of(store, tenant).map_err(crate::failed)?;
        // Read first: what is written in between has a higher one, and comes with the next.
        let revision = store.revision().0;
        let mut objects = Vec::new();
        let mut size = 0;
        let mut digest = Sha256::new();
        for object in targeted.iter() {
            if !is_meant(self, tenant, &object.target, node)? {
                continue;
            }
            let value = if object.key.kind == "Secret" {
                self.secrets.open(store, tenant, &object.key.name)?
            } else {
                None
            };
            size += object.spec.len() + value.as_ref().map_or(0, |value| value.expose().len());
            // A secret's value changes with its object's revision.
            digest.update(format!("{}\0{}\0", object.key, object.revision));
            objects.push(Assigned { key: object.key.clone(), spec: object.spec.clone(), value });
        }
        if objects.len() > MAX_ASSIGNED {
            let count = objects.len();
            let message =
                format!("node '{node}' shall have {count} objects, at most {MAX_ASSIGNED} can be sent");
            return Err(ApiError::exhausted(message).hint("narrow the targets of its apps, kits and secrets"));
        }
        if size > MOST {
            let message = format!(
                "the objects of node '{node}' have {size} bytes together, at most {MOST} can be sent"
            );
            return Err(ApiError::exhausted(message).hint("narrow the targets of its apps, kits and secrets"));
        }
        Ok(Assignment { revision, objects, digest: digest.finalize().into() })
    }
}

#[cfg(test)]
mod tests;
