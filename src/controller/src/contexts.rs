//! The tenants' security contexts, as they are pushed to hosts: in force before the next order, whoever gives it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use aegis_core::{Revision, TenantId};
use aegis_kinds::{SecurityContextSpec, policy::DEFAULT_CONTEXT};
use aegis_store::{Batch, Store, StoreError};
use aegis_wire::ApiError;
use serde::Deserialize;

use crate::{keyspace, lock, nodes::read, state::Controller};

/// The kind whose objects these are.
pub(crate) const KIND: &str = "SecurityContext";

/// All contexts of a tenant at a revision.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    /// When one of them changed last; 0: there never was one.
    pub revision: u64,
    pub specs: BTreeMap<String, SecurityContextSpec>,
}

/// What is known of every tenant's contexts. Read when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    /// Rises with every change of any tenant's, so that a stream can see at a glance that nothing changed.
    generation: AtomicU64,
    tenants: Mutex<HashMap<TenantId, Arc<Pushed>>>,
}

/// A stored context; its labels and owners don't matter here.
#[derive(Deserialize)]
struct Body {
    spec: SecurityContextSpec,
}

impl Contexts {
    /// Higher than before if anything may have changed since.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The tenant's contexts.
    pub fn of(&self, store: &dyn Store, tenant: &TenantId) -> Result<Arc<Pushed>, StoreError> {
        // Read under the lock: what was read before a change must not be noted after it.
        let mut tenants = lock(&self.tenants);
        if let Some(known) = tenants.get(tenant) {
            return Ok(known.clone());
        }
        let pushed = Arc::new(load(store, tenant)?);
        tenants.insert(tenant.clone(), pushed.clone());
        Ok(pushed)
    }

    /// Something was written. Call it before whoever wrote it is told so.
    fn forget(&self, tenant: &TenantId) {
        lock(&self.tenants).remove(tenant);
        self.generation.fetch_add(1, Ordering::Release);
    }
}

fn load(store: &dyn Store, tenant: &TenantId) -> Result<Pushed, StoreError> {
    let marked = store.get(&keyspace::contexts(tenant))?.map_or(Revision(0), |entry| entry.revision);
    let mut pushed = Pushed { revision: marked.0, specs: BTreeMap::new() };
    let prefix = keyspace::objects_of_kind(tenant, KIND);
    for entry in store.list(&prefix)? {
        let body: Body = read(&entry.key, &entry.value)?;
        pushed.revision = pushed.revision.max(entry.revision.0);
        pushed.specs.insert(entry.key[prefix.len()..].to_owned(), body.spec);
    }
    Ok(pushed)
}

/// Notes in the commit that writes or deletes a context that something changed: a deleted one leaves no revision.
pub(crate) fn mark(batch: &mut Batch, tenant: &TenantId) {
    batch.put(keyspace::contexts(tenant), "");
}

impl Controller {
    /// A context of the tenant was written: from now on no order goes out before its host knows. Those that are
    /// connected are told at once.
    pub(crate) fn contexts_changed(&self, tenant: &TenantId) {
        self.contexts.forget(tenant);
        match crate::nodes::of_tenant(&*self.store, tenant) {
            Ok(nodes) => nodes.iter().for_each(|node| self.bus.poke(&node.id)),
            // Each looks by itself before its next order.
            Err(error) => tracing::error!(%error, "the hosts can't be told of the security contexts"),
        }
    }

    /// Lets only those orders go on whose context the hosts know.
    pub(crate) fn need_context(&self, tenant: &TenantId, name: &str) -> Result<(), ApiError> {
        let pushed = self.contexts.of(&*self.store, tenant).map_err(crate::failed)?;
        if name == DEFAULT_CONTEXT || pushed.specs.contains_key(name) {
            return Ok(());
        }
        let others = pushed.specs.keys().map(String::as_str).filter(|other| *other != DEFAULT_CONTEXT);
        let known: Vec<_> = [DEFAULT_CONTEXT].into_iter().chain(others).collect();
        Err(ApiError::invalid(format!("SecurityContext/{name} not found; there is {}", known.join(", ")))
            .hint("aegis get SecurityContext"))
    }
}
