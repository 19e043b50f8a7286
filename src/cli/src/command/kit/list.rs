//! `aegis kit list`

use aegis_core::ExitCode;
use aegis_wire::runtime::Kit;

use crate::{
    failure::Failure,
    local,
    output::{OutputArgs, table},
};

/// List the installed kits
#[derive(Debug, clap::Args)]
#[command(visible_alias = "ls")]
pub struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let kits = local::client()?.kits().await?;
        self.output.show(kits.as_slice(), text)?;
        Ok(ExitCode::Success)
    }
}

fn text(kits: &[Kit]) -> String {
    table(
        ["NAME", "VERSION", "IMAGE"],
        kits.iter().map(|kit| [kit.name.clone(), kit.version.clone(), kit.image.clone()]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_reference() {
        let kit = Kit {
            name: "famiglia".into(),
            version: "1.0.0".into(),
            image: "ghcr.io/aegis/famiglia:1.0.0".into(),
            description: None,
            config: None,
            installed_at: None,
        };
        assert_eq!(
            text(&[kit]),
            "NAME      VERSION  IMAGE\nfamiglia  1.0.0    ghcr.io/aegis/famiglia:1.0.0\n"
        );
    }
}
