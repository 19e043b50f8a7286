//! Runs whose controller ended in the middle are finished honestly: what is known is known, and what isn't is said.

use std::collections::BTreeSet;

use aegis_core::{
    TenantId,
    fleet::{RunId, RunState},
};
use aegis_store::{Batch, CommitError, StoreError};
use aegis_wire::operator::{Run, RunChange, RunEvent, RunTarget};

use super::{
    Place,
    notes::lists,
    rows,
    turn::{INTERRUPTED, interrupted},
};
use crate::{
    audit::{Event, Outcome},
    keyspace,
    state::Controller,
};

/// Finishes every run that hasn't ended. Called when the controller starts, before it serves.
pub(crate) async fn recover(controller: &Controller) -> Result<(), StoreError> {
    for entry in controller.store.list(keyspace::OPEN_RUNS)? {
        let place = place(&entry.key)?;
        let finished = finish(controller, &place)?;
        match controller.store.commit(finished).await {
            Ok(_) => tracing::info!(run = %place.id, "finished a run that was interrupted"),
            Err(CommitError::Store(error)) => return Err(error),
            Err(CommitError::Stale { key, .. }) => return Err(StoreError::Engine(key)),
        }
    }
    Ok(())
}

fn place(key: &str) -> Result<Place, StoreError> {
    let damaged = || StoreError::Engine(format!("'{key}' names no run"));
    let (tenant, id) = key[keyspace::OPEN_RUNS.len()..].split_once('/').ok_or_else(damaged)?;
    let tenant = TenantId::new(tenant).map_err(|_| damaged())?;
    Ok(Place { tenant, id: RunId::new(id).map_err(|_| damaged())? })
}

/// What is known of a run, from its events.
#[derive(Default)]
struct Known {
    targets: Vec<RunTarget>,
    dispatched: BTreeSet<u32>,
    ended: BTreeSet<u32>,
    run: Option<Run>,
    /// The number of the event after the last.
    next: u64,
}

fn known(controller: &Controller, place: &Place) -> Result<Known, StoreError> {
    let mut known = Known { next: 1, ..Known::default() };
    while let Some(events) = rows::read(&*controller.store, place, known.next)? {
        known.next += events.len() as u64;
        for event in events {
            match event.what {
                RunChange::Started { run, targets, .. } => {
                    known.run = Some(run);
                    known.targets = targets;
                }
                RunChange::Dispatched { targets } => known.dispatched.extend(targets),
                RunChange::Result(result) => {
                    known.ended.insert(result.target);
                    if let Some(run) = &mut known.run {
                        run.outcomes.add(result.outcome);
                    }
                }
                _ => {}
            }
        }
    }
    Ok(known)
}

fn finish(controller: &Controller, place: &Place) -> Result<Batch, StoreError> {
    let known = known(controller, place)?;
    let damaged = || StoreError::Engine(format!("the run {} has no begin", place.id));
    let mut run = known.run.ok_or_else(damaged)?;
    let count = known.targets.len();
    let (tenant, id) = (place.tenant.as_str(), place.id.as_str());
    let mut batch = Batch { quiet: true, ..Batch::default() };
    let mut events = Vec::new();
    let mut hosts: [(&str, Vec<String>); 2] = [("disconnected", vec![]), ("not_started", vec![])];
    for (target, host) in (0..).zip(known.targets) {
        if known.ended.contains(&target) {
            continue;
        }
        let was_dispatched = known.dispatched.contains(&target);
        hosts[usize::from(!was_dispatched)].1.push(host.node_id.to_string());
        let result = interrupted(target, host, was_dispatched);
        run.outcomes.add(result.outcome);
        events.push(RunChange::Result(result));
    }
    run.state = RunState::Interrupted;
    INTERRUPTED.clone_into(&mut run.reason);
    run.finished_at = Some(controller.clock.now());
    rows::put_run(&mut batch, place, &run);
    let record = |action: &str, detail: &str| Event {
        outcome: Outcome::Failed,
        ..controller.event("controller", tenant, action, id, detail)
    };
    for (what, hosts) in hosts {
        for detail in lists(what, hosts.iter().map(String::as_str)) {
            controller.audit(&mut batch, record("result", &detail));
        }
    }
    controller.audit(&mut batch, record("run.end", run.state.as_str()));
    events.push(RunChange::Finished { run });
    let time = controller.clock.now();
    let events = (known.next..).zip(events).map(|(sequence, what)| RunEvent { sequence, time, what });
    for piece in rows::pieces(known.next, events.collect()) {
        rows::put(&mut batch, place, &piece, count);
    }
    Ok(batch)
}
