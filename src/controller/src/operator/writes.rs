//! Writes of a plan: each on condition of the revision that was read, all of a request in few commits, each commit with
//! its part of the history and of the audit log.

use std::collections::BTreeSet;

use aegis_core::{NodeId, Outcome, Owner, Revision, TenantId};
use aegis_store::{Batch, CommitError};
use aegis_wire::operator::{ObjectWrite, PlanNumber, Write, WriteError, WriteRefusal, WriteResult};
use serde::{Deserialize, Serialize};

use super::{
    Reply,
    auth::Caller,
    objects::NODE_KIND,
    plans::{self, is_object},
};
use crate::{
    assignments, contexts, failed, keyspace,
    nodes::{self, json, read},
    state::Controller,
};

/// How many objects are written in one commit at most.
const CHUNK: usize = 500;

/// What a plan did to an object, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    pub outcome: Outcome,
    pub steps: Vec<String>,
    /// The body before the plan's first write of it; JSON, empty: it wasn't there.
    pub before: String,
}

pub(super) async fn write(
    controller: &Controller,
    caller: &Caller,
    plan: PlanNumber,
    writes: Vec<ObjectWrite>,
) -> Reply<Vec<WriteResult>> {
    let mut results = Vec::with_capacity(writes.len());
    for chunk in writes.chunks(CHUNK) {
        results.extend(commit(controller, caller, plan, chunk).await?);
    }
    Ok(results)
}

/// Commits those writes of the chunk that can be done.
async fn commit(
    controller: &Controller,
    caller: &Caller,
    plan: PlanNumber,
    chunk: &[ObjectWrite],
) -> Reply<Vec<WriteResult>> {
    loop {
        let (header, header_revision) = plans::open(controller, &caller.tenant, plan)?;
        let mut batch = Batch::new();
        batch.check(keyspace::plan(&caller.tenant, plan.0), header_revision);
        let mut seen = BTreeSet::new();
        let mut results = Vec::with_capacity(chunk.len());
        for write in chunk {
            let result = if seen.insert(&write.key) {
                add(controller, caller, (plan, &header.owner), write, &mut batch)?
            } else {
                Err(refused(WriteRefusal::Stale, format!("{} stands twice in the request", write.key)))
            };
            results.push(result);
        }
        if batch.is_empty() {
            return Ok(results);
        }
        match controller.store.commit(batch).await {
            Ok(revision) => {
                if chunk.iter().any(|write| write.key.kind == contexts::KIND) {
                    controller.contexts_changed(&caller.tenant);
                }
                if chunk.iter().any(|write| assignments::concerns(&write.key.kind)) {
                    controller.assignments_changed(&caller.tenant);
                }
                for (result, write) in results.iter_mut().zip(chunk) {
                    if let (Ok(written), Write::Put(_)) = (result, &write.write) {
                        *written = revision;
                    }
                }
                return Ok(results);
            }
            // Somebody wrote one of them in between: look again, and that one is stale.
            Err(CommitError::Stale { .. }) => {}
            Err(CommitError::Store(error)) => return Err(failed(error)),
        }
    }
}

/// Adds one write of the owner's plan to the batch, or says why it can't be. The revision of a success is filled in by the commit.
fn add(
    controller: &Controller,
    caller: &Caller,
    (plan, owner): (PlanNumber, &Owner),
    write: &ObjectWrite,
    batch: &mut Batch,
) -> Reply<WriteResult> {
    if let Err(error) = check(controller, &caller.tenant, write)? {
        return Ok(Err(error));
    }
    let key = keyspace::object(&caller.tenant, &write.key);
    let have = controller.store.get(&key).map_err(failed)?;
    let found = have.as_ref().map_or(Revision(0), |entry| entry.revision);
    if found != write.base {
        let message = format!("{} is at revision {found} by now, not {}", write.key, write.base);
        return Ok(Err(refused(WriteRefusal::Stale, message)));
    }
    if assignments::is_sealed_write(write) {
        let have = have.as_ref().map(|entry| entry.value.as_slice());
        let added = controller.secrets.add(&*controller.store, &caller.tenant, (write, have), batch)?;
        if let Err(error) = added {
            return Ok(Err(error));
        }
    }
    batch.check(&key, write.base);
    match &write.write {
        Write::Put(body) => {
            batch.put(&key, body.as_ref());
            // Again, although the plan's begin did: another plan of the same owner may have forgotten it since.
            if !owner.is_cli() {
                batch.put(keyspace::inventory_row(&caller.tenant, owner, &write.key), "");
            }
        }
        Write::Delete => {
            batch.delete(&key);
        }
    }
    if write.key.kind == contexts::KIND {
        contexts::mark(batch, &caller.tenant);
    }
    let row = keyspace::plan_change(&caller.tenant, plan.0, &write.key);
    let before = have.map_or_else(String::new, |entry| String::from_utf8_lossy(&entry.value).into_owned());
    let mut change = Change { outcome: write.outcome, steps: write.steps.clone(), before };
    if let Some(entry) = controller.store.get(&row).map_err(failed)? {
        // Written before by the same plan: what was there before the plan stays what it was.
        let first: Change = read(&row, &entry.value).map_err(failed)?;
        change.before = first.before;
        change.steps.splice(..0, first.steps);
    }
    batch.put(row, json(&change));
    let (tenant, object) = (caller.tenant.as_str(), write.key.to_string());
    let action = if matches!(write.write, Write::Delete) { "delete" } else { "write" };
    let detail = format!("plan {plan}: {}", write.steps.join("; "));
    controller.audit(batch, controller.event(&caller.subject, tenant, action, &object, &detail));
    Ok(Ok(Revision(0)))
}

/// Whether there can be such an object.
fn check(controller: &Controller, tenant: &TenantId, write: &ObjectWrite) -> Reply<Result<(), WriteError>> {
    if let Err(message) = is_object(&write.key) {
        return Ok(Err(refused(WriteRefusal::Refused, message)));
    }
    if write.key.kind == NODE_KIND {
        let node = match NodeId::new(write.key.name.as_str()) {
            Ok(id) => nodes::get(&*controller.store, &id).map_err(failed)?.map(|(node, _)| node),
            Err(_) => None,
        };
        let is_delete = matches!(write.write, Write::Delete);
        if node.is_none_or(|node| node.tenant != *tenant || (node.is_revoked() && !is_delete)) {
            return Ok(Err(refused(WriteRefusal::NotFound, nodes::unknown(&write.key.name).message)));
        }
    }
    if let Write::Put(body) = &write.write
        && let Err(error) = aegis_kinds::check_stored(&write.key.kind, &write.key.name, body)
    {
        return Ok(Err(refused(WriteRefusal::Refused, format!("{}: {error}", write.key))));
    }
    Ok(Ok(()))
}

fn refused(refusal: WriteRefusal, message: String) -> WriteError {
    WriteError { refusal, message }
}
