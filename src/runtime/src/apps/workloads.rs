//! What the reconciler needs of the daemon.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use aegis_core::instance::{Ask, Cause, State};
use aegis_store::Store;
use aegis_wire::runtime::RuntimeError;

use super::{delete, publish, serve};
use crate::{
    images,
    instances::{Handle, reason, until_ready},
    keyspace,
    reconcile::{Content, Fault, Instance, Observed, Phase, Published, Readiness, Workloads},
    state::Daemon,
    workspace::IN_USE,
};

/// The apps of a daemon, for its reconciler.
pub(crate) struct AppWorkloads(pub Weak<Daemon>);

impl fmt::Debug for AppWorkloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppWorkloads")
    }
}

impl AppWorkloads {
    fn daemon(&self) -> Result<Arc<Daemon>, Fault> {
        self.0.upgrade().ok_or_else(|| Fault::Passing("aegisd is stopping".to_owned()))
    }

    fn instance(&self, id: &str) -> Result<Option<Handle>, Fault> {
        Ok(self.daemon()?.instances.get(id).ok())
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn fault(error: RuntimeError) -> Fault {
    let message = match &error.hint {
        Some(hint) => format!("{} ({hint})", error.message),
        None => error.message.clone(),
    };
    match (error.status, error.code.as_str()) {
        (_, "boot_failed") if message.contains(IN_USE) => Fault::Passing(message),
        (_, "boot_failed" | "image_refused") => Fault::Final(message),
        (_, "missing_secret") => Fault::Blocked(message),
        (500.., _) | (_, "no_room" | "registry" | "image_not_found" | "image_unauthorized" | "conflict") => {
            Fault::Passing(message)
        }
        _ => Fault::Blocked(message),
    }
}

/// Of an instance that isn't ready.
fn unready(error: RuntimeError) -> Fault {
    match error.message {
        busy if busy.contains(IN_USE) => Fault::Passing(busy),
        other => Fault::Final(other),
    }
}

fn phase(handle: &Handle) -> Phase {
    let view = handle.view();
    phase_of(view.state, view.cause)
}

fn phase_of(state: State, cause: Option<Cause>) -> Phase {
    match (state, cause) {
        (State::Starting, _) | (_, Some(Cause::New)) => Phase::Starting,
        (_, None | Some(Cause::Idle)) => Phase::Ready,
        (_, Some(Cause::Daemon)) => Phase::Interrupted,
        // It can boot once the workspace is free.
        (_, Some(Cause::BootFailed { reason })) if reason.contains(IN_USE) => Phase::Interrupted,
        (_, Some(cause)) => Phase::Ended(reason(&cause).unwrap_or_else(|| "somebody stopped it".to_owned())),
    }
}

impl Workloads for AppWorkloads {
    fn known(&self) -> Result<Vec<String>, Fault> {
        Ok(self.daemon()?.known_apps().into_iter().map(|(name, _)| name).collect())
    }

    async fn observe(&self, app: &str) -> Result<Observed, Fault> {
        let daemon = self.daemon()?;
        // Not between the making of an instance by hand and the moment when it serves: it would look like one too many.
        let turn = daemon.apps.turn(app);
        let _turn = turn.lock().await;
        let Some(row) = daemon.app_row(app).map_err(fault)? else { return Ok(Observed::default()) };
        let releases = publish::rows(&daemon, &row).map_err(fault)?;
        let instances = daemon.instances.of_app(&row.id);
        Ok(Observed {
            releases: releases
                .into_iter()
                .map(|release| Published {
                    id: release.id,
                    fingerprint: release.fingerprint,
                    image: release.run.image.unwrap_or_default(),
                    image_digest: release.run.image_digest.unwrap_or_default(),
                })
                .collect(),
            instances: instances
                .iter()
                .filter(|handle| !handle.view().is_removed)
                .map(|handle| Instance {
                    id: handle.id().to_owned(),
                    release: handle.identity.app.as_ref().map(|app| app.release.clone()).unwrap_or_default(),
                    phase: phase(handle),
                    is_declared: handle.identity.is_declared,
                })
                .collect(),
            serving: row.serving,
        })
    }

    async fn resolve(&self, image: &str) -> Result<String, Fault> {
        let daemon = self.daemon()?;
        images::latest(&daemon, image).await.map(|digest| digest.to_string()).map_err(fault)
    }

    async fn publish(&self, app: &str, content: &Content, fingerprint: &str) -> Result<String, Fault> {
        let daemon = self.daemon()?;
        let mut run = publish::run_spec(content).map_err(fault)?;
        if let Ok(declared) = daemon.declared(app) {
            publish::set_readiness(&mut run, &declared);
        }
        let label = content.label.clone();
        let release = publish::make(&daemon, app, run, label, fingerprint.to_owned()).await;
        release.map(|release| release.id).map_err(fault)
    }

    async fn start(&self, app: &str, release: &str) -> Result<String, Fault> {
        let daemon = self.daemon()?;
        let turn = daemon.apps.turn(app);
        let _turn = turn.lock().await;
        daemon.app_name(app).map_err(fault)?;
        let row = daemon
            .app_row(app)
            .map_err(fault)?
            .ok_or_else(|| Fault::Passing(format!("there is no app '{app}'")))?;
        let releases = publish::rows(&daemon, &row).map_err(fault)?;
        let release = releases
            .iter()
            .find(|row| row.id == release)
            .ok_or_else(|| Fault::Passing(format!("there is no release '{release}'")))?;
        let handle = serve::start(&daemon, app, release, true).await.map_err(fault)?;
        Ok(handle.id().to_owned())
    }

    async fn ready(&self, _app: &str, instance: &str, readiness: Readiness) -> Result<(), Fault> {
        let handle = self
            .instance(instance)?
            .ok_or_else(|| Fault::Final(format!("instance {instance} was deleted")))?;
        let daemon = self.daemon()?;
        // The machine's own time to boot comes on top of what was declared for the app.
        let limit = readiness.timeout + std::time::Duration::from_secs(daemon.config.limits.boot_seconds);
        match tokio::time::timeout(limit, until_ready(&handle)).await {
            Ok(ready) => ready.map_err(unready),
            Err(_) => {
                Err(Fault::Final(format!("instance {instance} wasn't ready within {} s", limit.as_secs())))
            }
        }
    }

    async fn switch(&self, app: &str, instance: &str) -> Result<(), Fault> {
        let daemon = self.daemon()?;
        let turn = daemon.apps.turn(app);
        let _turn = turn.lock().await;
        let after = self
            .instance(instance)?
            .ok_or_else(|| Fault::Passing(format!("instance {instance} was deleted")))?;
        let before = serve::serving(&daemon, app);
        serve::take_over(&daemon, app, before.as_ref(), &after).await.map_err(|error| match fault(error) {
            // It didn't start a second time: as little as the first time is it to be tried again.
            Fault::Blocked(reason) => Fault::Final(reason),
            other => other,
        })
    }

    async fn wake(&self, _app: &str, instance: &str) -> Result<(), Fault> {
        let Some(handle) = self.instance(instance)? else { return Ok(()) };
        until_ready(&handle).await.map_err(unready)
    }

    async fn stop(&self, _app: &str, instance: &str) -> Result<(), Fault> {
        if let Some(handle) = self.instance(instance)? {
            // One that is gone is no fault.
            let _ = handle.ask(Ask::Delete).await;
        }
        Ok(())
    }

    async fn remove_release(&self, app: &str, release: &str) -> Result<(), Fault> {
        let daemon = self.daemon()?;
        let Some(row) = daemon.app_row(app).map_err(fault)? else { return Ok(()) };
        let releases = publish::rows(&daemon, &row).map_err(fault)?;
        if let Some(found) = releases.iter().find(|row| row.id == release) {
            let mut batch = aegis_store::Batch::new();
            batch.delete(keyspace::release(&row.id, found.number));
            daemon.store.commit(batch).await.map_err(|error| Fault::Passing(error.to_string()))?;
        }
        Ok(())
    }

    async fn forget(&self, app: &str) -> Result<(), Fault> {
        let daemon = self.daemon()?;
        delete::remove(&daemon, app).await.map_err(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_that_is_in_use_for_now_fails_nothing_for_good() {
        let busy = || format!("{IN_USE} task-1");
        let said = format!("instance inst-1 didn't start: {}", busy());
        let failed = |message: &str| RuntimeError::new(422, "boot_failed", message.to_owned());
        assert_eq!(unready(failed(&said)), Fault::Passing(said.clone()));
        assert_eq!(fault(failed(&said)), Fault::Passing(said));
        assert_eq!(unready(failed("no such program")), Fault::Final("no such program".into()));
        let phase = |reason: String| phase_of(State::Stopped, Some(Cause::BootFailed { reason }));
        assert_eq!(phase(busy()), Phase::Interrupted);
        assert_eq!(phase("no such program".into()), Phase::Ended("no such program".into()));
    }
}
