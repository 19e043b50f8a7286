//! Idempotency keys: the same request, said again within a day, is the same run (edge CLI reference).

use aegis_core::{TenantId, fleet::RunId};
use aegis_store::{Batch, Revision, Store};
use aegis_wire::{ApiError, operator::StartRun};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Place, rows};
use crate::{
    failed, keyspace,
    nodes::{json as bytes, read},
};

/// How long a key means the same run, in milliseconds.
const LIFE_MS: i64 = 24 * 3600 * 1000;
/// The longest key, in bytes.
const LONGEST: usize = 256;

/// Which run a key means, as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    run: RunId,
    /// What was asked for.
    request: String,
    at_ms: i64,
}

impl Row {
    /// Whether the key is free again.
    pub(super) fn is_over(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.at_ms) >= LIFE_MS
    }
}

/// A key that is free, or was a moment ago.
pub(crate) struct Key {
    row: String,
    revision: Revision,
    request: String,
}

/// What a key leads to.
pub(crate) enum Found {
    /// To the run that was begun with it.
    Run(Place),
    /// To a new one.
    Free(Key),
}

impl Key {
    /// Looks the key of a request up. The same key with another request is refused.
    pub fn find(
        store: &dyn Store,
        tenant: &TenantId,
        key: &str,
        (wish, arguments): (&StartRun, &Value),
        now_ms: i64,
    ) -> Result<Found, ApiError> {
        if key.len() > LONGEST {
            return Err(ApiError::invalid(format!("an idempotency key has at most {LONGEST} bytes"))
                .hint("give a shorter one, such as a UUID"));
        }
        let row = keyspace::run_key(tenant, &hex::encode(Sha256::digest(key)));
        let request = digest(wish, arguments);
        let Some(entry) = store.get(&row).map_err(failed)? else {
            return Ok(Found::Free(Self { row, revision: Revision(0), request }));
        };
        let known: Row = read(&row, &entry.value).map_err(failed)?;
        let place = Place { tenant: tenant.clone(), id: known.run.clone() };
        let is_there = rows::get_run(store, &place).map_err(failed)?.is_some();
        if known.is_over(now_ms) || !is_there {
            return Ok(Found::Free(Self { row, revision: entry.revision, request }));
        }
        if known.request != request {
            let message =
                format!("the idempotency key '{key}' was used for another request, run {}", known.run);
            return Err(ApiError::conflict(message).hint("give another key, or the request as it was"));
        }
        Ok(Found::Run(place))
    }

    /// Takes the key for this run, if it is still free. Gives the row that says so.
    pub(super) fn claim(self, batch: &mut Batch, place: &Place, at_ms: i64) -> String {
        batch.check(&self.row, self.revision);
        let row = Row { run: place.id.clone(), request: self.request, at_ms };
        batch.put(&self.row, bytes(&row));
        self.row
    }
}

/// What is asked for, without the key.
fn digest(wish: &StartRun, arguments: &Value) -> String {
    let request = json!([
        wish.target,
        wish.tool,
        arguments,
        wish.mode.to_string(),
        wish.max_concurrency,
        wish.on_error.map(|policy| policy.to_string()),
        wish.require_min,
        wish.deadline_ms,
        wish.security_context,
    ]);
    hex::encode(Sha256::digest(request.to_string()))
}
