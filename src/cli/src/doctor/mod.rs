//! What this machine has of what Aegis uses, and what to do about the rest.

mod guest;
mod install;
mod machine;
mod text;
mod tools;

use aegis_wire::runtime::Status;
use serde::Serialize;

use crate::{failure::Failure, local::Daemon};

pub use text::text;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// How it is, in a line.
    pub detail: String,
    /// A command that makes it good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    fn good(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, ok: true, detail: detail.into(), fix: None }
    }
    fn bad(name: &'static str, detail: impl Into<String>, fix: Option<String>) -> Self {
        Self { name, ok: false, detail: detail.into(), fix }
    }
}

/// Everything.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Go, krunvm, libkrun and e2fsprogs, as the reference has them.
    pub tools: Vec<Finding>,
    /// Whether the daemon runs.
    pub running: bool,
    /// Why it can't be asked, if it runs and can't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// What backends need of this machine, and what daemons do.
    pub machine: Vec<Finding>,
}

/// Looks. `now_ms` is the wall clock.
pub async fn look(daemon: &Daemon, now_ms: i64) -> Result<Report, Failure> {
    use aegis_wire::runtime::{RuntimeClient, RuntimeError};
    let (status, unreachable) = match RuntimeClient::new(daemon.socket()).status().await {
        Ok(status) => (Some(status), None),
        Err(error) if error.code == RuntimeError::NOT_RUNNING => (None, None),
        Err(error) => (None, Some(error.message)),
    };
    let packages = install::Packages::here();
    let mut machine = vec![tools::kvm(), tools::qemu(&packages), tools::user_namespaces()];
    machine.extend(guest::assets());
    machine.push(tools::registry());
    machine.extend(machine::all(daemon, now_ms));
    Ok(Report {
        tools: tools::of_the_reference(&packages),
        running: status.is_some() || unreachable.is_some(),
        unreachable,
        status,
        machine,
    })
}
