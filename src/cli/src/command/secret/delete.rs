//! `aegis secret delete`, `aegis secret delete-workspace`

use aegis_core::ExitCode;

use crate::{failure::Failure, local, output};

/// Delete a secret of an app
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The app, by name or id
    #[arg(value_name = "APP_NAME")]
    app: String,
    /// The secret's name
    key: String,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        local::client()?.delete_secret(Some(&self.app), &self.key).await?;
        output::print(&format!("Secret {} deleted from {}\n", self.key, self.app))?;
        Ok(ExitCode::Success)
    }
}

/// Delete a secret of the workspace
#[derive(Debug, clap::Args)]
pub struct WorkspaceArgs {
    /// The secret's name
    key: String,
}

impl WorkspaceArgs {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        local::client()?.delete_secret(None, &self.key).await?;
        output::print(&format!("Workspace secret {} deleted\n", self.key))?;
        Ok(ExitCode::Success)
    }
}
