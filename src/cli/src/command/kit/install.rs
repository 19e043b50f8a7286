//! `aegis kit install`

use aegis_core::ExitCode;
use aegis_wire::runtime::Kit;

use super::manifest;
use crate::{failure::Failure, local, output::OutputArgs};

/// Install a kit, or its new version, from a manifest
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis kit install famiglia.yaml
The manifest:
  name: famiglia
  version: \"1.0.0\"
  description: Famiglia agent kit
  image: ghcr.io/aegis/famiglia:1.0.0
It may have a config, as a document of the kind Kit has; such a document is taken, too.")]
pub struct Args {
    /// The YAML file, or - for standard input
    #[arg(value_name = "MANIFEST.yaml")]
    manifest: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let text = if self.manifest == "-" {
            std::io::read_to_string(std::io::stdin())
                .map_err(|error| Failure::generic(format!("standard input: {error}")))?
        } else {
            std::fs::read_to_string(&self.manifest)
                .map_err(|error| Failure::file(self.manifest.as_ref(), &error))?
        };
        let kit = local::client()?.install_kit(&manifest::kit(&self.manifest, &text)?).await?;
        self.output.show(&kit, text_of)?;
        Ok(ExitCode::Success)
    }
}

fn text_of(kit: &Kit) -> String {
    format!("Kit {} v{} installed\n", kit.name, kit.version)
}
