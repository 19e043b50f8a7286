//! From a home to a daemon that serves, and back to silence: the one place where everything is put together.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use aegis_gateway::{Router, network, ports::PortTable, router};
use aegis_image::{ImageError, ImageStore, RegistryConfig};
use aegis_store::{LmdbOptions, LmdbStore, StoreError, fault};
use aegis_wire::runtime::RuntimeError;
use tokio::{
    sync::{OnceCell, watch},
    task::{JoinError, JoinSet},
};

use crate::{
    api,
    apps::AppWorkloads,
    backends::Backends,
    capacity::{Capacity, default_memory_mib},
    clock::Clock,
    config::{Config, ConfigError},
    home::Home,
    instances,
    logs::{Logs, Rotation},
    pid_file::{Locked, PidFile},
    realm,
    reconcile::Reconciler,
    recovery,
    secrets::{SecretError, Secrets},
    state::Daemon,
    tasks,
    upstreams::Guests,
    workspace::Workspaces,
};

/// The first size of the store's map: it grows as it is needed, and an idle daemon has to be small.
const MAP_SIZE: usize = 64 << 20;
/// How many changed keys the store remembers.
const CHANGE_ROWS: usize = 10_000;

/// Finds the backends of a machine.
pub type FindBackends = Box<dyn FnOnce(&Home, &Config) -> Backends + Send>;

/// How long everybody has for letting go of the daemon.
const LET_GO_TRIES: u32 = 200;
const LET_GO_PAUSE: Duration = Duration::from_millis(10);

/// Where and how a daemon runs.
pub struct Options {
    /// `$AEGIS_HOME`.
    pub home: PathBuf,
    /// Whose daemon it is, for the history.
    pub user: String,
    /// What it runs guests with.
    pub backends: FindBackends,
    /// The base image's file system.
    pub base_tar: Option<PathBuf>,
    /// The time of day.
    pub clock: Clock,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("home", &self.home).finish_non_exhaustive()
    }
}

/// Why a daemon doesn't run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another one does.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// Its config is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Secrets can't be read.
    #[error(transparent)]
    Secrets(#[from] SecretError),
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The images can't be.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// The router or a port can't listen.
    #[error(transparent)]
    Router(#[from] aegis_gateway::RouterError),
    /// What was found can't be put in order.
    #[error(transparent)]
    Recovery(#[from] RuntimeError),
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A part ended abruptly.
    #[error("a part of aegisd ended abruptly: {0}")]
    Lost(#[from] JoinError),
}

impl RunError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Locked(_) => Some("use it, or stop it first: `aegis down`"),
            Self::Config(_) => Some("correct the file; docs/operations.md says what may stand in it"),
            Self::Secrets(
                SecretError::KeyLost { .. } | SecretError::KeyLength { .. } | SecretError::CannotOpen { .. },
            ) => Some("put the key back from a backup; nothing was changed"),
            Self::Secrets(SecretError::KeyMode { .. }) => {
                Some("chmod 600 the file, and think of who has read it")
            }
            Self::Router(_) => Some("free the port, or set router.listen in aegisd.yaml"),
            _ => None,
        }
    }
}

/// Runs a daemon until `shutdown` ends. `ready` is called once, when it can be spoken with.
pub async fn run(
    options: Options,
    ready: impl FnOnce(&Daemon) + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    let home = Home::open(&options.home).map_err(RunError::io(&options.home))?;
    // First of all: a second daemon touches nothing.
    let mut pid_file = PidFile::lock(&home.pid_file())?;
    let config = Config::load(&home.config())?;
    let listen = config.router.listen;
    let daemon = Arc::new(open(options, home, config).await?);

    let upstreams: Arc<Guests> = Arc::new(Guests(Arc::downgrade(&daemon)));
    // It is empty until here, and nobody else sets it.
    let _ = daemon.ports.set(PortTable::new(upstreams.clone()));
    recovery::clean_run(&daemon).map_err(RunError::io(&daemon.home.run()))?;
    recovery::records(&daemon).await?;
    let router = Router::start(listen, router::Limits::default(), upstreams).await?;
    let _ = daemon.router.set(router.address());
    let mut background = JoinSet::new();
    background.spawn(reconciler(&daemon).run());

    let socket = daemon.home.socket();
    let listener = api::listen(&socket).map_err(RunError::io(&socket))?;
    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(api::serve(daemon.clone(), listener, stopping));
    pid_file.announce().map_err(RunError::io(&daemon.home.pid_file()))?;
    tracing::info!(router = %router.address(), backend = daemon.backends.default_name(), "ready");
    ready(&daemon);
    fault::arm();

    shutdown.await;
    tracing::info!("stopping");
    drop(router);
    background.shutdown().await;
    // Guests first: streams that tell of them end by their end and not by being cut.
    tokio::join!(tasks::stop_all(&daemon), instances::stop_all(&daemon));
    stop.send_replace(true);
    serving.await?;
    let _ = std::fs::remove_file(&socket);
    closed(daemon).await;
    tracing::info!("stopped");
    Ok(())
}

/// Done when everybody has let go of the daemon: then its store is closed, and another one may come.
async fn closed(mut daemon: Arc<Daemon>) {
    for _ in 0..LET_GO_TRIES {
        match Arc::try_unwrap(daemon) {
            Ok(_) => return,
            Err(still) => daemon = still,
        }
        tokio::time::sleep(LET_GO_PAUSE).await;
    }
    tracing::warn!("a part of aegisd hasn't ended; it ends with the process");
}

/// Opens everything that a daemon has.
async fn open(options: Options, home: Home, config: Config) -> Result<Daemon, RunError> {
    let Options { user, backends, base_tar, clock, .. } = options;
    let (store, secrets) = {
        let (store_path, key_path) = (home.store(), home.master_key());
        let opened = tokio::task::spawn_blocking(move || {
            let sizes = LmdbOptions { map_size: MAP_SIZE, change_rows: CHANGE_ROWS, restored: false };
            let store = Arc::new(LmdbStore::open_with(&store_path, &sizes)?);
            let secrets = Secrets::open(key_path, store.clone())?;
            Ok::<_, RunError>((store, secrets))
        });
        opened.await??
    };
    let registries =
        RegistryConfig { insecure: config.registries.insecure.clone(), ..RegistryConfig::default() };
    let images = ImageStore::open(home.images(), aegis_image::Limits::default(), registries).await?;
    let workspaces = Workspaces::open(home.workspaces()).map_err(RunError::io(&home.workspaces()))?;
    let memory = config.limits.memory.unwrap_or_else(default_memory_mib);
    Ok(Daemon {
        backends: backends(&home, &config),
        capacity: Capacity::new(memory, config.limits.guests),
        realm: realm::open(store.clone(), &clock, &user),
        logs: Arc::new(Logs::new(home.logs(), Rotation::default())),
        outside: Arc::new(network::Host::default()),
        instances: crate::instances::Instances::default(),
        tasks: crate::tasks::Tasks::default(),
        apps: crate::apps::Apps::default(),
        ports: OnceLock::new(),
        reconciler: OnceLock::new(),
        router: OnceLock::new(),
        base_image: OnceCell::new(),
        home,
        config,
        clock,
        store,
        images,
        workspaces,
        secrets,
        base_tar,
    })
}

fn reconciler(daemon: &Arc<Daemon>) -> Arc<Reconciler<LmdbStore, AppWorkloads>> {
    let clock = daemon.clock.clone();
    let workloads = Arc::new(AppWorkloads(Arc::downgrade(daemon)));
    let now = Arc::new(move || clock.now().as_millisecond());
    let reconciler = Reconciler::new(daemon.realm.clone(), workloads, now);
    // Nobody else sets it.
    let _ = daemon.reconciler.set(reconciler.clone());
    reconciler
}
