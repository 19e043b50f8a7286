//! `aegis down`

use std::time::{Duration, Instant};

use aegis_core::ExitCode;

use crate::{
    failure::Failure,
    local::{Daemon, State},
    output,
};

/// How long it is waited for.
const STOPPED_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Stop the daemon aegisd
///
/// Its instances are stopped with it; their apps, logs and workspaces stay. A process that only has the number of a
/// daemon that died is left alone.
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let daemon = Daemon::here()?;
        let pid = match daemon.state()? {
            State::Up(pid) => pid,
            State::Down => return not_running(),
            State::Starting => {
                return Err(Failure::generic("aegisd is starting").hint("`aegis down` again once it is up"));
            }
        };
        if !daemon.terminate(pid)? {
            return not_running();
        }
        output::print(&format!("aegisd stopping (pid {pid})\n"))?;
        let began = Instant::now();
        while began.elapsed() < STOPPED_WITHIN {
            // The lock, not the process: nobody may have waited for that yet.
            if !matches!(daemon.state(), Ok(State::Up(now)) if now == pid) {
                output::print("aegisd stopped\n")?;
                return Ok(ExitCode::Success);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let message = format!("aegisd is still stopping (pid {pid}): its instances have 5 s to end");
        Err(Failure::new(ExitCode::DeadlineExceeded, message)
            .hint(format!("`aegis status` says when it is gone; its log is {}", daemon.log().display())))
    }
}

fn not_running() -> Result<ExitCode, Failure> {
    output::print("aegisd is not running\n")?;
    Ok(ExitCode::Success)
}
