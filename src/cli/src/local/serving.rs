//! An instance in the foreground: shown when it is ready, watched while it runs, deleted at Ctrl-C.

use std::time::{Duration, Instant};

use aegis_core::ExitCode;
use aegis_wire::runtime::{Instance, InstanceState, RuntimeClient, RuntimeError};

use super::Signals;
use crate::{exit::Exit, failure::Failure, output};

/// How often a booting instance is looked at.
const LOOK_SOON: Duration = Duration::from_millis(50);
/// How long an instance may be shown as stopped before it boots.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);
/// How often a running one is. Its logs aren't followed for this: a follower would keep it awake.
const LOOK_LATER: Duration = Duration::from_millis(500);

/// What Ctrl-C does with the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInterrupt {
    /// It is this command's.
    Delete,
    /// It ran before.
    Leave,
}

/// One instance and what is to be said of it.
#[derive(Debug)]
pub struct Serving<'a> {
    /// Whom to ask.
    pub client: &'a RuntimeClient,
    /// What is served, such as an app's name.
    pub name: Option<&'a str>,
    /// What Ctrl-C does.
    pub on_interrupt: OnInterrupt,
}

/// How an instance stands, for who waits for it.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Booting,
    Up,
    /// It ended by itself, with its code.
    Ended(i32),
    /// Somebody else stopped it, or it hasn't begun.
    Stopped(String),
    /// It didn't start, or broke down.
    Failed(String),
}

fn standing(instance: &Instance) -> Standing {
    match (instance.state, instance.exit_code, &instance.error) {
        (InstanceState::Starting, ..) => Standing::Booting,
        (InstanceState::Running | InstanceState::Paused, ..) => Standing::Up,
        (InstanceState::Stopped, ..) if instance.wakes => Standing::Up,
        (InstanceState::Stopped, Some(code), _) => Standing::Ended(code),
        (InstanceState::Stopped, _, Some(error)) => Standing::Failed(error.clone()),
        (InstanceState::Stopped, None, None) => Standing::Stopped("was stopped".to_owned()),
    }
}

impl Serving<'_> {
    /// Waits until it is up, says where, and stays until it ends or somebody presses Ctrl-C.
    pub async fn run(self, instance: Instance, detach: bool) -> Result<Exit, Failure> {
        let mut signals = Signals::listen()?;
        let id = instance.id.clone();
        let mut shown = false;
        let begun = Instant::now();
        let mut instance = instance;
        loop {
            match standing(&instance) {
                Standing::Up if !shown => {
                    let router = self.client.status().await?.router;
                    output::print(&announced(self.name, &router, &instance, !detach))?;
                    shown = true;
                    if detach {
                        return Ok(ExitCode::Success.into());
                    }
                }
                Standing::Booting | Standing::Up => {}
                Standing::Ended(code) => {
                    if !shown {
                        let why =
                            instance.error.as_deref().unwrap_or("its process ended before it was ready");
                        failed(&id, why, Some(code)).print();
                    }
                    return Ok(Exit::of_process(code));
                }
                // It was only just made.
                Standing::Stopped(_) if !shown && begun.elapsed() < BEGINS_WITHIN => {}
                Standing::Stopped(how) => return Err(Failure::generic(format!("{id} {how}"))),
                Standing::Failed(why) => return Err(failed(&id, &why, None)),
            }
            let pause = if shown { LOOK_LATER } else { LOOK_SOON };
            tokio::select! {
                _ = signals.next() => return self.leave(&id, signals).await,
                () = tokio::time::sleep(pause) => {}
            }
            instance = match self.client.instance(&id).await {
                Ok(instance) => instance,
                Err(error) if error.status == 404 => {
                    return Err(Failure::generic(format!("{id} was deleted")));
                }
                Err(error) => return Err(gone(error)),
            };
        }
    }

    async fn leave(&self, id: &str, mut signals: Signals) -> Result<Exit, Failure> {
        if self.on_interrupt == OnInterrupt::Leave {
            output::print(&format!("{id} ran before and goes on; `aegis instance stop {id}` stops it\n"))?;
            return Ok(ExitCode::Success.into());
        }
        tokio::select! {
            deleted = self.client.delete_instance(id) => match deleted {
                Err(error) if error.status != 404 => Err(error.into()),
                _ => Ok(ExitCode::Success.into()),
            },
            // Asked twice: it isn't waited for. The daemon goes on with what it was told.
            _ = signals.next() => Ok(ExitCode::Cancelled.into()),
        }
    }
}

fn failed(id: &str, why: &str, code: Option<i32>) -> Failure {
    let code = code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
    Failure::generic(format!("{id} isn't running: {why}{code}"))
        .hint(format!("`aegis logs {id}` shows what it said"))
}

/// The daemon went away under it.
fn gone(error: RuntimeError) -> Failure {
    if error.code == RuntimeError::NOT_RUNNING {
        return Failure::generic("aegisd went away, and with it what it served")
            .hint("`aegis up` starts it again; data/aegisd.log beneath AEGIS_HOME says why");
    }
    error.into()
}

/// The lines that say where it is.
fn announced(name: Option<&str>, router: &str, instance: &Instance, stays: bool) -> String {
    let what = name.map(|name| format!(" {name}")).unwrap_or_default();
    let mut text = format!("Serving{what} on {router}\nInstance: {}\n", instance.id);
    for endpoint in &instance.endpoints {
        text += &format!("Port {}: {}\n", endpoint.guest, endpoint.address);
    }
    if stays {
        text += "Press Ctrl+C to stop\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::sample;

    #[test]
    fn the_lines_are_those_of_the_reference() {
        let instance = sample::instance("inst-a1b2c3");
        assert_eq!(
            announced(None, "http://127.0.0.1:8099", &instance, true),
            "Serving on http://127.0.0.1:8099\nInstance: inst-a1b2c3\nPort 80: 127.0.0.1:40001\nPress Ctrl+C to stop\n"
        );
        assert_eq!(
            announced(Some("myapp"), "http://127.0.0.1:8099", &instance, false),
            "Serving myapp on http://127.0.0.1:8099\nInstance: inst-a1b2c3\nPort 80: 127.0.0.1:40001\n"
        );
    }

    #[test]
    fn what_ended_is_told_from_what_sleeps() {
        use InstanceState::{Paused, Starting, Stopped};
        let at = |state, exit_code, error: Option<&str>, wakes| Instance {
            state,
            exit_code,
            error: error.map(str::to_owned),
            wakes,
            ..sample::instance("inst-1")
        };
        for (instance, wanted) in [
            (at(Starting, None, None, false), Standing::Booting),
            (at(Paused, None, None, false), Standing::Up),
            (at(Stopped, None, Some("idle"), true), Standing::Up),
            (at(Stopped, Some(3), None, false), Standing::Ended(3)),
            (at(Stopped, Some(3), Some("exited"), false), Standing::Ended(3)),
            (at(Stopped, None, Some("no image"), false), Standing::Failed("no image".into())),
            (at(Stopped, None, None, false), Standing::Stopped("was stopped".into())),
        ] {
            assert_eq!(standing(&instance), wanted, "{instance:?}");
        }
    }
}
