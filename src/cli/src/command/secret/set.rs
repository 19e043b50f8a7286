//! `aegis secret set`, `aegis secret set-workspace`

use aegis_core::ExitCode;

use super::value::ValueArgs;
use crate::{failure::Failure, local, output};

/// Set a secret of an app
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis secret set myapp API_KEY --stdin < key.txt
  aegis secret set myapp API_KEY sk-test123")]
pub struct Args {
    /// The app, by name or id
    #[arg(value_name = "APP_NAME")]
    app: String,
    /// The secret's name: that of the variable
    key: String,
    #[command(flatten)]
    value: ValueArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let value = self.value.read()?;
        local::client()?.put_secret(Some(&self.app), &self.key, &value).await?;
        output::print(&format!("Secret {} set for {}\n", self.key, self.app))?;
        Ok(ExitCode::Success)
    }
}

/// Set a secret of the workspace, which all apps get
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis secret set-workspace GLOBAL_TOKEN --stdin < token.txt")]
pub struct WorkspaceArgs {
    /// The secret's name: that of the variable
    key: String,
    #[command(flatten)]
    value: ValueArgs,
}

impl WorkspaceArgs {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let value = self.value.read()?;
        local::client()?.put_secret(None, &self.key, &value).await?;
        output::print(&format!("Workspace secret {} set\n", self.key))?;
        Ok(ExitCode::Success)
    }
}
