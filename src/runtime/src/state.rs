//! What all parts of a running daemon share.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use aegis_gateway::{network::Outside, ports::PortTable};
use aegis_image::{Digest, ImageStore};
use aegis_store::{LmdbStore, realm::StoreRealm};
use aegis_wire::runtime::{RunOptions, RuntimeError};
use tokio::sync::OnceCell;

use crate::{
    apps::{AppWorkloads, Apps},
    backends::Backends,
    capacity::Capacity,
    clock::Clock,
    config::Config,
    home::Home,
    images,
    instances::Instances,
    journal::Journal,
    logs::Logs,
    reconcile::Reconciler,
    secrets::Secrets,
    tasks::Tasks,
    workspace::{self, Workspaces},
};

/// MiB of memory that a guest needs for its kernel, its modules and the harness: with 72 Debian's kernel panics.
const LEAST_MEMORY: u32 = 96;

/// A running daemon.
pub struct Daemon {
    /// Where everything is.
    pub home: Home,
    /// What was configured.
    pub config: Config,
    /// The time of day.
    pub clock: Clock,
    /// State.
    pub store: Arc<LmdbStore>,
    /// What is declared.
    pub realm: StoreRealm<LmdbStore>,
    /// Images.
    pub images: ImageStore,
    /// Ways to run guests.
    pub backends: Backends,
    /// Room for them.
    pub capacity: Capacity,
    /// What persists of them.
    pub workspaces: Workspaces,
    /// Sealed values.
    pub secrets: Secrets,
    pub(crate) logs: Arc<Logs>,
    /// How guests reach the network.
    pub(crate) outside: Arc<dyn Outside>,
    pub(crate) instances: Instances,
    pub(crate) tasks: Tasks,
    pub(crate) apps: Apps,
    /// The base image's file system, if it was found.
    pub base_tar: Option<PathBuf>,
    pub(crate) base_image: OnceCell<Digest>,
    /// Ports of loopback, once there are any.
    pub(crate) ports: OnceLock<PortTable>,
    pub(crate) reconciler: OnceLock<Arc<Reconciler<LmdbStore, AppWorkloads>>>,
    /// Where the router listens, once it does.
    pub(crate) router: OnceLock<std::net::SocketAddr>,
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon").field("home", &self.home).finish_non_exhaustive()
    }
}

impl Daemon {
    /// The log of a task or an instance.
    pub(crate) fn journal(&self, id: &str) -> Journal {
        Journal::new(&self.logs, id)
    }

    /// Removes the log of one that is gone.
    pub(crate) fn remove_log(&self, id: &str) {
        if let Err(error) = self.logs.remove(id) {
            tracing::warn!(id, %error, "a log stays behind until the next start");
        }
    }

    /// The base image, made of its tar file on the first use.
    pub(crate) async fn base_image(&self) -> Result<Digest, RuntimeError> {
        let Some(tar) = &self.base_tar else {
            return Err(RuntimeError::internal("there is no base image: guest/base.tar wasn't found")
                .hint("run `make guest`, or say an image: --image alpine:3.21"));
        };
        let make = || async { self.images.base_image(tar).await.map_err(images::failed) };
        self.base_image.get_or_try_init(make).await.copied()
    }

    /// The base image's digest, if it was ever used by this process.
    pub(crate) fn known_base_image(&self) -> Option<Digest> {
        self.base_image.get().copied()
    }

    /// Refuses options that can't be met.
    pub(crate) fn check_options(&self, options: &RunOptions) -> Result<(), RuntimeError> {
        let limits = &self.config.limits;
        self.backends.find(options.backend.as_deref())?;
        if let Some(memory) = options.memory_mib {
            if memory < LEAST_MEMORY {
                return Err(RuntimeError::invalid(format!(
                    "{memory} MiB of memory are too little; {LEAST_MEMORY} is the least"
                )));
            }
            self.capacity.check(memory)?;
        }
        if options.cpus.is_some_and(|cpus| cpus == 0 || cpus > limits.cpus) {
            return Err(RuntimeError::invalid(format!("a guest has 1 to {} CPUs", limits.cpus))
                .hint("limits.cpus in aegisd.yaml says how many"));
        }
        if options.pids == Some(0) {
            return Err(RuntimeError::invalid("a guest needs at least one process"));
        }
        if options.disk_mib.is_some_and(|disk| disk < 8 || disk > limits.disk) {
            return Err(RuntimeError::invalid(format!("a workspace has 8 to {} MiB", limits.disk))
                .hint("limits.disk in aegisd.yaml says how many"));
        }
        if let Some(name) = &options.workspace {
            workspace::check_name(name)?;
        }
        for name in options.env.keys() {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(RuntimeError::invalid(format!("'{name}' is no name of a variable")));
            }
        }
        Ok(())
    }
}

/// Refuses a command that can't be one.
pub(crate) fn check_command(command: &[String]) -> Result<(), RuntimeError> {
    match command {
        [] => Err(RuntimeError::invalid("there is no command").hint("write it after --")),
        [first, ..] if first.is_empty() => Err(RuntimeError::invalid("the command is empty")),
        all if all.iter().any(|word| word.contains('\0')) => {
            Err(RuntimeError::invalid("the command has a zero byte in it"))
        }
        _ => Ok(()),
    }
}

/// Locks. Every change under one of these locks is complete before anything that may panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
