//! What a daemon finds of the one before it, and puts in order before it serves.

use std::{collections::BTreeSet, io, sync::Arc};

use aegis_backend::cleanup;
use aegis_store::{Batch, Store};
use aegis_wire::runtime::RuntimeError;

use crate::{home::private_directory, instances, keyspace, ports, record, state::Daemon, tasks};

/// Ends machines that outlived their daemon, and removes what they had. Whoever calls this has the lock, and no machine
/// of this daemon runs yet.
pub(crate) fn clean_run(daemon: &Daemon) -> io::Result<()> {
    let run = daemon.home.run();
    private_directory(&run)?;
    let cleaned = cleanup::clean(&run)?;
    if !cleaned.removed.is_empty() {
        tracing::warn!(machines = ?cleaned.removed, killed = ?cleaned.killed, "cleaned up after the aegisd before this");
    }
    Ok(())
}

/// The ids of all instances and tasks that there are rows of.
fn known(daemon: &Daemon) -> Result<BTreeSet<String>, RuntimeError> {
    let mut known = BTreeSet::new();
    for prefix in [keyspace::INSTANCES, keyspace::TASKS] {
        let entries = daemon.store.list(prefix).map_err(|error| record::failed(&error))?;
        known.extend(entries.into_iter().map(|entry| entry.key[prefix.len()..].to_owned()));
    }
    Ok(known)
}

/// Tasks that were under way failed, instances that ran are stopped, ports are opened again.
pub(crate) async fn records(daemon: &Arc<Daemon>) -> Result<(), RuntimeError> {
    let mut batch = Batch::new();
    let tasks = tasks::recover(daemon, &mut batch)?;
    let instances = instances::recover(daemon, &mut batch)?;
    if !batch.is_empty() {
        record::commit(&*daemon.store, batch).await?;
        tracing::warn!(tasks, instances, "the aegisd before this ended while they ran");
    }
    let known = known(daemon)?;
    // Its directory may be gone while a machine's groups aren't.
    cleanup::clean_groups(&known.iter().cloned().collect::<Vec<_>>());
    ports::recover(daemon, &known).await?;
    if let Err(error) = daemon.logs.remove_all_but(|id| known.contains(id)) {
        tracing::warn!(%error, "logs of what is gone can't be removed");
    }
    Ok(())
}
