//! `aegis rollout pause`, `resume` and `abort`

use aegis_core::ExitCode;
use aegis_wire::operator::RolloutAction;

use crate::{
    context::ContextArgs,
    failure::Failure,
    output::OutputArgs,
    rollouts::{line, unknown},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The rollout's name; `aegis rollout ls` lists them
    name: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs, action: RolloutAction) -> Result<ExitCode, Failure> {
        let client = context.client().await?;
        let status =
            client.steer_rollout(&self.name, action).await.map_err(|error| unknown(error, &self.name))?;
        self.output.show(&status, |status| format!("Rollout/{} {}\n", status.name, line(status)))?;
        Ok(ExitCode::Success)
    }
}
