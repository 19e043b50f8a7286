//! A plan's begin and end, and what is known of earlier ones.

use std::collections::{BTreeMap, BTreeSet};

use aegis_core::{ObjectKey, Outcome, Owner, Revision, id::ObjectName, outcome::Summary};
use aegis_engine::realm::{PastWrite, Provenance};
use aegis_wire::ApiError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{StoreRealm, failed, keys::object_of, store_failed};
use crate::{Batch, CommitError, Order, Store};

/// The longest text about where a plan comes from, in bytes.
const MAX_SOURCE: usize = 1000;

/// A plan in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastPlan {
    /// Its number.
    #[serde(default)]
    pub revision: Revision,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// When it ended; 0: it still runs, or was interrupted.
    pub finished_at_ms: i64,
    /// Who applied it.
    pub subject: String,
    /// For whom.
    pub owner: Owner,
    /// What was run.
    pub source: String,
    /// How its objects ended.
    pub summary: Summary,
}

/// What a plan did to one object, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    pub outcome: Outcome,
    pub steps: Vec<String>,
    /// The body before the plan's first write of it; JSON, empty: it wasn't there.
    pub before: String,
}

/// What a plan did to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastChange {
    /// Which.
    pub key: ObjectKey,
    /// What became of it.
    pub outcome: Outcome,
    /// The plan's lines.
    pub steps: Vec<String>,
    /// The body before the plan's first write of it; JSON, empty: it wasn't there.
    pub before: String,
}

pub(super) fn read<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(value)
        .map_err(|error| ApiError::internal(format!("the row '{key}' is damaged: {error}")))
}

pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Of plain structs with text keys; what couldn't be written would read as damaged.
    serde_json::to_vec(value).unwrap_or_default()
}

/// The answer for a plan that doesn't exist.
fn unknown(plan: Revision) -> ApiError {
    ApiError::not_found(format!("revision {plan} not found")).hint("aegis history")
}

impl<S: Store> StoreRealm<S> {
    /// Every applied plan, newest first, at most `limit`.
    pub fn plans(&self, limit: usize, owner: Option<&Owner>) -> Result<Vec<PastPlan>, ApiError> {
        let prefix = self.keys.history();
        let mut plans = Vec::new();
        let mut damaged = None;
        let visit = &mut |key: &str, value: &[u8], _| {
            match (read::<PastPlan>(key, value), key[prefix.len()..].parse()) {
                (Ok(plan), Ok(number)) => {
                    if owner.is_none_or(|owner| plan.owner == *owner) {
                        plans.push(PastPlan { revision: Revision(number), ..plan });
                    }
                }
                (Err(error), _) => damaged = Some(error),
                (_, Err(_)) => damaged = Some(ApiError::internal(format!("the row '{key}' is damaged"))),
            }
            damaged.is_none() && plans.len() < limit
        };
        self.store.scan(&prefix, Order::Falling, visit).map_err(failed)?;
        damaged.map_or(Ok(plans), Err)
    }

    /// One plan, and what it did; `None`: there is no such plan.
    pub fn plan(&self, plan: Revision) -> Result<Option<(PastPlan, Vec<PastChange>)>, ApiError> {
        let key = self.keys.plan(plan.0);
        let Some(entry) = self.store.get(&key).map_err(failed)? else { return Ok(None) };
        let header = PastPlan { revision: plan, ..read(&key, &entry.value)? };
        let prefix = self.keys.changes(plan.0);
        let mut changes = Vec::new();
        for row in self.store.list(&prefix).map_err(failed)? {
            let Some(key) = object_of(&row.key[prefix.len()..]) else { continue };
            let Change { outcome, steps, before } = read(&row.key, &row.value)?;
            changes.push(PastChange { key, outcome, steps, before });
        }
        Ok(Some((header, changes)))
    }

    /// See `Realm::begin`.
    pub(super) async fn begin_plan(&self, by: &Provenance, owns: &[ObjectKey]) -> Result<Revision, ApiError> {
        if by.source.len() > MAX_SOURCE {
            return Err(ApiError::invalid(format!("the plan's source is longer than {MAX_SOURCE} bytes")));
        }
        owns.iter().try_for_each(|key| self.check_key(key).map_err(ApiError::invalid))?;
        loop {
            let row = self.keys.last_plan();
            let counter = self.store.get(&row).map_err(failed)?;
            let (last, base) = match &counter {
                Some(entry) => (read::<u64>(&entry.key, &entry.value)?, entry.revision),
                None => (0, Revision(0)),
            };
            let number = last + 1;
            let mut batch = Batch::new();
            batch.check(row.as_str(), base).put(row, json(&number));
            let header = PastPlan {
                revision: Revision(number),
                started_at_ms: (self.now)(),
                finished_at_ms: 0,
                subject: self.subject.clone(),
                owner: by.owner.clone(),
                source: by.source.clone(),
                summary: Summary::default(),
            };
            batch.put(self.keys.plan(number), json(&header));
            let inventory = self.store.list(&self.keys.inventory(&by.owner)).map_err(failed)?;
            let owned: BTreeSet<String> = inventory.into_iter().map(|row| row.key).collect();
            for key in owns {
                let row = self.keys.owned(&by.owner, key);
                if !owned.contains(&row) {
                    batch.put(row, "");
                }
            }
            match self.store.commit(batch).await {
                Ok(_) => return Ok(Revision(number)),
                Err(CommitError::Stale { .. }) => {}
                Err(CommitError::Store(error)) => return Err(store_failed(&error)),
            }
        }
    }

    /// A plan that isn't finished, with the revision of its row.
    pub(super) fn open_plan(&self, plan: Revision) -> Result<(PastPlan, Revision), ApiError> {
        let key = self.keys.plan(plan.0);
        let entry = self.store.get(&key).map_err(failed)?.ok_or_else(|| unknown(plan))?;
        let header: PastPlan = read(&key, &entry.value)?;
        if header.finished_at_ms != 0 {
            return Err(ApiError::conflict(format!("plan {plan} is finished")).hint("plan and apply again"));
        }
        Ok((header, entry.revision))
    }

    /// See `Realm::finish`.
    pub(super) async fn finish_plan(
        &self,
        plan: Revision,
        forgets: &[ObjectKey],
        summary: &Summary,
    ) -> Result<(), ApiError> {
        loop {
            let (header, revision) = self.open_plan(plan)?;
            let mut batch = Batch::new();
            for key in forgets {
                self.forget(plan, (&header.owner, revision), key, &mut batch)?;
            }
            let finished = PastPlan { finished_at_ms: (self.now)(), summary: summary.clone(), ..header };
            let row = self.keys.plan(plan.0);
            batch.check(row.as_str(), revision).put(row, json(&finished));
            match self.store.commit(batch).await {
                Ok(_) => return Ok(()),
                // Somebody finished it, or wrote what it forgets: look again.
                Err(CommitError::Stale { .. }) => {}
                Err(CommitError::Store(error)) => return Err(store_failed(&error)),
            }
        }
    }

    /// Takes an object out of the owner's inventory, unless another plan of the same owner has written it since this
    /// one did: it would be nobody's then, and never be pruned.
    fn forget(
        &self,
        plan: Revision,
        (owner, begun): (&Owner, Revision),
        key: &ObjectKey,
        batch: &mut Batch,
    ) -> Result<(), ApiError> {
        let row = self.keys.owned(owner, key);
        let Some(owned) = self.store.get(&row).map_err(failed)? else { return Ok(()) };
        let change = self.store.get(&self.keys.change(plan.0, key)).map_err(failed)?;
        if owned.revision <= change.map_or(begun, |change| change.revision) {
            batch.check(&row, owned.revision).delete(&row);
        }
        Ok(())
    }

    /// See `Realm::past`.
    pub(super) fn past_since(&self, plan: Revision) -> Result<Option<(Owner, Vec<PastWrite>)>, ApiError> {
        let key = self.keys.plan(plan.0);
        let Some(entry) = self.store.get(&key).map_err(failed)? else { return Ok(None) };
        let owner = read::<PastPlan>(&key, &entry.value)?.owner;
        let owners: BTreeMap<Revision, Owner> =
            self.plans(usize::MAX, None)?.into_iter().map(|plan| (plan.revision, plan.owner)).collect();
        let prefix = self.keys.all_changes();
        let mut writes = Vec::new();
        for row in self.store.list(&prefix).map_err(failed)? {
            let Some((number, object)) = row.key[prefix.len()..].split_once('/') else { continue };
            let number = Revision(number.parse().unwrap_or(0));
            let (Some(by), Some(key)) = (owners.get(&number), object_of(object)) else { continue };
            if number > plan {
                let change: Change = read(&row.key, &row.value)?;
                writes.push(PastWrite { by: by.clone(), key, before: change.before.into_bytes() });
            }
        }
        Ok(Some((owner, writes)))
    }

    /// Says why there can be no object of this key: the store's keys are made of these names.
    pub(super) fn check_key(&self, key: &ObjectKey) -> Result<(), String> {
        if !self.kinds.contains(&&*key.kind) {
            return Err(format!("there are no objects of the kind '{}' here", key.kind));
        }
        ObjectName::new(key.name.as_str()).map(|_| ()).map_err(|error| error.to_string())
    }
}
