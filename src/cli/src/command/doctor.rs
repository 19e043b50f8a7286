//! `aegis doctor`

use aegis_core::ExitCode;
use aegis_edge::clock::{Clock, SystemClock};

use crate::{doctor, failure::Failure, local::Daemon, output::OutputArgs};

/// Diagnose this machine: what guests need, what is there, and the command that brings what is missing
///
/// Works with and without a daemon; with one it also shows every backend, and why one can't be used.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let report = doctor::look(&Daemon::here()?, SystemClock.now_ms()).await?;
        self.output.show(&report, doctor::text)?;
        Ok(ExitCode::Success)
    }
}
