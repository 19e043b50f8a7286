//! This host, for the commands that change its key or its token.

use std::path::PathBuf;

use aegis_edge::{
    capabilities::Host,
    clock::SystemClock,
    config::{self, EdgeConfig},
    proxy::{ProxyEnv, dialer_for},
    rotate::{RotateDeps, RotateError},
    state::StateDir,
};
use aegis_wire::Endpoint;

use crate::{failure::Failure, paths};

/// What a rotation needs to know.
pub struct ThisHost {
    /// Where the daemon's files are.
    pub state: StateDir,
    /// What the daemon's config says.
    pub config: EdgeConfig,
    /// The machine.
    pub host: Host,
}

impl ThisHost {
    /// The host whose daemon's config is at `--config`.
    pub fn of(config: Option<PathBuf>) -> Result<Self, Failure> {
        // Where a test may end this process counts from here.
        aegis_store::fault::arm();
        let state = StateDir::of_config(paths::edge_config(config)?);
        let config = config::load(state.config())
            .map_err(|error| Failure::invalid(error.to_string()).hint_if(error.hint()))?;
        let host = Host::this(std::env::var_os("PATH").as_deref());
        Ok(Self { state, config, host })
    }

    /// Does `what` with the system's clock, and through a proxy where the environment says so.
    pub async fn with_deps<T>(
        &self,
        what: impl AsyncFnOnce(RotateDeps<'_>) -> Result<T, RotateError>,
    ) -> Result<T, Failure> {
        let proxies = ProxyEnv::read(&|name: &str| std::env::var(name).ok());
        let deps = RotateDeps {
            clock: &SystemClock,
            dialer: &move |endpoint: &Endpoint| dialer_for(endpoint, &proxies),
            host: &self.host,
            passed: &aegis_store::fault::point,
        };
        what(deps)
            .await
            .map_err(|error| Failure::new(error.exit_code(), error.to_string()).hint_if(error.hint()))
    }
}
