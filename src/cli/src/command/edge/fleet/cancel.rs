//! `aegis edge fleet cancel`

use aegis_core::ExitCode;

use super::show::unknown_run;
use crate::{context::ContextArgs, failure::Failure, fleet::visible, output::OutputArgs};

/// Cancel a run: hosts that haven't begun won't, and what runs is ended
///
/// Hosts that have ended keep their results. Of a run that is over nothing changes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis edge fleet cancel r-019dd54c4af801020304
  aegis edge fleet cancel r-019dd54c && aegis edge fleet show r-019dd54c --follow")]
pub struct Args {
    /// The run: its id, or a unique prefix; `aegis edge fleet runs` lists them
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let client = context.client().await?;
        let run = client.cancel_run(&self.run).await.map_err(|error| unknown_run(error, &self.run))?;
        self.output.show(&run, |run| {
            if run.state.is_over() {
                format!("{} is over already: {}\n", run.run_id, run.state)
            } else {
                format!("{} is being cancelled ({} on {})\n", run.run_id, run.tool, visible(&run.target))
            }
        })?;
        Ok(ExitCode::Success)
    }
}
