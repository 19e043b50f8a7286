//! A plan is opened before its writes and closed after them: own before create, forget after delete.

use std::collections::BTreeSet;

use aegis_core::{ObjectKey, Owner, Revision, TenantId, id::ObjectName, outcome::Summary};
use aegis_store::{Batch, CommitError};
use aegis_wire::{
    ApiError,
    operator::{BeginPlan, FinishPlan, PlanNumber},
};
use serde::{Deserialize, Serialize};

use super::{Reply, auth::Caller};
use crate::{
    failed, keyspace,
    nodes::{json, read},
    state::Controller,
};

/// The longest text about where a plan comes from, in bytes.
const MAX_SOURCE: usize = 1000;

/// A plan's entry in the history, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub started_at_ms: i64,
    /// 0: it still runs, or was interrupted.
    pub finished_at_ms: i64,
    pub subject: String,
    pub owner: Owner,
    pub source: String,
    pub summary: Summary,
}

pub(super) async fn begin(controller: &Controller, caller: &Caller, plan: BeginPlan) -> Reply<PlanNumber> {
    if plan.source.len() > MAX_SOURCE {
        return Err(ApiError::invalid(format!("the plan's source is longer than {MAX_SOURCE} bytes")));
    }
    plan.owns.iter().try_for_each(check_key)?;
    let store = &*controller.store;
    let prefix = keyspace::inventory(&caller.tenant, &plan.owner);
    loop {
        let counter = store.get(&keyspace::last_plan(&caller.tenant)).map_err(failed)?;
        let (last, base) = match &counter {
            Some(entry) => (read::<u64>(&entry.key, &entry.value).map_err(failed)?, entry.revision),
            None => (0, Revision(0)),
        };
        let number = last + 1;
        let mut batch = Batch::new();
        batch.check(keyspace::last_plan(&caller.tenant), base);
        batch.put(keyspace::last_plan(&caller.tenant), json(&number));
        let header = Header {
            started_at_ms: controller.clock.now_ms(),
            finished_at_ms: 0,
            subject: caller.subject.clone(),
            owner: plan.owner.clone(),
            source: plan.source.clone(),
            summary: Summary::default(),
        };
        batch.put(keyspace::plan(&caller.tenant, number), json(&header));
        let owned: BTreeSet<String> =
            store.list(&prefix).map_err(failed)?.into_iter().map(|row| row.key).collect();
        for key in &plan.owns {
            let row = keyspace::inventory_row(&caller.tenant, &plan.owner, key);
            if !owned.contains(&row) {
                batch.put(row, "");
            }
        }
        let (tenant, object) = (caller.tenant.as_str(), number.to_string());
        let detail = format!("owner {}: {}", plan.owner, plan.source);
        controller
            .audit(&mut batch, controller.event(&caller.subject, tenant, "plan.begin", &object, &detail));
        match store.commit(batch).await {
            Ok(_) => return Ok(PlanNumber(number)),
            Err(CommitError::Stale { .. }) => {}
            Err(CommitError::Store(error)) => return Err(failed(error)),
        }
    }
}

/// A plan of the tenant that isn't finished, with its revision.
pub(super) fn open(
    controller: &Controller,
    tenant: &TenantId,
    plan: PlanNumber,
) -> Reply<(Header, Revision)> {
    let key = keyspace::plan(tenant, plan.0);
    let entry = controller.store.get(&key).map_err(failed)?.ok_or_else(|| unknown(plan))?;
    let header: Header = read(&key, &entry.value).map_err(failed)?;
    if header.finished_at_ms != 0 {
        return Err(ApiError::conflict(format!("plan {plan} is finished")).hint("plan and apply again"));
    }
    Ok((header, entry.revision))
}

/// The answer for a plan that doesn't exist and for one of another tenant.
pub(super) fn unknown(plan: PlanNumber) -> ApiError {
    ApiError::not_found(format!("revision {plan} not found")).hint("aegis history")
}

pub(super) async fn finish(controller: &Controller, caller: &Caller, plan: FinishPlan) -> Reply<()> {
    plan.forgets.iter().try_for_each(check_key)?;
    loop {
        let (header, revision) = open(controller, &caller.tenant, plan.plan)?;
        let mut batch = Batch::new();
        for forgotten in &plan.forgets {
            forget(controller, caller, (plan.plan, &header.owner, revision), forgotten, &mut batch)?;
        }
        let finished_at_ms = controller.clock.now_ms();
        let finished = Header { finished_at_ms, summary: plan.summary.clone(), ..header };
        batch.check(keyspace::plan(&caller.tenant, plan.plan.0), revision);
        batch.put(keyspace::plan(&caller.tenant, plan.plan.0), json(&finished));
        let (tenant, object) = (caller.tenant.as_str(), plan.plan.to_string());
        let detail = plan.summary.to_string();
        controller
            .audit(&mut batch, controller.event(&caller.subject, tenant, "plan.finish", &object, &detail));
        match controller.store.commit(batch).await {
            Ok(_) => return Ok(()),
            // Somebody finished it, or wrote what it forgets: look again.
            Err(CommitError::Stale { .. }) => {}
            Err(CommitError::Store(error)) => return Err(failed(error)),
        }
    }
}

/// Takes an object out of the owner's inventory, unless another plan of the same owner has written it since this one
/// did: it would be nobody's then, and never be pruned.
fn forget(
    controller: &Controller,
    caller: &Caller,
    (plan, owner, begun): (PlanNumber, &Owner, Revision),
    key: &ObjectKey,
    batch: &mut Batch,
) -> Reply<()> {
    let row = keyspace::inventory_row(&caller.tenant, owner, key);
    let Some(owned) = controller.store.get(&row).map_err(failed)? else { return Ok(()) };
    let change = keyspace::plan_change(&caller.tenant, plan.0, key);
    let written = controller.store.get(&change).map_err(failed)?.map_or(begun, |change| change.revision);
    if owned.revision <= written {
        batch.check(&row, owned.revision).delete(&row);
    }
    Ok(())
}

/// Only what could be an object gets a row: the store's keys are made of these names.
fn check_key(key: &ObjectKey) -> Reply<()> {
    if aegis_kinds::find(&key.kind).is_none_or(|info| info.name != key.kind) {
        return Err(ApiError::invalid(format!("'{}' is no kind", key.kind)).hint("aegis explain"));
    }
    ObjectName::new(key.name.as_str()).map(|_| ()).map_err(|error| ApiError::invalid(error.to_string()))
}

/// Says why a key can't be written, as [`check_key`] does.
pub(super) fn is_object(key: &ObjectKey) -> Result<(), String> {
    check_key(key).map_err(|error| error.message)
}
