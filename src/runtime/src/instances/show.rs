//! An instance as the API shows it.

use aegis_core::instance::{Cause, State};
use aegis_wire::runtime::{Endpoint, Instance, InstanceState};

use super::handle::{Handle, reason};
use crate::{ports, state::Daemon};

/// The instance as it stands.
pub(crate) fn show(daemon: &Daemon, handle: &Handle) -> Instance {
    let (identity, view) = (&handle.identity, handle.view());
    let holder = identity.app.as_ref().map_or(identity.id.as_str(), |app| &app.id);
    let endpoints = ports::of(daemon, holder)
        .into_iter()
        .filter(|(guest, _)| identity.run.expose.iter().any(|expose| expose.guest == *guest))
        .map(|(guest, host)| Endpoint { guest, address: format!("127.0.0.1:{host}") })
        .collect();
    let exit_code = match view.cause {
        Some(Cause::Exited { code, .. }) => Some(code),
        _ => None,
    };
    let error = view.trouble.clone().or_else(|| view.cause.as_ref().and_then(reason));
    Instance {
        id: identity.id.clone(),
        state: match view.state {
            State::Starting => InstanceState::Starting,
            State::Running => InstanceState::Running,
            State::Paused => InstanceState::Paused,
            State::Stopped => InstanceState::Stopped,
        },
        app_id: identity.app.as_ref().map(|app| app.id.clone()),
        app: identity.app.as_ref().map(|app| app.name.clone()),
        release_id: identity.app.as_ref().map(|app| app.release.clone()),
        command: identity.run.command.clone(),
        image: identity.run.image.clone(),
        expose_ports: identity.run.expose.iter().map(|expose| expose.guest).collect(),
        endpoints,
        connections: view.connections,
        backend: identity.backend.clone(),
        created_at: identity.created_at,
        last_active_at: view.last_active_at,
        exit_code,
        wakes: view.state == State::Stopped && view.cause.as_ref().is_some_and(Cause::is_woken),
        error,
    }
}
