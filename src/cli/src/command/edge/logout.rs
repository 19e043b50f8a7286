//! `aegis edge logout`

use std::path::PathBuf;

use aegis_core::ExitCode;
use aegis_edge::{
    logout::{LogoutReport, logout},
    state::StateDir,
};

use crate::{failure::Failure, output::OutputArgs, paths};

/// Take this host out of the fleet: stop its daemon, delete its key and its token
///
/// The controller still knows the host, as disconnected, until an operator runs `aegis edge keys revoke-remote`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove everything of the daemon's folder
    #[arg(long)]
    purge: bool,
    /// The daemon's config [default: $AEGIS_CONFIG, else ~/.aegis/edge/aegis-config.yaml]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let state = StateDir::of_config(paths::edge_config(self.config)?);
        let report = logout(&state, self.purge)
            .await
            .map_err(|error| Failure::new(error.exit_code(), error.to_string()).hint_if(error.hint()))?;
        self.output.show(&report, text)?;
        Ok(ExitCode::Success)
    }
}

fn text(report: &LogoutReport) -> String {
    let mut text = String::new();
    if let Some(pid) = report.stopped_pid {
        text += &format!("- daemon stopped (pid {pid})\n");
    }
    for path in &report.removed {
        text += &format!("- {} removed\n", path.display());
    }
    if text.is_empty() {
        return "nothing to do: this host isn't enrolled\n".into();
    }
    text + "for the controller the host is only away; `aegis edge keys revoke-remote` makes it final\n"
}
