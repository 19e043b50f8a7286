//! `aegis app serve`

use aegis_wire::runtime::Serve;

use crate::{
    exit::Exit,
    failure::Failure,
    local::{self, OnInterrupt, Serving},
};

/// Serve an app from its latest release
///
/// Shows the address and stays until Ctrl-C, which deletes the instance, or until its process ends, with its exit code.
/// An idle instance is paused, later stopped, and wakes at the next request. One that runs already is shown and
/// outlives Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis app serve myapp
  aegis app serve myapp --detach      leave it running; `aegis instance list` shows it")]
pub struct Args {
    /// The app, by name or id
    #[arg(value_name = "APP_NAME")]
    app: String,
    /// Show the address once it is ready, and leave it running
    #[arg(long)]
    detach: bool,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<Exit, Failure> {
        let client = local::client()?;
        // Not waited for by the daemon: Ctrl-C is heard while it boots.
        let (instance, is_new) = client.serve(&self.app, &Serve { wait: false }).await?;
        let name = instance.app.clone().unwrap_or(self.app);
        let on_interrupt = if is_new { OnInterrupt::Delete } else { OnInterrupt::Leave };
        Serving { client: &client, name: Some(&name), on_interrupt }.run(instance, self.detach).await
    }
}
