//! The rows of the environment inside of the writer's transaction.

use aegis_core::Revision;
use heed::RwTxn;

use super::{Tables, number};
use crate::{Append, apply::Rows};

pub(super) struct Transaction<'t, 'e> {
    pub tables: Tables,
    pub transaction: &'t mut RwTxn<'e>,
}

impl Rows for Transaction<'_, '_> {
    type Error = heed::Error;

    fn revision_of(&mut self, key: &str) -> Result<Revision, heed::Error> {
        let value = self.tables.keys.get(self.transaction, key.as_bytes())?;
        Ok(Revision(value.map_or(0, number)))
    }

    fn put(&mut self, key: &str, value: &[u8], revision: Revision) -> Result<(), heed::Error> {
        let mut row = Vec::with_capacity(8 + value.len());
        row.extend_from_slice(&revision.0.to_be_bytes());
        row.extend_from_slice(value);
        self.tables.keys.put(self.transaction, key.as_bytes(), &row)
    }

    fn delete(&mut self, key: &str) -> Result<(), heed::Error> {
        self.tables.keys.delete(self.transaction, key.as_bytes()).map(|_was_there| ())
    }

    fn append(&mut self, log: &str, make: &Append) -> Result<(), heed::Error> {
        let prefix = log_prefix(log);
        let last = self.tables.logs.rev_prefix_iter(self.transaction, &prefix)?.next().transpose()?;
        let sequence = last.map_or(0, |(key, _)| number(&key[prefix.len()..])) + 1;
        let record = make(sequence, last.map(|(_, record)| record));
        self.tables.logs.put(self.transaction, &log_key(log, sequence), &record)
    }
}

/// What the keys of a log begin with. Names hold no zero byte, so no log's prefix is a prefix of another's.
pub(super) fn log_prefix(log: &str) -> Vec<u8> {
    let mut prefix = log.as_bytes().to_vec();
    prefix.push(0);
    prefix
}

/// The key of one record.
pub(super) fn log_key(log: &str, sequence: u64) -> Vec<u8> {
    let mut key = log_prefix(log);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// The key of one changed key of a commit.
pub(super) fn change_key(revision: u64, index: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&revision.to_be_bytes());
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}
