//! `aegis instance list`

use aegis_core::ExitCode;
use aegis_wire::runtime::{Instance, InstanceState};

use crate::{
    failure::Failure,
    local,
    output::{OutputArgs, table},
};

/// List the active instances
#[derive(Debug, clap::Args)]
#[command(visible_alias = "ls")]
pub struct Args {
    /// Stopped ones, too
    #[arg(long, short = 'a')]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let mut instances = local::client()?.instances().await?;
        instances.retain(|instance| self.all || instance.state != InstanceState::Stopped);
        self.output.show(instances.as_slice(), text)?;
        Ok(ExitCode::Success)
    }
}

fn text(instances: &[Instance]) -> String {
    let row = |instance: &Instance| {
        [
            instance.id.clone(),
            instance.state.as_str().to_owned(),
            instance.app_id.clone().unwrap_or_default(),
            instance.connections.to_string(),
        ]
    };
    table(["ID", "STATE", "APP", "CONNS"], instances.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_reference() {
        assert_eq!(
            text(&[local::sample::instance("inst-1739")]),
            "ID         STATE    APP       CONNS\ninst-1739  running  app-173f  0\n"
        );
    }
}
