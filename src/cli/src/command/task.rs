//! `aegis task`

use aegis_core::ExitCode;
use aegis_wire::runtime::{Task, TaskState};
use clap::Subcommand;

use crate::{
    failure::Failure,
    fleet::visible,
    local::{self, command_line, time},
    output::{self, OutputArgs, table},
};

/// Tasks: commands that ran, or run, in a guest of their own
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the tasks that are kept
    #[command(visible_alias = "list")]
    Ls {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// End a task
    Cancel {
        /// The task
        task: String,
    },
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let client = local::client()?;
        match self.verb {
            Verb::Ls { output } => output.show(client.tasks().await?.as_slice(), text)?,
            Verb::Cancel { task } => {
                // One that is over would be forgotten.
                let state = client.task(&task).await?.state;
                if state.is_over() {
                    return Err(Failure::generic(format!("{task} is over: {}", word(state))));
                }
                client.cancel_task(&task).await?;
                output::print(&format!("Task {task} cancelled\n"))?;
            }
        }
        Ok(ExitCode::Success)
    }
}

const fn word(state: TaskState) -> &'static str {
    match state {
        TaskState::Queued => "QUEUED",
        TaskState::Running => "RUNNING",
        TaskState::Succeeded => "SUCCEEDED",
        TaskState::Failed => "FAILED",
        TaskState::TimedOut => "TIMED_OUT",
        TaskState::Cancelled => "CANCELLED",
    }
}

fn text(tasks: &[Task]) -> String {
    let row = |task: &Task| {
        [
            task.id.clone(),
            word(task.state).to_owned(),
            task.exit_code.map(|code| code.to_string()).unwrap_or_default(),
            visible(task.image.as_deref().unwrap_or_default()).into_owned(),
            time(task.created_at),
            command_line(&task.command),
        ]
    };
    table(["ID", "STATE", "EXIT", "IMAGE", "CREATED", "COMMAND"], tasks.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_a_table() {
        let tasks = [local::sample::task(TaskState::Failed, Some(42))];
        assert_eq!(
            text(&tasks),
            "ID      STATE   EXIT  IMAGE  CREATED               COMMAND\ntask-1  FAILED  42    -      1970-01-01T00:00:00Z  true\n"
        );
    }
}
