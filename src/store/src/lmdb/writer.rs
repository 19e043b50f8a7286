//! The one thread that writes. It takes all batches that wait, applies each on its own, and makes them durable together.

use std::{
    ops::Bound,
    sync::{
        Arc, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use aegis_core::Revision;
use tokio::sync::oneshot;

use super::{
    Shared, number,
    rows::{Transaction, change_key},
};
use crate::{
    Batch, CommitError, StoreError,
    apply::{Applied, apply},
};

/// How many batches go into one commit at most, so that none waits long.
const GROUP: usize = 4096;
/// How long lazy batches are held back, to be written together.
const LAZY_DELAY: Duration = Duration::from_millis(100);
/// How many rows above the limit the list of changes may have before it is cut.
const CHANGE_SLACK: usize = 1000;

/// A batch and who waits for it.
pub(super) struct Job {
    pub batch: Batch,
    pub answer: oneshot::Sender<Result<Revision, CommitError>>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    change_rows: usize,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, change_rows: usize) -> Self {
        Self { shared, change_rows }
    }

    /// Writes until the last sender is gone and the queue is empty.
    pub fn run(&self, jobs: &Receiver<Job>) {
        while let Some(group) = gather(jobs) {
            match self.commit_or_grow(&group) {
                Ok(results) => {
                    for (job, result) in group.into_iter().zip(results) {
                        let result = result.map(|applied| {
                            self.shared.announcer.announce(applied.revision, applied.keys);
                            applied.revision
                        });
                        // Nobody waits for a detached batch.
                        let _ = job.answer.send(result);
                    }
                }
                Err(error) => {
                    let error = StoreError::from(error);
                    tracing::error!(batches = group.len(), %error, "commit failed");
                    for job in group {
                        let _ = job.answer.send(Err(error.clone().into()));
                    }
                }
            }
        }
    }

    /// Commits the group; when the map is full, in one of twice the size.
    fn commit_or_grow(&self, group: &[Job]) -> Result<Vec<Result<Applied, CommitError>>, heed::Error> {
        loop {
            match self.commit(group) {
                Err(heed::Error::Mdb(heed::MdbError::MapFull)) => self.grow()?,
                result => return result,
            }
        }
    }

    fn commit(&self, group: &[Job]) -> Result<Vec<Result<Applied, CommitError>>, heed::Error> {
        let tables = self.shared.tables;
        let mut transaction = self.shared.env.write_txn()?;
        let before = Revision(self.shared.revision.load(Ordering::Acquire));
        let mut revision = before;
        let mut results = Vec::with_capacity(group.len());
        let mut wrote = false;
        for job in group {
            let mut rows = Transaction { tables, transaction: &mut transaction };
            let result = apply(&mut rows, revision, &job.batch)?;
            if let Ok(applied) = &result {
                wrote |= !job.batch.writes.is_empty();
                revision = applied.revision;
                for (index, key) in (0_u32..).zip(&applied.keys) {
                    tables.changes.put(&mut transaction, &change_key(revision.0, index), key.as_bytes())?;
                }
            }
            results.push(result);
        }
        if !wrote {
            return Ok(results);
        }
        if revision != before {
            tables.set_meta_number(&mut transaction, "revision", revision.0)?;
            self.forget_old_changes(&mut transaction)?;
        }
        crate::fault::point("store.commit.before");
        transaction.commit()?;
        self.shared.revision.store(revision.0, Ordering::Release);
        crate::fault::point("store.commit.after");
        Ok(results)
    }

    /// Drops whole revisions from the front of the list of changes, when it is longer than it has to be.
    fn forget_old_changes(&self, transaction: &mut heed::RwTxn) -> Result<(), heed::Error> {
        let tables = self.shared.tables;
        let rows = usize::try_from(tables.changes.len(transaction)?).unwrap_or(usize::MAX);
        let slack = CHANGE_SLACK.min(self.change_rows);
        if rows <= self.change_rows.saturating_add(slack) {
            return Ok(());
        }
        let last_to_go = tables.changes.iter(transaction)?.nth(rows - self.change_rows - 1).transpose()?;
        let floor = last_to_go.map_or(0, |(key, _)| number(key));
        let end = change_key(floor + 1, 0);
        let range = (Bound::Unbounded, Bound::Excluded(&end[..]));
        tables.changes.delete_range(transaction, &range)?;
        tables.set_meta_number(transaction, "floor", floor)
    }

    fn grow(&self) -> Result<(), heed::Error> {
        let _alone = self.shared.map.write().unwrap_or_else(PoisonError::into_inner);
        let size = self.shared.env.info().map_size * 2;
        tracing::info!(bytes = size, "growing the store's map");
        #[expect(unsafe_code, reason = "the map may only move while no transaction looks at it")]
        // SAFETY: readers hold `map` shared for as long as their transaction lives, and it is held alone here; the only
        // write transaction is this thread's, which has ended with MapFull.
        unsafe {
            self.shared.env.resize(size)
        }
    }
}

/// Waits for a batch and takes those that wait behind it. `None`: the store is being closed.
fn gather(jobs: &Receiver<Job>) -> Option<Vec<Job>> {
    let first = jobs.recv().ok()?;
    let deadline = Instant::now() + LAZY_DELAY;
    let mut urgent = !first.batch.lazy;
    let mut group = vec![first];
    while group.len() < GROUP {
        let wait = if urgent { Duration::ZERO } else { deadline.saturating_duration_since(Instant::now()) };
        match jobs.recv_timeout(wait) {
            Ok(job) => {
                urgent |= !job.batch.lazy;
                group.push(job);
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Some(group)
}
