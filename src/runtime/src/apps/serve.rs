//! Which instance serves an app: made, found, or replaced, by one at a time.

use std::sync::Arc;

use aegis_core::instance::{Ask, Cause, State};
use aegis_wire::runtime::{Release, Rollback, RuntimeError};

use super::{
    gone,
    publish::{app_of, rows, shown},
};
use crate::{
    instances::{self, Handle, until_ready},
    record::ReleaseRow,
    state::Daemon,
};

/// How many stopped instances of an app are kept for their logs.
const KEPT: usize = 3;

/// The instance that serves an app, and whether it is new.
pub(crate) async fn serve(daemon: &Arc<Daemon>, name: &str) -> Result<(Handle, bool), RuntimeError> {
    let turn = daemon.apps.turn(name);
    let _turn = turn.lock().await;
    let name = &daemon.app_name(name)?;
    if let Some(handle) = serving(daemon, name) {
        let view = handle.view();
        if view.state != State::Stopped {
            return Ok((handle, false));
        }
        if view.cause.as_ref().is_some_and(Cause::is_woken) {
            let starting = handle.clone();
            tokio::spawn(async move { drop(starting.ask(Ask::Start).await) });
            return Ok((handle, false));
        }
    }
    let release = wanted(daemon, name)?;
    if daemon.declared(name)?.spec.serve
        && let Some(handle) = under_way(daemon, name, &release.id)
    {
        return Ok((handle, false));
    }
    let handle = start(daemon, name, &release, false).await?;
    switch(daemon, name, handle.id()).await?;
    forget_stopped(daemon, name).await;
    Ok((handle, true))
}

/// The instance that requests of an app go to.
pub(crate) fn serving(daemon: &Daemon, name: &str) -> Option<Handle> {
    let id = daemon.app_row(name).ok()??.serving?;
    daemon.instances.get(&id).ok().filter(|handle| !handle.view().is_removed)
}

/// An instance of this release that the reconciler has begun, and lets serve once it is ready.
fn under_way(daemon: &Daemon, name: &str, release: &str) -> Option<Handle> {
    let app = daemon.app_row(name).ok()??;
    daemon.instances.of_app(&app.id).into_iter().find(|handle| {
        let view = handle.view();
        handle.identity.app.as_ref().is_some_and(|app| app.release == release)
            && view.state != State::Stopped
            && !view.is_removed
    })
}

/// The release that is to be served now: the one that the reconciler holds on to after a rollback, or the current one.
fn wanted(daemon: &Daemon, name: &str) -> Result<ReleaseRow, RuntimeError> {
    let held = daemon.reconciler.get().and_then(|reconciler| reconciler.held_release(name));
    if let (Some(held), Some(app)) = (held, daemon.app_row(name)?)
        && let Some(row) = rows(daemon, &app)?.into_iter().find(|row| row.id == held)
    {
        return Ok(row);
    }
    current(daemon, name)
}

/// The release that is current by hand.
pub(super) fn current(daemon: &Daemon, name: &str) -> Result<ReleaseRow, RuntimeError> {
    let none = || {
        RuntimeError::conflict(format!("the app {name} has no release"))
            .hint(format!("publish one: `aegis app publish {name}`"))
    };
    let app = daemon.app_row(name)?.ok_or_else(none)?;
    let mut releases = rows(daemon, &app)?;
    if let Some(current) = app.current
        && let Some(at) = releases.iter().position(|release| release.id == current)
    {
        return Ok(releases.swap_remove(at));
    }
    releases.pop().ok_or_else(none)
}

/// Makes an instance of a release and begins to boot it. Requests don't go to it yet.
pub(super) async fn start(
    daemon: &Arc<Daemon>,
    name: &str,
    release: &ReleaseRow,
    is_declared: bool,
) -> Result<Handle, RuntimeError> {
    let app = daemon.app_row(name)?.ok_or_else(|| gone(name))?;
    let of = app_of(daemon, name, &app, release)?;
    instances::make(daemon, Some(of), release.run.clone(), is_declared).await
}

/// Lets requests of an app go to this instance.
pub(super) async fn switch(daemon: &Daemon, name: &str, instance: &str) -> Result<(), RuntimeError> {
    daemon.change_app(name, |row, _| row.serving = Some(instance.to_owned())).await.map(drop)
}

/// Removes the oldest of an app's instances that have ended for good.
async fn forget_stopped(daemon: &Arc<Daemon>, name: &str) {
    let Ok(Some(app)) = daemon.app_row(name) else { return };
    let stopped: Vec<Handle> = daemon
        .instances
        .of_app(&app.id)
        .into_iter()
        .filter(|handle| app.serving.as_deref() != Some(handle.id()) && handle.view().state == State::Stopped)
        .collect();
    for handle in stopped.iter().take(stopped.len().saturating_sub(KEPT)) {
        // One that is gone already needs no removing.
        let _ = handle.ask(Ask::Delete).await;
    }
}

/// Goes back to an earlier release. What serves is replaced by an instance of it, once that is ready.
pub(crate) async fn rollback(
    daemon: &Arc<Daemon>,
    name: &str,
    wish: Rollback,
) -> Result<Release, RuntimeError> {
    if daemon.declared(name)?.spec.serve {
        return rollback_declared(daemon, name, wish).await;
    }
    let turn = daemon.apps.turn(name);
    let _turn = turn.lock().await;
    let app = daemon.app_row(name)?.ok_or_else(|| gone(name))?;
    let now = current(daemon, name)?;
    let releases = rows(daemon, &app)?;
    let wanted = match &wish.release {
        Some(id) => {
            releases.iter().find(|row| row.id == *id || row.label.as_ref() == Some(id)).ok_or_else(|| {
                RuntimeError::not_found(format!("the app {name} has no release '{id}'"))
                    .hint(format!("list them: `aegis app info {name}`"))
            })?
        }
        None => releases.iter().rev().find(|row| row.number < now.number).ok_or_else(|| {
            RuntimeError::conflict(format!("the app {name} has no earlier release"))
                .hint(format!("list them: `aegis app info {name}`"))
        })?,
    };
    let before = serving(daemon, name).filter(|handle| handle.view().state != State::Stopped);
    if let Some(before) = before
        && before.identity.app.as_ref().is_some_and(|app| app.release != wanted.id)
    {
        replace(daemon, name, &before, wanted).await?;
    }
    daemon.change_app(name, |row, _| row.current = Some(wanted.id.clone())).await?;
    Ok(shown(wanted))
}

/// The same of an app that is declared to serve: its reconciler does it, and holds on to it until something else is
/// declared.
async fn rollback_declared(
    daemon: &Arc<Daemon>,
    name: &str,
    wish: Rollback,
) -> Result<Release, RuntimeError> {
    let app = daemon.app_row(name)?.ok_or_else(|| gone(name))?;
    let releases = rows(daemon, &app)?;
    let is_meant = |row: &&ReleaseRow| {
        wish.release.as_ref().is_some_and(|id| row.id == *id || row.label.as_ref() == Some(id))
    };
    let meant = releases.iter().find(is_meant).map(|row| row.id.clone()).or(wish.release);
    let reconciler =
        daemon.reconciler.get().ok_or_else(|| RuntimeError::internal("the daemon isn't ready yet"))?;
    let id = reconciler.roll_back_to(name, meant.as_deref()).await.map_err(|fault| {
        RuntimeError::conflict(fault.to_string()).hint(format!("list them: `aegis app info {name}`"))
    })?;
    releases.iter().find(|row| row.id == id).map(shown).ok_or_else(|| gone(name))
}

/// Puts an instance of `release` in the place of one that serves. When it isn't ready, everything stays as it was.
async fn replace(
    daemon: &Arc<Daemon>,
    name: &str,
    before: &Handle,
    release: &ReleaseRow,
) -> Result<(), RuntimeError> {
    let after = start(daemon, name, release, false).await?;
    if let Err(error) = until_ready(&after).await {
        let _ = after.ask(Ask::Delete).await;
        return Err(error);
    }
    take_over(daemon, name, Some(before), &after).await?;
    // It was asked to go; whether it is gone already makes no difference.
    let _ = before.ask(Ask::Delete).await;
    Ok(())
}

/// Lets requests go to `after`. One that was tried on a copy of the workspace gets the workspace itself first: the one
/// before lets go of it, and requests wait for the moment between.
pub(super) async fn take_over(
    daemon: &Arc<Daemon>,
    name: &str,
    before: Option<&Handle>,
    after: &Handle,
) -> Result<(), RuntimeError> {
    if !after.is_trial() {
        return switch(daemon, name, after.id()).await;
    }
    let gate = daemon.apps.gate(name);
    let _alone = gate.write().await;
    // Their ends are waited for: a disk is in one machine at a time, and is whole when that is gone.
    let _ = after.ask(Ask::StopForDaemon).await;
    if let Some(before) = before {
        let _ = before.ask(Ask::StopForDaemon).await;
    }
    after.end_trial();
    switch(daemon, name, after.id()).await?;
    let Err(error) = until_ready(after).await else { return Ok(()) };
    if let Some(before) = before {
        switch(daemon, name, before.id()).await?;
        until_ready(before).await?;
    }
    Err(error)
}
