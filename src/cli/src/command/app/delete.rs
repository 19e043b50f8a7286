//! `aegis app delete`

use aegis_core::ExitCode;

use crate::{failure::Failure, local, output};

/// Delete an app with its releases, secrets and instances
#[derive(Debug, clap::Args)]
#[command(visible_alias = "rm")]
pub struct Args {
    /// The app, by name or id
    #[arg(value_name = "APP_NAME")]
    app: String,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let client = local::client()?;
        let app = client.app(&self.app).await?;
        client.delete_app(&app.id).await?;
        output::print(&format!("App \"{}\" deleted\n", app.name))?;
        Ok(ExitCode::Success)
    }
}
