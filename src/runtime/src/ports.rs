//! Ports of the host's loopback that lead to guests: remembered, so that they stay the same.

use std::collections::BTreeSet;

use aegis_gateway::ports::{PortError, PortTable};
use aegis_store::{Batch, Store};
use aegis_wire::runtime::{Expose, RuntimeError};

use crate::{
    keyspace,
    record::{self, AppRow, PortRow},
    state::Daemon,
};

/// Opens a port for each exposed one: that which was asked for, or the one that it had, or a free one. All or none.
pub(crate) async fn assign(daemon: &Daemon, holder: &str, expose: &[Expose]) -> Result<(), RuntimeError> {
    let Some(table) = daemon.ports.get() else { return Ok(()) };
    let had = table.of(holder);
    let assigned = assign_each(daemon, table, holder, expose).await;
    if assigned.is_err() {
        for Expose { guest, .. } in
            expose.iter().filter(|one| had.iter().all(|(guest, _)| *guest != one.guest))
        {
            table.close(holder, *guest);
        }
    }
    assigned
}

async fn assign_each(
    daemon: &Daemon,
    table: &PortTable,
    holder: &str,
    expose: &[Expose],
) -> Result<(), RuntimeError> {
    let mut batch = Batch::new();
    for Expose { guest, host } in expose {
        let key = keyspace::port(holder, *guest);
        let before: Option<PortRow> = record::get(&*daemon.store, &key)?;
        let wanted = host.or(before.map(|row| row.host));
        let address = match table.open(holder, *guest, wanted).await {
            // Somebody took it while nobody here listened: another one is better than none.
            Err(PortError::Taken { .. }) if host.is_none() => table.open(holder, *guest, None).await,
            other => other,
        };
        let address = address.map_err(|error| failed(&error))?;
        if before.is_none_or(|row| row.host != address.port()) {
            record::put(&mut batch, key, &PortRow { host: address.port() });
        }
    }
    if batch.is_empty() { Ok(()) } else { record::commit(&*daemon.store, batch).await }
}

/// The guest's ports of a holder, and those of the host that lead to them.
pub(crate) fn of(daemon: &Daemon, holder: &str) -> Vec<(u16, u16)> {
    let Some(table) = daemon.ports.get() else { return Vec::new() };
    table.of(holder).into_iter().map(|(guest, address)| (guest, address.port())).collect()
}

/// Gives all ports of a holder back.
pub(crate) fn forget(daemon: &Daemon, holder: &str, batch: &mut Batch) {
    if let Some(table) = daemon.ports.get() {
        table.close_all(holder);
    }
    for entry in daemon.store.list(&format!("{}{holder}/", keyspace::PORTS)).unwrap_or_default() {
        batch.delete(entry.key);
    }
}

/// Opens all ports that were given before. Those of an instance that came to nothing are forgotten: its row is written
/// after theirs.
pub(crate) async fn recover(daemon: &Daemon, instances: &BTreeSet<String>) -> Result<(), RuntimeError> {
    let rows = daemon.store.list(keyspace::PORTS).map_err(|error| record::failed(&error))?;
    let Some(table) = daemon.ports.get() else { return Ok(()) };
    let apps: Vec<AppRow> = record::list(&*daemon.store, keyspace::APPS)?;
    let mut orphans = Batch::new();
    for entry in rows {
        let Some((holder, guest)) = entry.key[keyspace::PORTS.len()..].rsplit_once('/') else { continue };
        if !instances.contains(holder) && apps.iter().all(|app| app.id != holder) {
            orphans.delete(entry.key);
            continue;
        }
        let (Ok(guest), Ok(row)) = (guest.parse(), serde_json::from_slice::<PortRow>(&entry.value)) else {
            continue;
        };
        if let Err(error) = table.open(holder, guest, Some(row.host)).await {
            tracing::warn!(%error, holder, "a port can't be had again");
        }
    }
    if orphans.is_empty() { Ok(()) } else { record::commit(&*daemon.store, orphans).await }
}

fn failed(error: &PortError) -> RuntimeError {
    match error {
        PortError::Taken { .. } => RuntimeError::conflict(error.to_string())
            .hint("expose it on another one, such as 8081:80, or leave the host's port out"),
        PortError::Listen { .. } => {
            RuntimeError::invalid(error.to_string()).hint("use a port of 1024 or above")
        }
    }
}
