//! What a batch does, once for both engines: conditions first, then writes, then the new revision.

use aegis_core::Revision;

use crate::{Batch, CommitError, MAX_KEY, StoreError, Write};

/// The rows of an engine inside of one transaction.
pub(crate) trait Rows {
    /// How reading or writing a row can fail.
    type Error;
    /// The revision of a key; 0: absent.
    fn revision_of(&mut self, key: &str) -> Result<Revision, Self::Error>;
    /// Sets a key.
    fn put(&mut self, key: &str, value: &[u8], revision: Revision) -> Result<(), Self::Error>;
    /// Removes a key.
    fn delete(&mut self, key: &str) -> Result<(), Self::Error>;
    /// Appends to a log.
    fn append(&mut self, log: &str, make: &crate::Append) -> Result<(), Self::Error>;
}

/// What a batch did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// The revision of the store after it.
    pub revision: Revision,
    /// The keys that it wrote or removed, unless it was quiet.
    pub keys: Vec<String>,
}

/// Applies `batch` on top of revision `now`. The outer error ends the whole transaction; the inner one says that this
/// batch wrote nothing and others may go on.
pub(crate) fn apply<R: Rows>(
    rows: &mut R,
    now: Revision,
    batch: &Batch,
) -> Result<Result<Applied, CommitError>, R::Error> {
    if let Err(error) = keys_are_valid(batch) {
        return Ok(Err(error.into()));
    }
    for check in &batch.checks {
        let found = rows.revision_of(&check.key)?;
        if found != check.revision {
            return Ok(Err(CommitError::Stale { key: check.key.clone(), found }));
        }
    }
    let writes_keys = batch.writes.iter().any(|write| !matches!(write, Write::Append { .. }));
    let revision = if writes_keys { Revision(now.0 + 1) } else { now };
    let mut keys = Vec::new();
    let mut changed = |key: &String| {
        if !batch.quiet {
            keys.push(key.clone());
        }
    };
    for write in &batch.writes {
        match write {
            Write::Put { key, value } => {
                rows.put(key, value, revision)?;
                changed(key);
            }
            Write::Delete { key } => {
                rows.delete(key)?;
                changed(key);
            }
            Write::Append { log, make } => rows.append(log, make)?,
        }
    }
    Ok(Ok(Applied { revision, keys }))
}

fn keys_are_valid(batch: &Batch) -> Result<(), StoreError> {
    let written = batch.writes.iter().map(|write| match write {
        Write::Put { key, .. } | Write::Delete { key } => key,
        Write::Append { log, .. } => log,
    });
    for key in batch.checks.iter().map(|check| &check.key).chain(written) {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(StoreError::KeyLength(key.len()));
        }
    }
    Ok(())
}
