//! `aegis edge status`

use std::path::PathBuf;

use aegis_core::ExitCode;
use aegis_edge::{
    capabilities::Host,
    clock::{Clock, SystemClock},
    state::StateDir,
    status::{EdgeStatus, StatusError, status},
};

use crate::{failure::Failure, output::OutputArgs, paths};

/// Show this host's identity, its connection and what it reports of itself
///
/// Reads the daemon's own files, so it also answers when the daemon isn't running or the controller is away.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The daemon's config [default: $AEGIS_CONFIG, else ~/.aegis/edge/aegis-config.yaml]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let state = StateDir::of_config(paths::edge_config(self.config)?);
        let host = Host::this(std::env::var_os("PATH").as_deref());
        let status = status(&state, &host, SystemClock.now_ms()).map_err(|error| match &error {
            StatusError::Config(config) => Failure::invalid(error.to_string()).hint_if(config.hint()),
            StatusError::State(_) | StatusError::Lock(_) => Failure::generic(error.to_string()),
        })?;
        self.output.show(&status, EdgeStatus::text)?;
        Ok(ExitCode::Success)
    }
}
