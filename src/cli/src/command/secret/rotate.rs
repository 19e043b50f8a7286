//! `aegis secret rotate`

use aegis_core::ExitCode;

use crate::{failure::Failure, local, output::OutputArgs};

/// Seal all secrets of this machine with a new key
///
/// Values stay as they are. The old key is of no use from then on; back up data/master.key anew.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let rotated = local::client()?.rotate_secrets().await?;
        self.output
            .show(&rotated, |rotated| format!("{} secrets sealed with a new key\n", rotated.sealed))?;
        Ok(ExitCode::Success)
    }
}
