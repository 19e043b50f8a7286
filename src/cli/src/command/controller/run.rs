//! `aegis controller run`

use std::{net::SocketAddr, path::PathBuf};

use aegis_controller::RunError;
use aegis_core::ExitCode;
use aegis_wire::Endpoint;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::{failure::Failure, terminal};

/// Run the controller until it is told to end
///
/// At its first start it makes its own CA and keys, and writes DATA-DIR/admin-context.yaml: the context of its
/// administrator. It prints `controller ready on ADDR` when it takes calls. SIGTERM ends it cleanly; killed at any
/// moment it loses nothing that was acknowledged.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis controller run --data-dir /var/lib/aegis --public-endpoint fleet.example.com:50056
  aegis controller run --data-dir ./data --listen 127.0.0.1:0        to try it on this machine")]
pub struct Args {
    /// Where everything is kept; made if it isn't there
    #[arg(long, value_name = "D")]
    data_dir: PathBuf,
    /// Where to listen; port 0 takes a free one [default: 0.0.0.0:50056]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// How daemons and operators reach it; needed for enrolment tokens when listening on all addresses
    #[arg(long, value_name = "HOST:PORT")]
    public_endpoint: Option<Endpoint>,
    /// A config file; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Args {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failure> {
        terminal::log_to_stderr("info", false);
        allow_many_streams();
        let options = aegis_controller::Options {
            data_dir: self.data_dir,
            listen: self.listen,
            public_endpoint: self.public_endpoint,
            config: self.config,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::generic(format!("no runtime: {error}")))?;
        runtime.block_on(async {
            let no_signals = |error: std::io::Error| Failure::generic(format!("signals: {error}"));
            let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
            let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
            let shutdown = async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            aegis_controller::run(options, shutdown).await.map_err(|error| match error {
                RunError::Config { .. } | RunError::WildcardEndpoint(_) => {
                    Failure::invalid(error.to_string())
                }
                _ => Failure::generic(error.to_string()),
            })?;
            Ok(ExitCode::Success)
        })
    }
}

/// Each connected host is an open file. The soft limit, usually 1,024, is there for programs that use `select`.
fn allow_many_streams() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files can't be raised; it bounds how many hosts can be connected");
    }
}
