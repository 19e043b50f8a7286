//! What router and ports see of the daemon: apps that are served, instances without an app, and connections to them.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use aegis_backend::GuestError;
use aegis_core::instance::{Cause, State, Unmet, Use};
use aegis_gateway::{Connection, ConnectionGuard, OpenError, Target, Upstreams, WAKE_LIMIT};
use futures::future::BoxFuture;

use crate::{
    apps,
    instances::{Handle, Lease, reason},
    state::Daemon,
};

/// A port that has just been woken may take a moment until it answers again.
const REFUSED_FOR: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(25);

/// The guests of a daemon.
pub(crate) struct Guests(pub Weak<Daemon>);

impl Upstreams for Guests {
    fn targets(&self) -> Vec<Target> {
        let Some(daemon) = self.0.upgrade() else { return Vec::new() };
        let mut targets: Vec<Target> = daemon
            .known_apps()
            .iter()
            .filter_map(|(name, _)| apps::serving(&daemon, name))
            .map(|it| target(&it))
            .collect();
        let alone = daemon.instances.all().into_iter().filter(|handle| {
            let view = handle.view();
            let is_there = view.has_machine || view.cause.as_ref().is_some_and(Cause::is_woken);
            handle.identity.app.is_none() && is_there && !view.is_removed
        });
        targets.extend(alone.map(|handle| target(&handle)));
        targets
    }

    fn open(&self, id: &str, port: u16) -> BoxFuture<'static, Result<Connection, OpenError>> {
        let (daemon, id) = (self.0.upgrade(), id.to_owned());
        Box::pin(async move {
            let daemon = daemon.ok_or_else(|| OpenError::Unknown(id.clone()))?;
            let opened = tokio::time::timeout(WAKE_LIMIT, open(&daemon, &id, port)).await;
            opened.unwrap_or(Err(OpenError::TimedOut(WAKE_LIMIT)))
        })
    }
}

/// An instance as the router knows it: by its app, if it has one.
fn target(handle: &Handle) -> Target {
    let ports = handle.identity.run.expose.iter().map(|expose| expose.guest).collect();
    match &handle.identity.app {
        Some(app) => Target { id: app.id.clone(), name: app.name.clone(), ports },
        None => Target { id: handle.id().to_owned(), name: handle.id().to_owned(), ports },
    }
}

async fn open(daemon: &Arc<Daemon>, id: &str, port: u16) -> Result<Connection, OpenError> {
    let (handle, lease) = lease(daemon, id).await?;
    let ports = &handle.identity.run.expose;
    if ports.is_empty() {
        return Err(OpenError::NoPorts(id.to_owned()));
    }
    if !ports.iter().any(|expose| expose.guest == port) {
        return Err(OpenError::NoSuchPort { name: id.to_owned(), port });
    }
    let gone =
        || OpenError::Failed { reason: format!("instance {} has just stopped", handle.id()), hint: None };
    let guest = handle.guest().ok_or_else(gone)?;
    let begun = tokio::time::Instant::now();
    let stream = loop {
        match guest.connect(port).await {
            Ok(stream) => break stream,
            Err(GuestError::Refused { .. }) if begun.elapsed() < REFUSED_FOR => {
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => {
                let hint = Some(format!("look at its log: `aegis logs {}`", handle.id()));
                return Err(OpenError::Failed { reason: error.to_string(), hint });
            }
        }
    };
    Ok(Connection { stream: Box::new(stream), guard: ConnectionGuard::holding(lease) })
}

/// The instance that a request goes to, awake and kept so.
async fn lease(daemon: &Arc<Daemon>, id: &str) -> Result<(Handle, Lease), OpenError> {
    let unknown = || OpenError::Unknown(id.to_owned());
    let app = daemon.known_apps().into_iter().find(|(_, row)| row.id == id);
    let handle = match &app {
        Some((name, _)) => {
            // While instances are exchanged, requests wait here.
            let gate = daemon.apps.gate(name);
            let _passing = gate.read().await;
            let handle = apps::serving(daemon, name).ok_or_else(unknown)?;
            let lease = handle.lease(Use::Connection).await.map_err(|error| failed(&handle, &error))?;
            return Ok((handle, lease));
        }
        None => daemon.instances.get(id).map_err(|_| unknown())?,
    };
    let lease = handle.lease(Use::Connection).await.map_err(|error| failed(&handle, &error))?;
    Ok((handle, lease))
}

fn failed(handle: &Handle, unmet: &Unmet) -> OpenError {
    match unmet {
        Unmet::TimedOut => OpenError::TimedOut(WAKE_LIMIT),
        Unmet::Stopped(cause) if handle.view().state == State::Stopped || !cause.is_woken() => {
            let why = reason(cause).unwrap_or_else(|| "somebody stopped it".to_owned());
            OpenError::Failed {
                reason: format!("instance {} is stopped: {why}", handle.id()),
                hint: Some(format!("start it: `aegis instance start {}`", handle.id())),
            }
        }
        _ => OpenError::Failed { reason: format!("instance {} is being stopped", handle.id()), hint: None },
    }
}
