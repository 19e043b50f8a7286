//! The append-only log: who did what, when, with which outcome. Each record carries the hash of the one before it, so
//! that nothing can be taken out or altered without every later hash being wrong.

use aegis_store::{Record, Store, StoreError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::keyspace::AUDIT;

/// The most bytes of detail in a record.
pub(crate) const MAX_DETAIL: usize = 1000;
/// How many records are read at once.
const PAGE: usize = 1000;

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Ok,
    Refused,
    Failed,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// Who: a user token's subject, a node's id, or `controller`.
    pub subject: String,
    /// Whose matter it is; empty when nobody can tell, as with a forged token.
    pub tenant: String,
    /// What: `enroll`, `connect`, `write` …
    pub action: String,
    /// On what.
    pub object: String,
    pub outcome: Outcome,
    pub detail: String,
}

impl Event {
    /// Cuts the detail to its bound, at a character.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if self.detail.len() > MAX_DETAIL {
            self.detail.truncate(self.detail.floor_char_boundary(MAX_DETAIL));
            self.detail.push('…');
        }
        self
    }
}

/// An event in its place of the chain. The hash covers the hash before it and the JSON of the rest, in this order of
/// fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    pub sequence: u64,
    #[serde(flatten)]
    pub event: Event,
    /// Hex.
    pub hash: String,
}

/// Before the first record.
const ORIGIN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The record of `event` after `previous`: for [`aegis_store::Batch::append`].
pub(crate) fn record(event: &Event, sequence: u64, previous: Option<&[u8]>) -> Vec<u8> {
    // A record before it that can't be read breaks the chain here, and verification says so.
    let before = previous.map_or_else(
        || ORIGIN.to_owned(),
        |bytes| serde_json::from_slice::<Link>(bytes).map_or_else(|_| String::new(), |link| link.hash),
    );
    let hash = hash(&before, sequence, event);
    let link = Link { sequence, event: event.clone(), hash };
    // Strings and numbers always have a JSON form.
    serde_json::to_vec(&link).unwrap_or_default()
}

fn hash(before: &str, sequence: u64, event: &Event) -> String {
    let mut digest = Sha256::new();
    digest.update(before.as_bytes());
    digest.update(sequence.to_be_bytes());
    digest.update(serde_json::to_vec(event).unwrap_or_default());
    hex::encode(digest.finalize())
}

/// What a walk over the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// How many records there are.
    pub events: u64,
    /// The first that doesn't fit.
    pub broken_at: Option<u64>,
    /// The hash of the last.
    pub head: String,
}

/// Walks the chain.
pub(crate) fn verify(store: &dyn Store) -> Result<Verified, StoreError> {
    let mut verified = Verified { events: 0, broken_at: None, head: ORIGIN.to_owned() };
    each(store, 0, &mut |record, link| {
        let expected = verified.events + 1;
        let fits = link.is_some_and(|link| {
            link.sequence == expected
                && record.sequence == expected
                && link.hash == hash(&verified.head, expected, &link.event)
        });
        verified.events += 1;
        if !fits && verified.broken_at.is_none() {
            verified.broken_at = Some(expected);
        }
        verified.head = link.map_or_else(String::new, |link| link.hash.clone());
        true
    })?;
    Ok(verified)
}

/// Calls `visit` for each record after `after` until it returns false; one that can't be read has no link.
pub(crate) fn each(
    store: &dyn Store,
    mut after: u64,
    visit: &mut dyn FnMut(&Record, Option<&Link>) -> bool,
) -> Result<(), StoreError> {
    loop {
        let page = store.log(AUDIT, after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.sequence;
        for record in &page {
            if !visit(record, serde_json::from_slice(&record.value).ok().as_ref()) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use aegis_store::{Batch, MemoryStore};

    use super::*;

    fn event(number: i64) -> Event {
        Event {
            time_ms: number,
            subject: "admin".into(),
            tenant: "default".into(),
            action: "write".into(),
            object: "EdgeGroup/web".into(),
            outcome: Outcome::Ok,
            detail: String::new(),
        }
    }

    /// Appends what `change` makes of each record.
    async fn chain(change: impl Fn(u64, Vec<u8>) -> Vec<u8> + Clone + Send + 'static) -> Verified {
        let store = MemoryStore::new();
        for number in 0..5 {
            let change = change.clone();
            let mut batch = Batch::new();
            batch.append(AUDIT, move |sequence, previous| {
                change(sequence, record(&event(number), sequence, previous))
            });
            store.commit(batch).await.unwrap();
        }
        verify(&store).unwrap()
    }

    #[tokio::test]
    async fn an_untouched_chain_is_intact() {
        let verified = chain(|_, record| record).await;
        assert_eq!((verified.events, verified.broken_at), (5, None));
        assert_eq!(verified.head.len(), 64);
    }

    #[tokio::test]
    async fn an_altered_record_is_found() {
        for (from, to) in [("\"ok\"", "\"failed\""), ("admin", "nobody"), ("EdgeGroup/web", "EdgeGroup/db")] {
            let verified = chain(move |sequence, record| match sequence {
                3 => String::from_utf8(record).unwrap().replace(from, to).into_bytes(),
                _ => record,
            })
            .await;
            assert_eq!(verified.broken_at, Some(3), "{from}");
        }
    }

    #[tokio::test]
    async fn a_record_that_was_hashed_anew_breaks_the_next() {
        let verified = chain(|sequence, original| match sequence {
            3 => record(&event(99), 3, None),
            _ => original,
        })
        .await;
        assert_eq!(verified.broken_at, Some(3));
        let verified = chain(|sequence, original| if sequence == 2 { b"?".to_vec() } else { original }).await;
        assert_eq!(verified.broken_at, Some(2));
    }

    #[test]
    fn detail_is_bounded() {
        let long = Event { detail: "ü".repeat(MAX_DETAIL), ..event(1) }.bounded();
        assert!(long.detail.len() <= MAX_DETAIL + 3);
        assert!(long.detail.ends_with('…'));
    }
}
