//! `aegis kit uninstall`

use aegis_core::ExitCode;

use crate::{failure::Failure, local, output};

/// Remove an installed kit
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kit
    #[arg(value_name = "KIT_NAME")]
    kit: String,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        local::client()?.uninstall_kit(&self.kit).await?;
        output::print(&format!("Kit \"{}\" uninstalled\n", self.kit))?;
        Ok(ExitCode::Success)
    }
}
