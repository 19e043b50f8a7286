//! What was applied, newest first.

use aegis_store::Order;
use aegis_wire::operator::{History, HistoryChange, HistoryEntry, ListHistory, PlanNumber};
use bytes::Bytes;

use super::{
    Reply,
    auth::Caller,
    plans::{Header, unknown},
    writes::Change,
};
use crate::{
    clock::{optional_time, time},
    failed, keyspace,
    nodes::read,
    state::Controller,
};

pub(super) fn list(
    controller: &Controller,
    caller: &Caller,
    which: &ListHistory,
) -> Reply<Vec<HistoryEntry>> {
    let prefix = keyspace::history(&caller.tenant);
    let limit = which.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut entries = Vec::new();
    let mut damaged = None;
    let visit = &mut |key: &str, value: &[u8], _| {
        match (read::<Header>(key, value), key[prefix.len()..].parse()) {
            (Ok(header), Ok(number)) => {
                if which.owner.as_ref().is_none_or(|owner| header.owner == *owner) {
                    entries.push(entry(number, header));
                }
            }
            (Err(error), _) => damaged = Some(error.to_string()),
            (_, Err(error)) => damaged = Some(error.to_string()),
        }
        damaged.is_none() && entries.len() < limit
    };
    controller.store.scan(&prefix, Order::Falling, visit).map_err(failed)?;
    damaged.map_or(Ok(entries), |error| Err(failed(error)))
}

pub(super) fn get(controller: &Controller, caller: &Caller, plan: PlanNumber) -> Reply<History> {
    let key = keyspace::plan(&caller.tenant, plan.0);
    let header = controller.store.get(&key).map_err(failed)?.ok_or_else(|| unknown(plan))?;
    let header: Header = read(&key, &header.value).map_err(failed)?;
    let prefix = keyspace::plan_changes(&caller.tenant, plan.0);
    let mut changes = Vec::new();
    for row in controller.store.list(&prefix).map_err(failed)? {
        let Some(key) = keyspace::object_of(&row.key[prefix.len()..]) else { continue };
        let change: Change = read(&row.key, &row.value).map_err(failed)?;
        let before = Bytes::from(change.before);
        changes.push(HistoryChange { key, outcome: change.outcome, steps: change.steps, before });
    }
    Ok(History { entry: entry(plan.0, header), changes })
}

fn entry(number: u64, header: Header) -> HistoryEntry {
    HistoryEntry {
        revision: PlanNumber(number),
        started_at: time(header.started_at_ms),
        finished_at: optional_time(header.finished_at_ms),
        subject: header.subject,
        owner: header.owner,
        source: header.source,
        summary: header.summary,
    }
}
