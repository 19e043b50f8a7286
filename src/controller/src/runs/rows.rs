//! Runs on the disk: a row with what is known of the run, and rows of events, several in each.

use std::borrow::Cow;

use aegis_core::{
    TenantId,
    fleet::{RunId, RunState},
};
use aegis_store::{Batch, Order, Store, StoreError};
use aegis_wire::{
    ApiError,
    operator::{Run, RunChange, RunEvent, TargetResult},
};
use bytes::Bytes;

use super::{journal::Piece, live::LiveRun};
use crate::{
    failed, keyspace,
    nodes::{json, read as parse},
};

/// The most bytes of events in a row: one message to whoever watches.
const ROW: usize = 1024 * 1024;
/// What an event takes beside its texts, roughly.
const EVENT: usize = 200;
/// A run of more targets keeps less of each.
const MANY: usize = 100;
/// How much of each stream of output is kept.
const KEPT_OF_FEW: usize = 256 * 1024;
const KEPT_OF_MANY: usize = 16 * 1024;

/// Whose run, and which.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub tenant: TenantId,
    pub id: RunId,
}

impl Place {
    pub fn of(run: &LiveRun) -> Self {
        Self { tenant: run.wanted.tenant.clone(), id: run.id.clone() }
    }
}

/// Cuts events into what is stored and told together. `first` is the number of the first of them.
pub(super) fn pieces(first: u64, events: Vec<RunEvent>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut first, mut bytes, mut together) = (first, 0, Vec::new());
    for event in events {
        let more = size(&event);
        if bytes + more > ROW && !together.is_empty() {
            let count = together.len() as u64;
            pieces.push(Piece { first, events: std::mem::take(&mut together).into(), bytes });
            (first, bytes) = (first + count, 0);
        }
        bytes += more;
        together.push(event);
    }
    if !together.is_empty() {
        pieces.push(Piece { first, events: together.into(), bytes });
    }
    pieces
}

fn size(event: &RunEvent) -> usize {
    EVENT
        + match &event.what {
            RunChange::Started { run, targets, skipped } => {
                run.arguments.len() + EVENT / 2 * (targets.len() + skipped.len())
            }
            RunChange::Dispatched { targets } => 6 * targets.len(),
            RunChange::Result(result) => {
                let data = result.data.as_ref().map_or(0, |data| data.to_string().len());
                result.stdout.len() + result.stderr.len() + result.error.len() + data
            }
            _ => 0,
        }
}

/// Stores a piece. Of a result's output only the end is kept.
pub(super) fn put(batch: &mut Batch, place: &Place, piece: &Piece, targets: usize) {
    let bound = if targets > MANY { KEPT_OF_MANY } else { KEPT_OF_FEW };
    let kept: Vec<_> = piece.events.iter().map(|event| kept(event, bound)).collect();
    batch.put(keyspace::run_event(&place.tenant, &place.id, piece.first), json(&kept));
}

fn kept(event: &RunEvent, bound: usize) -> Cow<'_, RunEvent> {
    let RunChange::Result(result) = &event.what else { return Cow::Borrowed(event) };
    let is_large = result.data.as_ref().is_some_and(|data| data.to_string().len() > bound);
    if result.stdout.len().max(result.stderr.len()) <= bound && !is_large {
        return Cow::Borrowed(event);
    }
    let cut = TargetResult {
        stdout: end(&result.stdout, bound),
        stderr: end(&result.stderr, bound),
        data: result.data.clone().filter(|_| !is_large),
        ..result.clone()
    };
    Cow::Owned(RunEvent { what: RunChange::Result(cut), ..event.clone() })
}

/// The last `bound` bytes, from the begin of a character on, so that text stays text.
fn end(bytes: &Bytes, bound: usize) -> Bytes {
    let mut from = bytes.len().saturating_sub(bound);
    let latest = bytes.len().min(from + 3);
    while from < latest && from > 0 && bytes[from] & 0xc0 == 0x80 {
        from += 1;
    }
    bytes.slice(from..)
}

/// The row of events that begins with `first`.
pub(super) fn read(
    store: &dyn Store,
    place: &Place,
    first: u64,
) -> Result<Option<Vec<RunEvent>>, StoreError> {
    let Some(entry) = store.get(&keyspace::run_event(&place.tenant, &place.id, first))? else {
        return Ok(None);
    };
    parse(&entry.key, &entry.value).map(Some)
}

/// Stores what is known of the run.
pub(super) fn put_run(batch: &mut Batch, place: &Place, run: &Run) {
    batch.put(keyspace::run(&place.tenant, &place.id), json(run));
    let open = keyspace::open_run(&place.tenant, &place.id);
    if run.state == RunState::Running {
        batch.put(open, "");
    } else {
        batch.delete(open);
    }
}

/// What is known of the run.
pub(super) fn get_run(store: &dyn Store, place: &Place) -> Result<Option<Run>, StoreError> {
    let Some(entry) = store.get(&keyspace::run(&place.tenant, &place.id))? else { return Ok(None) };
    parse(&entry.key, &entry.value).map(Some)
}

/// A run with more bytes of arguments is listed without them: a list of many must fit into memory.
const LISTED_ARGUMENTS: usize = 1024;

/// The run as a list has it.
pub(super) fn listed(mut run: Run) -> Run {
    if run.arguments.len() > LISTED_ARGUMENTS {
        run.arguments = Bytes::new();
    }
    run
}

/// The tenant's newest runs, newest first, without arguments that are large.
pub(crate) fn list(store: &dyn Store, tenant: &TenantId, limit: usize) -> Result<Vec<Run>, StoreError> {
    let (mut runs, mut damaged) = (Vec::new(), None);
    if limit == 0 {
        return Ok(runs);
    }
    store.scan(&keyspace::runs(tenant), Order::Falling, &mut |key, value, _| {
        match parse(key, value) {
            Ok(run) => runs.push(listed(run)),
            Err(error) => damaged = Some(error),
        }
        damaged.is_none() && runs.len() < limit
    })?;
    damaged.map_or(Ok(runs), Err)
}

/// The tenant's run that `reference` names: an id, or a unique prefix of one.
pub(crate) fn find(store: &dyn Store, tenant: &TenantId, reference: &str) -> Result<Place, ApiError> {
    let prefix = keyspace::runs(tenant);
    let mut found = Vec::new();
    if RunId::is_prefix(reference) {
        store
            .scan(&format!("{prefix}{reference}"), Order::Rising, &mut |key, _, _| {
                found.extend(RunId::new(&key[prefix.len()..]));
                found.len() < 2
            })
            .map_err(failed)?;
    }
    match (found.pop(), found.pop()) {
        (None, _) => Err(unknown(reference)),
        (Some(id), None) => Ok(Place { tenant: tenant.clone(), id }),
        (Some(one), Some(other)) => {
            Err(ApiError::invalid(format!("'{reference}' is ambiguous: {other}, {one}, …"))
                .hint("give the run's whole id"))
        }
    }
}

/// The answer for a run that doesn't exist and for one of another tenant.
pub(crate) fn unknown(reference: &str) -> ApiError {
    ApiError::not_found(format!("run '{reference}' not found")).hint("aegis edge fleet runs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_text_begins_with_a_whole_character() {
        let text = Bytes::from("aüüü");
        assert_eq!(end(&text, 4), "üü");
        assert_eq!(end(&text, 3), "ü");
        assert_eq!(end(&text, 100), text);
        let no_text = Bytes::from_static(&[0x80; 10]);
        assert!((2..=5).contains(&end(&no_text, 5).len()));
    }
}
