//! `aegis exec`

use aegis_core::ExitCode;
use aegis_wire::runtime::{Exec, ExecInput, ExecSender, Source};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    exit::Exit,
    failure::Failure,
    local::{self, Batch, End, Keyboard, Signals, Streams, Written},
};

/// Run a command in a running instance
///
/// Waits for an instance that starts, wakes one that is paused, and fails on one that is stopped. The exit code is the
/// command's own; 255 (−1) when the instance was stopped under it. Signals go to the command; Ctrl-C twice leaves.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis exec myapp -- echo hello
  aegis exec inst-1739893456789012345 -- ls /workspace
  aegis exec -t myapp -- sh                       with a terminal
  tar c . | aegis exec -i myapp -- tar x -C /workspace")]
pub struct Args {
    /// The app, by name or id, or the instance
    target: String,
    /// Give it a terminal; what is typed goes there
    #[arg(long, short = 't')]
    tty: bool,
    /// Give it this command's standard input
    #[arg(long, short = 'i')]
    stdin: bool,
    /// A variable of its environment; may be repeated
    #[arg(long, value_name = "K=V", value_parser = variable)]
    env: Vec<(String, String)>,
    /// The command, behind --
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<Exit, Failure> {
        let client = local::client()?;
        let mut signals = Signals::listen()?;
        let mut resized = signal(SignalKind::window_change())
            .map_err(|error| Failure::generic(format!("signals: {error}")))?;
        let id = local::running_instance(&client, &self.target).await?;
        let exec = Exec {
            command: self.command,
            env: self.env.into_iter().collect(),
            terminal: self.tty.then(local::terminal_size),
        };
        let (sender, mut records) = client.exec(&id, &exec).await?;
        let typing = self.tty || self.stdin;
        // The terminal is raw as long as the keyboard lives.
        let keyboard = if typing { Some(Keyboard::open(self.tty, sender.clone())?) } else { None };
        if !typing {
            sender.send(&ExecInput::Eof(true)).await;
        }
        let mut streams = Streams::default();
        let mut asked = false;
        let end = loop {
            tokio::select! {
                batch = Batch::read(&mut records) => {
                    batch.records.iter().filter(|r| r.source != Source::System).for_each(|r| streams.push(r));
                    if streams.write().await? == Written::ReaderGone {
                        // Letting go of the records ends the command.
                        return Ok(Exit::READER_GONE);
                    }
                    if let Some(end) = batch.end {
                        break end;
                    }
                }
                _ = resized.recv(), if self.tty => {
                    let (rows, columns) = local::terminal_size();
                    tell(&sender, ExecInput::Resize(rows, columns));
                }
                number = signals.next() => {
                    if asked {
                        return Ok(ExitCode::Cancelled.into());
                    }
                    asked = true;
                    tell(&sender, ExecInput::Signal(number));
                }
            }
        };
        drop(keyboard);
        verdict(end)
    }
}

/// Sends beside whatever reads the answer: the command may not be reading now.
fn tell(sender: &ExecSender, input: ExecInput) {
    let sender = sender.clone();
    tokio::spawn(async move { sender.send(&input).await });
}

fn verdict(end: End) -> Result<Exit, Failure> {
    match end {
        End::Done { exit_code, error } => {
            if let Some(error) = error {
                Failure::generic(error).print();
            }
            Ok(Exit::of_process(exit_code))
        }
        End::Broken(error) => Err(error.into()),
        End::Silent => Err(Failure::generic("the command's output broke off")
            .hint("`aegis status` says whether aegisd runs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_code_is_passed_through() {
        for (exit_code, shell) in [(0, 0), (42, 42), (137, 137), (-1, 255)] {
            let end = End::Done { exit_code, error: None };
            assert_eq!(verdict(end).unwrap().code(), shell);
        }
        assert!(verdict(End::Silent).is_err());
        assert_eq!(variable("A=b=c").unwrap(), ("A".to_owned(), "b=c".to_owned()));
        assert!(variable("A").is_err() && variable("=b").is_err());
    }
}
