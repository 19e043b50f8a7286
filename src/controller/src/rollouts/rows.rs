//! Rollouts on the disk: the object itself, what is known of it, and how it is steered. Only a rollout's task writes what
//! is known, only operators write how it is steered, so neither overwrites the other.

use std::collections::BTreeMap;

use aegis_core::{ObjectKey, TenantId};
use aegis_kinds::RolloutSpec;
use aegis_store::{Batch, Store, StoreError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::record::Record;
use crate::{
    keyspace,
    nodes::{json, read},
};

/// The kind of the objects.
pub(crate) const KIND: &str = "Rollout";

/// Whose rollout, and which.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub tenant: TenantId,
    pub name: String,
}

/// What is declared.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    pub spec: RolloutSpec,
    /// Tells specs apart. Labels, annotations and owners aren't in it: they begin nothing.
    pub digest: String,
    pub revision: u64,
}

/// How operators steer a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Steering {
    /// Who paused it. That holds for later specs, too.
    pub paused_by: Option<String>,
    /// Which generation was aborted, and by whom.
    pub aborted: Option<(u64, String)>,
}

impl Steering {
    /// Who aborted this generation.
    pub fn aborted_by(&self, generation: u64) -> Option<&str> {
        self.aborted.as_ref().filter(|(aborted, _)| *aborted == generation).map(|(_, by)| by.as_str())
    }
}

impl Place {
    pub fn object(&self) -> ObjectKey {
        ObjectKey::new(KIND, self.name.as_str())
    }
    /// Who its runs are by.
    pub fn subject(&self) -> String {
        format!("rollout:{}", self.name)
    }
}

/// The part of a stored object that matters here.
#[derive(Deserialize)]
struct Body {
    spec: RolloutSpec,
}

/// What is declared; none: there is no such rollout, or no more.
pub(crate) fn declared(store: &dyn Store, place: &Place) -> Result<Option<Declared>, StoreError> {
    let key = keyspace::object(&place.tenant, &place.object());
    let Some(entry) = store.get(&key)? else { return Ok(None) };
    let spec = read::<Body>(&key, &entry.value)?.spec;
    let digest = hex::encode(Sha256::digest(json(&spec)));
    Ok(Some(Declared { spec, digest, revision: entry.revision.0 }))
}

/// What is known of it.
pub(crate) fn record(store: &dyn Store, place: &Place) -> Result<Option<Record>, StoreError> {
    let key = keyspace::rollout(&place.tenant, &place.name);
    let Some(entry) = store.get(&key)? else { return Ok(None) };
    let header = read(&key, &entry.value)?;
    let key = keyspace::rollout_hosts(&place.tenant, &place.name);
    let hosts = match store.get(&key)? {
        Some(entry) => read(&key, &entry.value)?,
        None => BTreeMap::new(),
    };
    Ok(Some(Record { header, hosts }))
}

/// Stores where it is, and with `hosts` each host.
pub(super) fn put(batch: &mut Batch, place: &Place, record: &Record, hosts: bool) {
    batch.put(keyspace::rollout(&place.tenant, &place.name), json(&record.header));
    if hosts {
        batch.put(keyspace::rollout_hosts(&place.tenant, &place.name), json(&record.hosts));
    }
}

/// Forgets all of it.
pub(super) fn forget(batch: &mut Batch, place: &Place) {
    let Place { tenant, name } = place;
    batch.delete(keyspace::rollout(tenant, name));
    batch.delete(keyspace::rollout_hosts(tenant, name));
    batch.delete(keyspace::rollout_steering(tenant, name));
}

/// How it is steered.
pub(crate) fn steering(store: &dyn Store, place: &Place) -> Result<Steering, StoreError> {
    let key = keyspace::rollout_steering(&place.tenant, &place.name);
    store.get(&key)?.map_or_else(|| Ok(Steering::default()), |entry| read(&key, &entry.value))
}

/// Every rollout that is declared, or of which something is known.
pub(super) fn all(store: &dyn Store) -> Result<Vec<Place>, StoreError> {
    let mut places = Vec::new();
    let known = store.list(keyspace::ROLLOUTS)?;
    places.extend(known.iter().filter_map(|row| {
        let (tenant, name) = row.key[keyspace::ROLLOUTS.len()..].split_once('/')?;
        Some(Place { tenant: TenantId::new(tenant).ok()?, name: name.to_owned() })
    }));
    for row in store.list(keyspace::TENANTS)? {
        let Ok(tenant) = TenantId::new(&row.key[keyspace::TENANTS.len()..]) else { continue };
        let prefix = keyspace::objects_of_kind(&tenant, KIND);
        let objects = store.list(&prefix)?;
        let names = objects.iter().map(|row| row.key[prefix.len()..].to_owned());
        places.extend(names.map(|name| Place { tenant: tenant.clone(), name }));
    }
    places.sort();
    places.dedup();
    Ok(places)
}

/// The rollout that a changed key is about.
pub(super) fn place_of(key: &str) -> Option<Place> {
    let (tenant, object) = key.strip_prefix(keyspace::OBJECTS)?.split_once('/')?;
    let name = object.strip_prefix(KIND)?.strip_prefix('/')?;
    Some(Place { tenant: TenantId::new(tenant).ok()?, name: name.to_owned() })
}
