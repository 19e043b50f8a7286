//! A boot: image, room, workspace, machine, harness, process. Dropping the future at any point undoes all of it.

use std::{io, sync::Arc, time::Duration};

use aegis_backend::{Backend, Guest, GuestError, Machine, MachineSpec, StartError};
use aegis_harness::message::{Command, Setup};
use aegis_image::{Digest, Hold};
use aegis_store::fault;
use aegis_wire::runtime::{LogRecord, RuntimeError, Source, StreamName};
use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    environment,
    live::{AbortOnDrop, Live, Main, RunDirectory},
};
use crate::{
    home::private_directory,
    id,
    images::root_of,
    journal::Journal,
    network,
    output::pump,
    record::{AppOf, RunSpec},
    state::Daemon,
    workspace,
};

/// What to boot.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// The id of the task or instance: the guest's host name, too.
    pub id: String,
    /// Whose secrets it gets.
    pub app: Option<AppOf>,
    /// What runs.
    pub run: RunSpec,
    /// Its workspace; none: in memory.
    pub workspace: Option<workspace::Owner>,
    /// Whether it gets a copy of that, which is gone afterwards.
    pub is_trial: bool,
    /// Whether to wait for room rather than to fail.
    pub waits_for_room: bool,
}

/// Why there is no guest with a running process.
#[derive(Debug)]
pub(crate) enum LaunchError {
    /// The process couldn't be started: 127 or 126.
    NotStarted { code: i32, reason: String },
    /// Anything before that.
    Failed(RuntimeError),
}

impl From<RuntimeError> for LaunchError {
    fn from(error: RuntimeError) -> Self {
        Self::Failed(error)
    }
}

impl LaunchError {
    /// In one line, with the way out.
    pub fn reason(&self) -> String {
        match self {
            Self::NotStarted { reason, .. } => reason.clone(),
            Self::Failed(error) => match &error.hint {
                Some(hint) => format!("{} ({hint})", error.message),
                None => error.message.clone(),
            },
        }
    }
}

/// Boots a guest and starts its process.
pub(crate) async fn launch(
    daemon: &Arc<Daemon>,
    launch: &Launch,
    journal: &Journal,
) -> Result<Live, LaunchError> {
    let Launch { run, .. } = launch;
    let env = environment(&daemon.secrets, launch.app.as_ref(), run)?;
    let backend = daemon.backends.find(run.options.backend.as_deref())?;
    let (digest, hold) = image(daemon, run, journal).await?;
    let rootfs = root_of(&daemon.images, &digest, backend.capabilities().boot_from_disk_layers).await?;
    let memory_mib = run.options.memory_mib.unwrap_or(daemon.config.defaults.memory);
    let room = if launch.waits_for_room {
        daemon.capacity.wait(memory_mib).await?
    } else {
        daemon.capacity.take(memory_mib)?
    };
    let workspace = match &launch.workspace {
        None => None,
        Some(owner) => {
            let size = run.options.disk_mib.unwrap_or(daemon.config.defaults.disk);
            let is_disk = backend.capabilities().boot_from_disk_layers;
            Some(if launch.is_trial && is_disk {
                daemon.workspaces.take_copy(owner, size, &launch.id).await?
            } else {
                daemon.workspaces.take(owner, is_disk, size, &launch.id).await?
            })
        }
    };
    let path = daemon.home.run().join(&launch.id);
    private_directory(&path).map_err(|error| host(format!("{}: {error}", path.display())))?;
    let directory = RunDirectory(path);
    let pids_max = Some(run.options.pids.unwrap_or(daemon.config.defaults.pids));
    let spec = MachineSpec {
        id: launch.id.clone(),
        directory: directory.0.clone(),
        memory_mib,
        cpus: run.options.cpus.unwrap_or(daemon.config.defaults.cpus),
        pids_max,
        rootfs,
        workspace: workspace.as_ref().map(|workspace| workspace.path().to_owned()),
        token: id::token().map_err(|error| host(error.to_string()))?,
        warm: daemon.config.warm.unwrap_or(true),
    };
    let (machine, guest) = boot(daemon, &*backend, &spec).await?;
    fault::point("instance.boot.machine");
    let mut background =
        vec![AbortOnDrop(tokio::spawn(harness_log(guest.clone(), journal.clone(), daemon.clone())))];
    background.push(network::attach(daemon, &guest));
    let command = Command { argv: run.command.clone(), env, ..Command::default() };
    let limit = boot_limit(daemon);
    // A guest whose clock stands still never answers.
    let started = tokio::time::timeout(limit, guest.start_main(command)).await;
    let process = started.unwrap_or(Err(GuestError::TimedOut(limit))).map_err(|error| match error {
        GuestError::NotStarted { code: 127, reason } if run.image.is_none() => {
            let reason = format!("{reason}; the base image has busybox alone, --image names another");
            LaunchError::NotStarted { code: 127, reason }
        }
        GuestError::NotStarted { code, reason } => LaunchError::NotStarted { code, reason },
        other => failed_guest(&*machine, &other).into(),
    })?;
    let mut output = vec![tokio::spawn(pump(
        process.stdout,
        StreamName::Stdout,
        Source::Main,
        None,
        daemon.clock.clone(),
        journal.clone(),
    ))];
    if let Some(stderr) = process.stderr {
        let clock = daemon.clock.clone();
        output.push(tokio::spawn(pump(
            stderr,
            StreamName::Stderr,
            Source::Main,
            None,
            clock,
            journal.clone(),
        )));
    }
    Ok(Live {
        guest,
        machine,
        main: Some(Main { exit: process.exit, output }),
        _background: background,
        _directory: directory,
        _workspace: workspace,
        _hold: Some(hold),
        _room: room,
    })
}

/// The image, pulled if it isn't here.
async fn image(
    daemon: &Arc<Daemon>,
    run: &RunSpec,
    journal: &Journal,
) -> Result<(Digest, Hold), RuntimeError> {
    let digest =
        crate::images::obtain(daemon, run.image.as_deref(), run.image_digest.as_deref(), Some(journal))
            .await?;
    Ok((digest, daemon.images.hold(&digest)))
}

/// How long each of a boot's two waits may take: until the guest is ready, and until its process runs.
fn boot_limit(daemon: &Daemon) -> Duration {
    Duration::from_secs(daemon.config.limits.boot_seconds)
}

/// Starts the machine and makes the guest ready.
async fn boot(
    daemon: &Daemon,
    backend: &dyn Backend,
    spec: &MachineSpec,
) -> Result<(Arc<dyn Machine>, Guest), RuntimeError> {
    let started = backend.start(spec).await.map_err(failed_start)?;
    let machine: Arc<dyn Machine> = Arc::from(started.machine);
    let mut entropy = [0; 64];
    getrandom::fill(&mut entropy).map_err(|error| host(error.to_string()))?;
    let setup = Setup {
        token: String::new(),
        hostname: spec.id.clone(),
        unix_ns: u64::try_from(daemon.clock.now().as_nanosecond()).unwrap_or(0),
        entropy: BASE64_STANDARD.encode(entropy),
        root: started.root,
        workspace: started.workspace,
        scratch_mib: u64::from(spec.memory_mib / 2).max(16),
        pids_max: spec.pids_max,
        network: Some(network::settings()),
    };
    match Guest::open(started.channel, &spec.token, started.is_clone, setup, boot_limit(daemon)).await {
        Ok(guest) => Ok((machine, guest)),
        Err(error) => Err(failed_guest(&*machine, &error)),
    }
}

/// The harness's own lines go into the log of its instance.
async fn harness_log(guest: Guest, journal: Journal, daemon: Arc<Daemon>) {
    let Some(mut lines) = guest.logs() else { return };
    while let Some(line) = lines.recv().await {
        journal.write(system(&daemon, &line));
    }
}

/// A line about an instance that nobody in it wrote.
pub(crate) fn system(daemon: &Daemon, line: &str) -> LogRecord {
    LogRecord::new(daemon.clock.now(), StreamName::Stderr, Source::System, line.as_bytes(), false)
}

fn failed_start(error: StartError) -> RuntimeError {
    match error {
        StartError::Unusable { ref hint, .. } => {
            let failed = host(error.to_string());
            if let Some(hint) = hint {
                failed.hint(hint)
            } else {
                failed.hint("`aegis doctor` says what works")
            }
        }
        StartError::Died { ref console, .. } => host(with_console(&error.to_string(), console)),
        other => host(other.to_string()),
    }
}

fn failed_guest(machine: &dyn Machine, error: &GuestError) -> RuntimeError {
    host(with_console(&error.to_string(), &machine.console()))
}

/// What went wrong, with the last lines that the machine said.
fn with_console(reason: &str, console: &str) -> String {
    let lines: Vec<&str> = console.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    if last.is_empty() {
        reason.to_owned()
    } else {
        format!("{reason}; the console ends in: {}", last.join(" | "))
    }
}

fn host(message: String) -> RuntimeError {
    RuntimeError::internal(message)
}

impl From<io::Error> for LaunchError {
    fn from(error: io::Error) -> Self {
        Self::Failed(host(error.to_string()))
    }
}
