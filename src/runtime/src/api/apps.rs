//! `/v1/apps`.

use std::sync::Arc;

use aegis_kinds::{App as AppKind, AppEdit, AppSpec, ByteSize, ExposedPort, Resources};
use aegis_wire::runtime::{CreateApp, Expose, Publish, Rollback, RuntimeError, Serve, UpdateApp};
use http::StatusCode;

use super::call::{Answer, Call};
use crate::{
    apps::{self, verb},
    instances::{show, until_ready},
    state::Daemon,
};

pub(super) async fn create(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let wish: CreateApp = call.read()?;
    daemon.check_options(&wish.options)?;
    let name = wish.name.clone();
    let spec = spec(wish)?;
    if let Some(kit) = &spec.kit {
        daemon.needs_kit(kit)?;
    }
    let edited = daemon.edit("app create", verb::<AppKind>(&name, AppEdit::Create(Box::new(spec)))).await;
    edited.map_err(|error| match apps::show(&daemon, &name) {
        // What is wrong is that there is one.
        Ok(_) => RuntimeError { status: 409, code: "conflict".to_owned(), ..error },
        Err(_) => error,
    })?;
    Answer::created(&apps::show(&daemon, &name)?)
}

/// What an app is declared as that was created by hand.
fn spec(wish: CreateApp) -> Result<AppSpec, RuntimeError> {
    const MIB: u64 = 1024 * 1024;
    let options = wish.options;
    let resources = Resources {
        memory: options.memory_mib.map(|mib| ByteSize(u64::from(mib) * MIB)),
        cpus: options.cpus,
        disk: options.disk_mib.map(|mib| ByteSize(mib * MIB)),
        pids: options.pids,
    };
    let mut spec = AppSpec {
        image: wish.image,
        kit: wish.kit,
        command: wish.command,
        expose: ports(&wish.expose),
        env: options.env,
        workspace: options.workspace,
        backend: options.backend,
        resources: (resources != Resources::default()).then_some(resources),
        ..AppSpec::default()
    };
    let secrets = serde_json::to_value(options.secrets).and_then(serde_json::from_value);
    spec.secrets = secrets.map_err(|error| RuntimeError::invalid(format!("secrets: {error}")))?;
    Ok(spec)
}

fn ports(expose: &[Expose]) -> Vec<ExposedPort> {
    expose.iter().map(|port| ExposedPort { guest: port.guest, host: port.host }).collect()
}

pub(super) async fn list(daemon: Arc<Daemon>, _: Call) -> Result<Answer, RuntimeError> {
    Answer::ok(&apps::list(&daemon)?)
}

pub(super) async fn get(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let name = daemon.app_name(call.segment(0))?;
    Answer::ok(&apps::show(&daemon, &name)?)
}

pub(super) async fn update(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let name = daemon.app_name(call.segment(0))?;
    let UpdateApp { image, command, expose } = call.read()?;
    let expose = expose.as_deref().map(ports);
    daemon.edit("app update", verb::<AppKind>(&name, AppEdit::Update { image, command, expose })).await?;
    Answer::ok(&apps::show(&daemon, &name)?)
}

pub(super) async fn delete(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let name = daemon.app_name(call.segment(0))?;
    apps::delete(&daemon, &name).await?;
    Ok(Answer::Done)
}

pub(super) async fn publish(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let name = daemon.app_name(call.segment(0))?;
    let wish: Publish = call.read()?;
    Answer::created(&apps::publish(&daemon, &name, wish).await?)
}

pub(super) async fn releases(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let name = daemon.app_name(call.segment(0))?;
    Answer::ok(&apps::releases(&daemon, &name)?)
}

pub(super) async fn serve(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let name = daemon.app_name(call.segment(0))?;
    let wish: Serve = call.read()?;
    let (handle, is_new) = apps::serve(&daemon, &name).await?;
    if wish.wait {
        until_ready(&handle).await?;
    }
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Answer::json(status, &show(&daemon, &handle))
}

pub(super) async fn rollback(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let name = daemon.app_name(call.segment(0))?;
    let wish: Rollback = call.read()?;
    Answer::ok(&apps::rollback(&daemon, &name, wish).await?)
}
