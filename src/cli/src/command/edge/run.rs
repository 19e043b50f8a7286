//! `aegis edge run`

use std::{path::PathBuf, sync::Arc};

use aegis_core::ExitCode;
use aegis_edge::{
    capabilities::Host,
    clock::{SystemClock, SystemRandom},
    config,
    proxy::{ProxyEnv, dialer_for},
    run::{RunDeps, RunOptions, run, signals},
    state::StateDir,
};

use crate::{assigned::Here, failure::Failure, local, paths, terminal};

/// Run the daemon of this host until it is told to end
///
/// Dials out to the controller that it is enrolled with and holds one stream open; it binds no port. SIGTERM ends it
/// cleanly, SIGHUP reads the config again (which also happens when the file changes).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The daemon's config [default: $AEGIS_CONFIG, else ~/.aegis/edge/aegis-config.yaml]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let state = StateDir::of_config(paths::edge_config(self.config)?);
        let failed = |error: &aegis_edge::run::RunError| {
            Failure::new(error.exit_code(), error.to_string()).hint_if(error.hint())
        };
        // The config says how to log; that it can't be read is said again, and better, by the daemon itself.
        let log = config::load(state.config()).ok().and_then(|config| config.log).unwrap_or_default();
        terminal::log_to_stderr(log.level.as_str(), log.format == config::LogFormat::Json);
        let proxies = ProxyEnv::read(&|name: &str| std::env::var(name).ok());
        let deps = RunDeps {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            dialer: Arc::new(move |endpoint: &aegis_wire::Endpoint| dialer_for(endpoint, &proxies)),
            host: Box::new(|| Host::this(std::env::var_os("PATH").as_deref())),
            runtime: Some(Arc::new(Here(local::client()?))),
            control: signals().map_err(|error| Failure::generic(format!("signals: {error}")))?,
        };
        match run(RunOptions { state, watch: true }, deps).await {
            Ok(()) => Ok(ExitCode::Success),
            Err(error) => Err(failed(&error)),
        }
    }
}
