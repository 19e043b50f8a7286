//! `aegis app list`

use aegis_core::ExitCode;
use aegis_wire::runtime::App;

use crate::{
    failure::Failure,
    local,
    output::{OutputArgs, table},
};

/// List the apps of this machine
#[derive(Debug, clap::Args)]
#[command(visible_alias = "ls")]
pub struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let apps = local::client()?.apps().await?;
        self.output.show(apps.as_slice(), text)?;
        Ok(ExitCode::Success)
    }
}

fn text(apps: &[App]) -> String {
    table(
        ["NAME", "IMAGE", "ID"],
        apps.iter().map(|app| [app.name.clone(), app.image.clone(), app.id.clone()]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_reference() {
        assert_eq!(
            text(&[local::sample::app("myapp")]),
            "NAME   IMAGE               ID\nmyapp  python:3.12-alpine  app-173f\n"
        );
    }
}
