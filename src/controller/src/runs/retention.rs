//! Which runs are kept: the newest thousand of a tenant, for thirty days.

use aegis_core::{TenantId, fleet::RunId};
use aegis_store::{Batch, CommitError, Order, Store, StoreError};

use super::{Place, key::Row};
use crate::{keyspace, nodes::read, state::Controller};

/// How many runs of a tenant are kept.
const NEWEST: usize = 1000;
/// How long, in milliseconds.
const LIFE_MS: i64 = 30 * 24 * 3600 * 1000;
/// How many rows are deleted at once at most, so that no commit takes long. What is left goes when the next run begins.
const ROWS: usize = 2000;

/// Forgets runs that are too old or too many. Called when a run begins; nobody waits for it.
pub(super) fn prune(controller: &Controller, tenant: &TenantId) {
    match outdated(&*controller.store, tenant, controller.clock.now_ms()) {
        Ok(batch) if batch.is_empty() => {}
        Ok(batch) => controller.store.commit(batch).detach(),
        Err(error) => tracing::warn!(%tenant, %error, "can't forget old runs"),
    }
}

fn outdated(store: &dyn Store, tenant: &TenantId, now_ms: i64) -> Result<Batch, StoreError> {
    let prefix = keyspace::runs(tenant);
    let mut ids = Vec::new();
    store.scan(&prefix, Order::Rising, &mut |key, _, _| {
        ids.extend(RunId::new(&key[prefix.len()..]));
        true
    })?;
    let too_many = ids.len().saturating_sub(NEWEST);
    // Ids begin with the time.
    let oldest = RunId::at(now_ms.saturating_sub(LIFE_MS), [0; 4]);
    let mut batch = Batch { lazy: true, quiet: true, ..Batch::default() };
    for (index, id) in ids.into_iter().enumerate() {
        if index >= too_many && id >= oldest {
            break;
        }
        if !delete(store, &mut batch, &Place { tenant: tenant.clone(), id })? {
            break;
        }
    }
    Ok(batch)
}

/// Adds a run's rows to those that go. False: there is no room for more in this commit.
fn delete(store: &dyn Store, batch: &mut Batch, place: &Place) -> Result<bool, StoreError> {
    if store.get(&keyspace::open_run(&place.tenant, &place.id))?.is_some() {
        return Ok(true);
    }
    let mut complete = true;
    store.scan(&keyspace::run_events(&place.tenant, &place.id), Order::Falling, &mut |key, _, _| {
        complete = batch.writes.len() < ROWS;
        if complete {
            batch.delete(key);
        }
        complete
    })?;
    // The run itself goes last: until then its events are found again.
    if complete {
        batch.delete(keyspace::run(&place.tenant, &place.id));
    }
    Ok(complete)
}

/// Forgets idempotency keys that mean nothing any more.
pub(crate) async fn forget_keys(controller: &Controller) -> Result<(), StoreError> {
    let now_ms = controller.clock.now_ms();
    let mut batch = Batch { quiet: true, ..Batch::default() };
    controller.store.scan(keyspace::RUN_KEYS, Order::Rising, &mut |key, value, _| {
        if read::<Row>(key, value).is_ok_and(|row| row.is_over(now_ms)) {
            batch.delete(key);
        }
        batch.writes.len() < ROWS
    })?;
    if batch.is_empty() {
        return Ok(());
    }
    match controller.store.commit(batch).await {
        Ok(_) | Err(CommitError::Stale { .. }) => Ok(()),
        Err(CommitError::Store(error)) => Err(error),
    }
}
