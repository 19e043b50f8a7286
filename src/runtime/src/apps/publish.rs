//! Releases: an app's image, command and ports as they were.

use std::sync::Arc;

use aegis_store::fault;
use aegis_wire::runtime::{Expose, Publish, Release, RunOptions, RuntimeError};

use super::gone;
use crate::{
    guests, id, images, keyspace,
    reconcile::{Content, Declared},
    record::{self, AppOf, AppRow, ReleaseRow, RunSpec},
    state::{Daemon, check_command},
};

/// Publishes an app as it is declared now: pulls its image, makes its root file system, writes the release down.
pub(crate) async fn publish(
    daemon: &Arc<Daemon>,
    name: &str,
    wish: Publish,
) -> Result<Release, RuntimeError> {
    let declared = daemon.declared(name)?;
    let mut content = declared.content();
    content.label = wish.label.or(content.label);
    if content.image.is_empty() {
        return Err(RuntimeError::invalid(format!("the app {name} has no image, and no kit that has one")));
    }
    content.image_digest = images::obtain(daemon, Some(&content.image), None, None).await?.to_string();
    let mut run = run_spec(&content)?;
    set_readiness(&mut run, &declared);
    Ok(shown(&make(daemon, name, run, content.label, String::new()).await?))
}

/// When an instance of it is ready, as far as that is declared. It is no part of a release's content, and may change
/// without a new one.
pub(super) fn set_readiness(run: &mut RunSpec, declared: &Declared) {
    let Some(readiness) = &declared.spec.readiness else { return };
    run.readiness_port = readiness.port.map(port_number);
    run.readiness_ms = readiness.timeout.map(millis);
}

fn millis(duration: aegis_core::HumanDuration) -> u64 {
    u64::try_from(duration.0.as_millis()).unwrap_or(u64::MAX)
}

fn port_number(port: aegis_kinds::ReadinessPort) -> u16 {
    match port {
        aegis_kinds::ReadinessPort::None => 0,
        aegis_kinds::ReadinessPort::Port(port) => port,
    }
}

/// Makes a release of what runs.
pub(super) async fn make(
    daemon: &Arc<Daemon>,
    name: &str,
    run: RunSpec,
    label: Option<String>,
    fingerprint: String,
) -> Result<ReleaseRow, RuntimeError> {
    check_command(&run.command)?;
    daemon.check_options(&run.options)?;
    prepare_root(daemon, &run).await?;
    let now = daemon.clock.now();
    let mut release =
        ReleaseRow { id: id::new("rel", now), number: 0, label, created_at: now, run, fingerprint };
    fault::point("release.make.before");
    let row = daemon
        .change_app(name, |app, batch| {
            app.releases += 1;
            // The newest is served from now on, also after a rollback.
            app.current = None;
            release.number = app.releases;
            record::put(batch, keyspace::release(&app.id, release.number), &release);
        })
        .await?;
    fault::point("release.make.after");
    // The app may have gone while its image came.
    if daemon.app_name(name).is_err() {
        super::delete::remove_releases(daemon, &row.id).await?;
        return Err(gone(name));
    }
    Ok(release)
}

/// Makes the root file system, so that the first start needn't.
async fn prepare_root(daemon: &Arc<Daemon>, run: &RunSpec) -> Result<(), RuntimeError> {
    let backend = daemon.backends.find(run.options.backend.as_deref())?;
    let digest = images::obtain(daemon, run.image.as_deref(), run.image_digest.as_deref(), None).await?;
    images::root_of(&daemon.images, &digest, backend.capabilities().boot_from_disk_layers).await.map(drop)
}

/// What runs of a content.
pub(super) fn run_spec(content: &Content) -> Result<RunSpec, RuntimeError> {
    const MIB: u64 = 1024 * 1024;
    let resources = &content.resources;
    let memory_mib = resources.memory.map(|size| u32::try_from(size.0.div_ceil(MIB))).transpose();
    Ok(RunSpec {
        image: Some(content.image.clone()),
        image_digest: Some(content.image_digest.clone()).filter(|digest| !digest.is_empty()),
        command: content.command.clone(),
        expose: content.expose.iter().map(|(guest, host)| Expose { guest: *guest, host: *host }).collect(),
        options: RunOptions {
            env: content.env.clone(),
            secrets: content.secrets.clone(),
            workspace: content.workspace.clone(),
            memory_mib: memory_mib.map_err(|_| RuntimeError::invalid("more memory than any machine has"))?,
            cpus: resources.cpus,
            pids: resources.pids,
            disk_mib: resources.disk.map(|size| size.0.div_ceil(MIB)),
            backend: content.backend.clone(),
        },
        required_secrets: content.required_secrets.clone(),
        pause_after_ms: content.idle.pause_after.map(millis),
        stop_after_ms: content.idle.stop_after.map(millis),
        readiness_port: None,
        readiness_ms: None,
    })
}

/// All releases of an app, the oldest first.
pub(super) fn rows(daemon: &Daemon, app: &AppRow) -> Result<Vec<ReleaseRow>, RuntimeError> {
    record::list(&*daemon.store, &keyspace::releases(&app.id))
}

/// All releases of an app, the newest first.
pub(crate) fn releases(daemon: &Daemon, name: &str) -> Result<Vec<Release>, RuntimeError> {
    let Some(app) = daemon.app_row(name)? else { return Ok(Vec::new()) };
    Ok(rows(daemon, &app)?.iter().rev().map(shown).collect())
}

pub(super) fn shown(row: &ReleaseRow) -> Release {
    Release {
        id: row.id.clone(),
        image_digest: row.run.image_digest.clone().unwrap_or_default(),
        label: row.label.clone(),
        created_at: row.created_at,
    }
}

/// Whose an instance of this release is. Its secrets are looked at before anything is made.
pub(super) fn app_of(
    daemon: &Daemon,
    name: &str,
    app: &AppRow,
    release: &ReleaseRow,
) -> Result<AppOf, RuntimeError> {
    let of = AppOf { name: name.to_owned(), id: app.id.clone(), release: release.id.clone() };
    guests::environment(&daemon.secrets, Some(&of), &release.run)?;
    Ok(of)
}
