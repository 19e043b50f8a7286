//! The end of an app: its declaration, then its instances, releases, secrets and workspace.

use std::sync::Arc;

use aegis_core::{Kind, ObjectKey, instance::Ask};
use aegis_kinds::{App, Secret};
use aegis_store::{Batch, CommitError, Store};
use aegis_wire::runtime::RuntimeError;

use super::deletions;
use crate::{keyspace, ports, record, secrets::Scope, state::Daemon, workspace::Owner};

/// Deletes an app with everything that it has.
pub(crate) async fn delete(daemon: &Arc<Daemon>, name: &str) -> Result<(), RuntimeError> {
    let turn = daemon.apps.turn(name);
    let _turn = turn.lock().await;
    daemon.app_name(name)?;
    let prefix = format!("{name}.");
    let secrets = daemon.realm.list(&[Secret::NAME]).map_err(|error| record::failed(&error))?;
    let secrets = secrets.into_iter().map(|object| object.key).filter(|key| key.name.starts_with(&prefix));
    let app = ObjectKey::new(App::NAME, name.to_owned());
    daemon.edit("app delete", deletions(secrets.chain([app]))).await?;
    remove(daemon, name).await
}

/// Removes what there is of an app that isn't declared any more. Can be repeated.
pub(super) async fn remove(daemon: &Arc<Daemon>, name: &str) -> Result<(), RuntimeError> {
    let Some(app) = daemon.app_row(name)? else { return Ok(()) };
    let ends = daemon.instances.of_app(&app.id).into_iter().map(|handle| async move {
        // One that is gone needs no end.
        let _ = handle.ask(Ask::Delete).await;
    });
    futures::future::join_all(ends).await;
    remove_releases(daemon, &app.id).await?;
    // Before the row, which is what the next start would find it by.
    let (workspaces, owner) = (daemon.workspaces.clone(), Owner::App(app.id.clone()));
    let removing = tokio::task::spawn_blocking(move || workspaces.remove(&owner));
    if let Err(error) = removing.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        tracing::warn!(app = name, %error, "a workspace stays behind");
    }
    let mut batch = Batch::new();
    ports::forget(daemon, &app.id, &mut batch);
    daemon.secrets.delete_all(&mut batch, Scope::App(&app.id))?;
    batch.delete(keyspace::app(name));
    // One that was declared again meanwhile keeps the row, and begins with nothing else.
    daemon.realm.check_absent(&mut batch, &ObjectKey::new(App::NAME, name.to_owned()));
    match daemon.store.commit(batch).await {
        Ok(_) => daemon.apps.forget(name),
        Err(CommitError::Stale { .. }) => {}
        Err(CommitError::Store(error)) => return Err(record::failed(&error)),
    }
    Ok(())
}

pub(super) async fn remove_releases(daemon: &Daemon, id: &str) -> Result<(), RuntimeError> {
    let mut batch = Batch::new();
    for entry in daemon.store.list(&keyspace::releases(id)).map_err(|error| record::failed(&error))? {
        batch.delete(entry.key);
    }
    if batch.is_empty() { Ok(()) } else { record::commit(&*daemon.store, batch).await }
}
