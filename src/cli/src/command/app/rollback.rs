//! `aegis app rollback`

use aegis_core::ExitCode;
use aegis_wire::runtime::{Release, Rollback};

use crate::{failure::Failure, fleet::visible, local, output::OutputArgs};

/// Go back to an earlier release of an app
///
/// A running instance is replaced once that of the release is ready.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis app rollback myapp                 the release before
  aegis app rollback myapp rel-8a4b        this one; `aegis app info myapp` lists them")]
pub struct Args {
    /// The app, by name or id
    #[arg(value_name = "APP_NAME")]
    app: String,
    /// The release [default: the one before the latest]
    release: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let release = local::client()?.rollback(&self.app, &Rollback { release: self.release }).await?;
        self.output.show(&release, |release| text(&self.app, release))?;
        Ok(ExitCode::Success)
    }
}

fn text(app: &str, release: &Release) -> String {
    let label = release.label.as_ref().map(|label| format!(" (label={})", visible(label)));
    format!("App {app} is back at release {}{}\n", release.id, label.unwrap_or_default())
}
