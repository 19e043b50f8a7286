//! `aegis secret list`, `aegis secret list-workspace`

use aegis_core::ExitCode;
use aegis_wire::runtime::SecretNames;

use crate::{failure::Failure, local, output::OutputArgs};

/// List the names of an app's secrets; values are never shown
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The app, by name or id
    #[arg(value_name = "APP_NAME")]
    app: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let names = local::client()?.secrets(Some(&self.app)).await?;
        self.output.show(&names, |names| text(&format!("Secrets for {}:", self.app), names))?;
        Ok(ExitCode::Success)
    }
}

/// List the names of the workspace's secrets; values are never shown
#[derive(Debug, clap::Args)]
pub struct WorkspaceArgs {
    #[command(flatten)]
    output: OutputArgs,
}

impl WorkspaceArgs {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let names = local::client()?.secrets(None).await?;
        self.output.show(&names, |names| text("Workspace secrets:", names))?;
        Ok(ExitCode::Success)
    }
}

fn text(head: &str, names: &SecretNames) -> String {
    names.names.iter().fold(format!("{head}\n"), |text, name| text + "  " + name + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_as_in_the_reference() {
        let names = SecretNames { names: vec!["API_KEY".into(), "DB_PASSWORD".into()] };
        assert_eq!(text("Secrets for myapp:", &names), "Secrets for myapp:\n  API_KEY\n  DB_PASSWORD\n");
    }
}
