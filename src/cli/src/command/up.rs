//! `aegis up`

use std::{
    process::Child,
    time::{Duration, Instant},
};

use aegis_core::ExitCode;
use aegis_wire::runtime::RuntimeClient;

use crate::{
    failure::Failure,
    local::{self, Daemon, State},
    output,
};

/// How long a daemon may take to write its pid.
const PID_WITHIN: Duration = Duration::from_secs(2);
/// How long one that lives may take until it answers: at its first start it makes its kernel ready.
const ANSWERS_WITHIN: Duration = Duration::from_mins(1);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// So many lines of its log are the error of a daemon that dies at its start.
const LAST_LINES: usize = 10;

/// Start the daemon aegisd
///
/// It is the aegisd beside this program. It runs on without this terminal, as this user, and writes to data/aegisd.log
/// beneath AEGIS_HOME. One that runs already is left as it is.
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let daemon = Daemon::here()?;
        if let Some(pid) = settled(&daemon).await? {
            return already(pid);
        }
        let (mut child, begin) = daemon.start(&local::program()?)?;
        let client = RuntimeClient::new(daemon.socket());
        let began = Instant::now();
        loop {
            if child.try_wait().is_ok_and(|status| status.is_some()) {
                // Another may have been quicker: of two only one may run.
                return match settled(&daemon).await? {
                    Some(pid) => already(pid),
                    None => Err(died(&daemon, begin)),
                };
            }
            let written = daemon.named() == Some(child.id());
            if written && client.status().await.is_ok() {
                output::print(&format!("aegisd started (pid {})\n", child.id()))?;
                return Ok(ExitCode::Success);
            }
            // One that says something is on its way.
            let says = written || !daemon.said(begin, 1).is_empty();
            let bound = if says { ANSWERS_WITHIN } else { PID_WITHIN };
            if began.elapsed() >= bound {
                return Err(late(&daemon, &child, bound));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The pid of the daemon that runs, if one does. One that is starting is waited for.
async fn settled(daemon: &Daemon) -> Result<Option<u32>, Failure> {
    let began = Instant::now();
    loop {
        match daemon.state()? {
            State::Down => return Ok(None),
            State::Up(pid) => return Ok(Some(pid)),
            State::Starting if began.elapsed() < ANSWERS_WITHIN => tokio::time::sleep(LOOK_EVERY).await,
            State::Starting => {
                return Err(Failure::new(
                    ExitCode::DeadlineExceeded,
                    "another aegisd is starting and isn't ready",
                )
                .hint(format!("its log is {}", daemon.log().display())));
            }
        }
    }
}

fn already(pid: u32) -> Result<ExitCode, Failure> {
    output::print(&format!("aegisd is already running (pid {pid})\n"))?;
    Ok(ExitCode::Success)
}

fn died(daemon: &Daemon, begin: u64) -> Failure {
    let said = daemon.said(begin, LAST_LINES);
    let said = if said.is_empty() { "it said nothing" } else { &said };
    Failure::generic(format!("aegisd ended at its start:\n{said}"))
        .hint(format!("its log is {}; `aegis doctor` looks at this machine", daemon.log().display()))
}

fn late(daemon: &Daemon, child: &Child, bound: Duration) -> Failure {
    Failure::new(
        ExitCode::DeadlineExceeded,
        format!("aegisd (pid {}) lives and doesn't answer after {} s", child.id(), bound.as_secs()),
    )
    .hint(format!("`aegis status` asks again; its log is {}", daemon.log().display()))
}
