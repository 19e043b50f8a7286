//! `aegis rollout status`

use aegis_core::ExitCode;
use aegis_wire::operator::{OperatorClient, RolloutStatus};

use crate::{
    context::ContextArgs,
    failure::Failure,
    interrupt::Interrupt,
    output::{self, Format, OutputArgs},
    rollouts::{self, Awaited, exit_code, line, text, until_over},
};

/// Show where a rollout is, host by host
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis rollout status reload-nginx              where it is now
  aegis rollout status reload-nginx --watch      until it is over; --output json prints a line a change
Exit codes: 0 complete or not over, 1 some failed, 5 no such rollout, 6 halted or rolled back, 7 aborted.")]
pub struct Args {
    /// Its name
    name: String,
    /// Show each change until it is over
    #[arg(long, short = 'w')]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let client = context.client().await?;
        let status = if self.watch {
            self.watch(&client).await?
        } else {
            client.get_rollout(&self.name).await.map_err(|error| rollouts::unknown(error, &self.name))?
        };
        if !(self.watch && self.output.output == Format::Json) {
            self.output.show(&status, text)?;
        }
        Ok(exit_code(status.phase))
    }

    async fn watch(&self, client: &OperatorClient) -> Result<RolloutStatus, Failure> {
        let interrupt = Interrupt::listen();
        let awaited = Awaited { name: self.name.clone(), generation: None };
        let format = self.output.output;
        tokio::select! {
            end = until_over(client, &awaited, |status| show(status, format)) => end,
            () = interrupt.asked() => Err(Failure::new(ExitCode::Cancelled, format!("left; the rollout {} goes on", self.name))
                .hint(format!("`aegis rollout abort {}` ends it", self.name))),
        }
    }
}

#[allow(clippy::print_stderr, reason = "progress goes to stderr")]
fn show(status: &RolloutStatus, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => {
            let line = serde_json::to_string(status)
                .map_err(|error| Failure::generic(format!("not JSON: {error}")))?;
            output::print(&(line + "\n"))
        }
        Format::Table | Format::Yaml => {
            eprintln!("{}", line(status));
            Ok(())
        }
    }
}
