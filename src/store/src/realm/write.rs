//! Writes of a plan: each on condition of the revision that was read, all of a request in few commits.

use std::collections::BTreeSet;

use aegis_core::{Owner, Revision};
use aegis_engine::realm::{Write, Written};
use aegis_wire::ApiError;

use super::{
    Beside, StoreRealm, failed,
    history::{Change, json, read},
    store_failed,
};
use crate::{Batch, CommitError, Store};

/// How many objects are written in one commit at most.
const CHUNK: usize = 500;

impl<S: Store> StoreRealm<S> {
    /// Writes, each on its own condition, with what `beside` adds to the commit of each.
    pub async fn write_with(
        &self,
        plan: Revision,
        writes: Vec<Write>,
        beside: &Beside<'_>,
    ) -> Result<Vec<Written>, ApiError> {
        let mut results = Vec::with_capacity(writes.len());
        for chunk in writes.chunks(CHUNK) {
            results.extend(self.write_chunk(plan, chunk, beside).await?);
        }
        Ok(results)
    }

    /// Commits those writes of the chunk that can be done.
    async fn write_chunk(
        &self,
        plan: Revision,
        chunk: &[Write],
        beside: &Beside<'_>,
    ) -> Result<Vec<Written>, ApiError> {
        loop {
            let (header, revision) = self.open_plan(plan)?;
            let mut batch = Batch::new();
            batch.check(self.keys.plan(plan.0), revision);
            let mut seen = BTreeSet::new();
            let mut results = Vec::with_capacity(chunk.len());
            for write in chunk {
                results.push(if seen.insert(&write.key) {
                    self.add(plan, &header.owner, write, beside, &mut batch)?
                } else {
                    Written::Stale
                });
            }
            if batch.is_empty() {
                return Ok(results);
            }
            match self.store.commit(batch).await {
                Ok(revision) => {
                    for result in &mut results {
                        if let Written::Done(written) = result {
                            *written = revision;
                        }
                    }
                    return Ok(results);
                }
                // Somebody wrote one of them in between: look again, and that one is stale.
                Err(CommitError::Stale { .. }) => {}
                Err(CommitError::Store(error)) => return Err(store_failed(&error)),
            }
        }
    }

    /// Adds one write to the batch, or says why it can't be. The revision of a success is filled in by the commit.
    fn add(
        &self,
        plan: Revision,
        owner: &Owner,
        write: &Write,
        beside: &Beside<'_>,
        batch: &mut Batch,
    ) -> Result<Written, ApiError> {
        if let Err(reason) = self.check_key(&write.key) {
            return Ok(Written::Refused(reason));
        }
        if let Some(body) = &write.next
            && let Err(error) = aegis_kinds::check_stored(&write.key.kind, &write.key.name, body)
        {
            return Ok(Written::Refused(format!("{}: {error}", write.key)));
        }
        let key = self.keys.object(&write.key);
        let have = self.store.get(&key).map_err(failed)?;
        if have.as_ref().map_or(Revision(0), |entry| entry.revision) != write.base {
            return Ok(Written::Stale);
        }
        let mut more = Batch::new();
        if let Err(reason) = beside(write, &mut more) {
            return Ok(Written::Refused(reason));
        }
        batch.checks.append(&mut more.checks);
        batch.writes.append(&mut more.writes);
        batch.check(&key, write.base);
        match &write.next {
            Some(body) => {
                batch.put(&key, body.as_slice());
                // Again, although the plan's begin did: another plan of the same owner may have forgotten it since.
                if !owner.is_cli() {
                    batch.put(self.keys.owned(owner, &write.key), "");
                }
            }
            None => drop(batch.delete(&key)),
        }
        let row = self.keys.change(plan.0, &write.key);
        let before =
            have.map_or_else(String::new, |entry| String::from_utf8_lossy(&entry.value).into_owned());
        let mut change = Change { outcome: write.outcome, steps: write.steps.clone(), before };
        if let Some(entry) = self.store.get(&row).map_err(failed)? {
            // Written before by the same plan: what was there before the plan stays what it was.
            let first: Change = read(&row, &entry.value)?;
            change.before = first.before;
            change.steps.splice(..0, first.steps);
        }
        batch.put(row, json(&change));
        Ok(Written::Done(Revision(0)))
    }
}
