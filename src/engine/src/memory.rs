//! A realm in memory: the dry run's answer, and where the engine's tests apply their plans.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use aegis_core::{Kind, ObjectKey, Owner, Revision, outcome::Summary};
use aegis_kinds::EdgeNode;
use aegis_wire::error::ApiError;

use crate::realm::{Changes, Host, Object, PastWrite, Provenance, Realm, UNDECLARED_HOST, Write, Written};

/// Objects, owners and plans of one tenant, in memory.
#[derive(Debug, Default)]
pub struct MemoryRealm(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    revision: u64,
    objects: BTreeMap<ObjectKey, (Revision, Vec<u8>)>,
    changed: BTreeMap<ObjectKey, u64>,
    hosts: Vec<Host>,
    inventory: BTreeMap<Owner, BTreeSet<ObjectKey>>,
    plans: Vec<(Owner, Vec<PastWrite>)>,
    /// Reads of objects, hosts and inventories: what the plan cache is there to avoid.
    reads: usize,
}

impl MemoryRealm {
    /// With these enrolled hosts.
    pub fn with_hosts(hosts: Vec<Host>) -> Self {
        Self(Mutex::new(State { hosts, ..State::default() }))
    }

    /// The enrolled hosts are these from now on: some came, went, or got another name.
    pub fn set_hosts(&self, hosts: Vec<Host>) {
        let mut state = self.state();
        let changed: BTreeSet<ObjectKey> = state
            .hosts
            .iter()
            .filter(|host| !hosts.contains(host))
            .chain(hosts.iter().filter(|host| !state.hosts.contains(host)))
            .map(|host| ObjectKey::new(EdgeNode::NAME, host.id.to_string()))
            .collect();
        state.revision += 1;
        let revision = state.revision;
        for key in changed {
            if !hosts.iter().any(|host| host.id.as_str() == key.name) {
                state.objects.remove(&key);
            }
            state.changed.insert(key, revision);
        }
        state.hosts = hosts;
    }

    /// How many times objects, hosts and inventories were read so far; asking for changes doesn't count.
    pub fn reads(&self) -> usize {
        self.state().reads
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn object(&self, key: &ObjectKey) -> Option<Object> {
        let (revision, body) = match self.objects.get(key) {
            Some((revision, body)) => (*revision, body.clone()),
            None if key.kind == EdgeNode::NAME && self.hosts.iter().any(|h| h.id.as_str() == key.name) => {
                (Revision(0), UNDECLARED_HOST.to_vec())
            }
            None => return None,
        };
        Some(Object { key: key.clone(), revision, body })
    }
}

impl Realm for MemoryRealm {
    async fn objects(&self, kinds: &[&str]) -> Result<Vec<Object>, ApiError> {
        let mut state = self.state();
        state.reads += 1;
        let hosts = state.hosts.iter().map(|h| ObjectKey::new(EdgeNode::NAME, h.id.to_string()));
        let keys: BTreeSet<ObjectKey> = state.objects.keys().cloned().chain(hosts).collect();
        Ok(keys.iter().filter(|k| kinds.contains(&&*k.kind)).filter_map(|k| state.object(k)).collect())
    }

    async fn object(&self, key: &ObjectKey) -> Result<Option<Object>, ApiError> {
        let mut state = self.state();
        state.reads += 1;
        if key.kind == EdgeNode::NAME {
            let called: Vec<&Host> = state.hosts.iter().filter(|host| host.name == key.name).collect();
            if let [host] = called.as_slice() {
                return Ok(state.object(&ObjectKey::new(EdgeNode::NAME, host.id.to_string())));
            }
        }
        Ok(state.object(key))
    }

    async fn hosts(&self) -> Result<Vec<Host>, ApiError> {
        let mut state = self.state();
        state.reads += 1;
        Ok(state.hosts.clone())
    }

    async fn changes(&self, since: Revision) -> Result<Changes, ApiError> {
        let state = self.state();
        let keys = state.changed.iter().filter(|(_, at)| **at > since.0).map(|(key, _)| key.clone());
        Ok(Changes { revision: Revision(state.revision), complete: true, keys: keys.collect() })
    }

    async fn inventory(&self, owner: &Owner) -> Result<BTreeSet<ObjectKey>, ApiError> {
        let mut state = self.state();
        state.reads += 1;
        Ok(state.inventory.get(owner).cloned().unwrap_or_default())
    }

    async fn begin(&self, by: &Provenance, owns: Vec<ObjectKey>) -> Result<Revision, ApiError> {
        let mut state = self.state();
        state.inventory.entry(by.owner.clone()).or_default().extend(owns);
        state.plans.push((by.owner.clone(), Vec::new()));
        Ok(Revision(state.plans.len() as u64))
    }

    async fn write(&self, plan: Revision, writes: Vec<Write>) -> Result<Vec<Written>, ApiError> {
        let mut state = self.state();
        let mut results = Vec::new();
        for write in writes {
            let have = state.objects.get(&write.key).cloned();
            if have.as_ref().map(|(revision, _)| *revision).unwrap_or_default() != write.base {
                results.push(Written::Stale);
                continue;
            }
            if write.key.kind == EdgeNode::NAME && state.object(&write.key).is_none() {
                results.push(Written::Refused("no such host is enrolled".into()));
                continue;
            }
            if let Some(body) = &write.next
                && let Err(error) = aegis_kinds::check_stored(&write.key.kind, &write.key.name, body)
            {
                results.push(Written::Refused(error.to_string()));
                continue;
            }
            state.revision += 1;
            let revision = state.revision;
            state.changed.insert(write.key.clone(), revision);
            let before = have.map(|(_, body)| body).unwrap_or_default();
            let index = usize::try_from(plan.0).unwrap_or(0).saturating_sub(1);
            if let Some((by, past)) = state.plans.get_mut(index) {
                past.push(PastWrite { by: by.clone(), key: write.key.clone(), before });
            }
            match write.next {
                Some(body) => drop(state.objects.insert(write.key, (Revision(revision), body))),
                None => drop(state.objects.remove(&write.key)),
            }
            results.push(Written::Done(Revision(revision)));
        }
        Ok(results)
    }

    async fn finish(&self, plan: Revision, forgets: Vec<ObjectKey>, _: &Summary) -> Result<(), ApiError> {
        let mut state = self.state();
        let owner =
            state.plans.get(usize::try_from(plan.0).unwrap_or(0).saturating_sub(1)).map(|p| p.0.clone());
        if let Some(owned) = owner.and_then(|owner| state.inventory.get_mut(&owner)) {
            owned.retain(|key| !forgets.contains(key));
        }
        Ok(())
    }

    async fn past(&self, plan: Revision) -> Result<Option<(Owner, Vec<PastWrite>)>, ApiError> {
        let state = self.state();
        let at = usize::try_from(plan.0).unwrap_or(usize::MAX);
        let Some((owner, _)) = at.checked_sub(1).and_then(|index| state.plans.get(index)) else {
            return Ok(None);
        };
        Ok(Some((owner.clone(), state.plans[at..].iter().flat_map(|(_, past)| past.clone()).collect())))
    }
}
