//! `aegis instance pause`, `resume`, `stop`, `start`

use aegis_core::ExitCode;
use aegis_wire::runtime::{Instance, InstanceState};

use crate::{failure::Failure, fleet::visible, local, output::OutputArgs};

/// Which instance.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The instance, or its app by name or id
    #[arg(value_name = "INSTANCE_ID")]
    instance: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is done to it.
#[derive(Debug, Clone, Copy)]
pub enum Verb {
    /// Its CPUs stop.
    Pause,
    /// They go on.
    Resume,
    /// Its guest ends.
    Stop,
    /// It boots.
    Start,
}

impl Args {
    /// Runs it.
    pub async fn run(self, verb: Verb) -> Result<ExitCode, Failure> {
        let client = local::client()?;
        let id = local::running_instance(&client, &self.instance).await?;
        let instance = match verb {
            Verb::Pause => client.pause_instance(&id).await?,
            Verb::Resume => client.resume_instance(&id).await?,
            Verb::Stop => client.stop_instance(&id).await?,
            Verb::Start => client.start_instance(&id).await?,
        };
        self.output.show(&instance, |instance| text(instance, verb))?;
        Ok(ExitCode::Success)
    }
}

fn text(instance: &Instance, verb: Verb) -> String {
    let state = match (verb, instance.state) {
        // It has a few seconds to end.
        (Verb::Stop, InstanceState::Running | InstanceState::Paused) => "stopping",
        (_, state) => state.as_str(),
    };
    let why = instance.error.as_ref().map(|error| format!(": {}", visible(error)));
    format!("Instance {} {state}{}\n", instance.id, why.unwrap_or_default())
}
