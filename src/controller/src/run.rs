//! From a data directory to a controller that serves, and back to silence.

use std::{
    fs, io,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use aegis_core::TenantId;
use aegis_store::{LmdbStore, LocalBus, Store};
use aegis_wire::{
    Endpoint,
    server::{self, Services, tcp_connections},
};
use futures::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};

use crate::{
    RunError,
    assignments::Secrets,
    background, backup,
    clock::{Clock, SystemClock},
    config::{self, ControllerConfig},
    context,
    edges::Edges,
    enrollment::Enrollments,
    files::private_directory,
    identity, keyspace,
    operator::Operators,
    rollouts, runs,
    state::{Controller, Order, Parts},
};

/// Where a controller listens if nobody says otherwise (2-protocol.md, "Transport").
const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 50056);
/// The tenant that a controller starts with (1-product.md, decision 2).
const FIRST_TENANT: &str = "default";

/// What `aegis controller run` was told.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where to listen; wins over the config file. Port 0: any free one.
    pub listen: Option<SocketAddr>,
    /// How daemons and operators reach it; wins over the config file.
    pub public_endpoint: Option<Endpoint>,
    /// The config file.
    pub config: Option<PathBuf>,
}

/// What a controller runs on: the system's, or a test's.
pub struct Environment<L> {
    /// Where state is kept.
    pub store: Arc<dyn Store>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The connections that come in, with the addresses they come from.
    pub connections: L,
    /// The address that is really listened on.
    pub address: SocketAddr,
}

impl<L> std::fmt::Debug for Environment<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Runs a controller until `shutdown` ends.
pub async fn run(
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let config = match &options.config {
        Some(path) => config::load(path)?,
        None => ControllerConfig::default(),
    };
    let config = ControllerConfig {
        listen: options.listen.or(config.listen),
        public_endpoint: options.public_endpoint.or(config.public_endpoint),
        ..config
    };
    let data = options.data_dir;
    private_directory(&data).map_err(|error| RunError::io(&data, &error))?;
    let data = fs::canonicalize(&data).map_err(|error| RunError::io(&data, &error))?;
    let store = LmdbStore::open(&data.join("store"))?;
    // Only whoever has the store's lock may tidy up.
    backup::clean(&data).map_err(|error| RunError::io(&data, &error))?;
    let wish = config.listen.unwrap_or(DEFAULT_LISTEN);
    let cant_listen = |error: io::Error| RunError::Listen { address: wish, reason: error.to_string() };
    let listener = TcpListener::bind(wish).await.map_err(cant_listen)?;
    let environment = Environment {
        store: Arc::new(store),
        clock: Arc::new(SystemClock),
        address: listener.local_addr().map_err(cant_listen)?,
        connections: tcp_connections(listener),
    };
    serve(&data, config, environment, announce, shutdown).await
}

/// Tells whoever started the process that it is ready.
fn announce(address: SocketAddr) {
    let mut stdout = io::stdout();
    // Nobody may be reading; that is no reason not to serve.
    let _ = writeln!(stdout, "controller ready on {address}").and_then(|()| stdout.flush());
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::warn!(%error, "can't tell systemd that the controller is ready");
    }
    aegis_store::fault::arm();
}

/// Serves in `environment`, with the files in `data`, until `shutdown` ends. `ready` is called once, when the admin
/// context is written and calls are taken.
pub async fn serve<L, IO>(
    data: &Path,
    config: ControllerConfig,
    environment: Environment<L>,
    ready: impl FnOnce(SocketAddr) + Send,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError>
where
    L: Stream<Item = io::Result<(IO, SocketAddr)>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Environment { store, clock, connections, address } = environment;
    let public_endpoint = reachable(config.public_endpoint, address)?;
    let names = identity::names(public_endpoint.as_ref(), address);
    let identity = identity::load_or_make(data, config.tls.as_ref(), &names, clock.now())?;
    let tls = match (config.plaintext, address.ip().is_loopback()) {
        (false, _) => Some(identity.tls),
        (true, true) => {
            tracing::warn!(%address, "serving plain text: everybody on this machine can read along");
            None
        }
        (true, false) => return Err(RunError::Plaintext(address)),
    };
    let local = local_endpoint(public_endpoint.as_ref(), address);
    let secrets = Secrets::load_or_make(&data.join("keys"), &*store)?;
    let controller = Arc::new(Controller::new(Parts {
        secrets,
        store,
        bus: Arc::new(LocalBus::<Order>::default()),
        clock,
        signing: identity.signing,
        ca: identity.ca,
        public_endpoint,
        limits: config.enrollment,
        data_dir: data.to_owned(),
    })?);
    let first = TenantId::new(FIRST_TENANT).into_iter();
    for tenant in first.chain(config.tenants) {
        controller.create_tenant(&tenant, "controller").await?;
    }
    if let Some(endpoint) = local {
        context::write_admin_context(&controller, endpoint).await?;
    }
    runs::recover(&controller).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(background::sweep(controller.clone()));
    tasks.spawn(background::purge(controller.clone()));
    tasks.spawn(background::pass_on(controller.clone(), controller.store.watch(keyspace::OBJECTS)));
    tasks.spawn(rollouts::keep(controller.clone(), rollouts::watch(&controller)));
    let services = Services {
        enrollment: Arc::new(Enrollments(controller.clone())),
        edge: Arc::new(Edges(controller.clone())),
        operator: Arc::new(Operators(controller.clone())),
    };
    tracing::info!(%address, ca = %controller.ca, key = controller.signing.key_id(), "ready");
    ready(address);
    let stop = async move {
        shutdown.await;
        tracing::info!("stopping");
        // First, so that runs end by the controller's end and not by that of each stream.
        controller.runs.stop().await;
        for node in controller.live.connected() {
            // One that is away already needs no telling.
            let _ = controller.bus.send(&node, Order::Stopping);
        }
    };
    let served = server::serve(connections, tls, services, stop).await;
    tasks.shutdown().await;
    served.map_err(|error| RunError::Serve(error.to_string()))
}

/// How daemons reach the controller: as configured, or where it listens if that is an address of one machine.
fn reachable(public: Option<Endpoint>, address: SocketAddr) -> Result<Option<Endpoint>, RunError> {
    match public {
        Some(endpoint) if endpoint.is_wildcard() => Err(RunError::WildcardEndpoint(endpoint)),
        Some(endpoint) => Ok(Some(endpoint)),
        None if address.ip().is_unspecified() => Ok(None),
        None => Ok(Endpoint::new(&address.ip().to_string(), address.port()).ok()),
    }
}

/// How the first operator reaches it: as daemons do, or on this machine.
fn local_endpoint(public: Option<&Endpoint>, address: SocketAddr) -> Option<Endpoint> {
    public.cloned().or_else(|| Endpoint::new("127.0.0.1", address.port()).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn endpoint(public: Option<&str>, address: &str) -> Result<Option<String>, RunError> {
        let found = reachable(public.map(|text| text.parse().unwrap()), address.parse().unwrap())?;
        Ok(found.map(|endpoint| endpoint.to_string()))
    }

    #[test]
    fn a_public_endpoint_is_one_that_can_be_connected_to() {
        assert_eq!(endpoint(Some("a.example:1"), "0.0.0.0:50056").unwrap().unwrap(), "a.example:1");
        assert_eq!(endpoint(None, "10.0.0.1:50056").unwrap().unwrap(), "10.0.0.1:50056");
        assert_eq!(endpoint(None, "[::1]:50056").unwrap().unwrap(), "[::1]:50056");
        assert_eq!(endpoint(None, "0.0.0.0:50056").unwrap(), None);
        assert_eq!(endpoint(None, "[::]:50056").unwrap(), None);
        for wildcard in ["0.0.0.0:50056", "[::]:50056", "a.example:0"] {
            let error = endpoint(Some(wildcard), "127.0.0.1:1").unwrap_err();
            assert!(error.to_string().contains("--public-endpoint"), "{error}");
        }
    }
}
