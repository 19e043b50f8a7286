//! `aegis status`

use aegis_core::ExitCode;
use aegis_wire::runtime::{RuntimeError, Status};
use serde::Serialize;

use crate::{
    failure::Failure,
    fleet::visible,
    local::{self, Daemon, State},
    output::OutputArgs,
};

/// Show whether aegisd runs, and by what it runs guests
///
/// Exits with 1 when it doesn't run.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

/// Whether it runs, and what it says.
#[derive(Debug, Serialize)]
struct Shown {
    running: bool,
    #[serde(flatten)]
    status: Option<Status>,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let status = match local::client()?.status().await {
            Ok(status) => Some(status),
            Err(error) if error.code == RuntimeError::NOT_RUNNING => {
                // It may be on its way.
                if Daemon::here()?.state()? != State::Down {
                    return Err(Failure::generic("aegisd doesn't listen yet, or no more")
                        .hint("it is starting or stopping; try again"));
                }
                None
            }
            Err(error) => return Err(error.into()),
        };
        let shown = Shown { running: status.is_some(), status };
        self.output.show(&shown, text)?;
        Ok(if shown.running { ExitCode::Success } else { ExitCode::Generic })
    }
}

fn text(shown: &Shown) -> String {
    let Some(status) = &shown.status else { return "aegisd: not running\n".to_owned() };
    let mut text = format!("aegisd: running\nbackend: {}\n", visible(&status.backend));
    if let Some(accelerator) = &status.accelerator {
        text += &format!("accelerator: {}\n", visible(accelerator));
    }
    if !status.capabilities.is_vm {
        text += "isolation: no VM, this machine's kernel is shared\n";
    }
    text += &format!(
        "router: {}\ninstances: {}\nkits: {}\nversion: {}\npid: {}\n",
        visible(&status.router),
        status.instances,
        status.kits,
        visible(&status.version),
        status.pid
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_are_those_of_the_reference() {
        let status: Status = serde_json::from_value(serde_json::json!({
            "backend": "qemu", "accelerator": "tcg", "backends": [], "kits": 2, "instances": 0,
            "version": "0.1.0", "pid": 48201, "router": "http://127.0.0.1:8099",
            "capabilities": {"pause_resume": true, "memory_snapshots": true,
                             "boot_from_disk_layers": true, "is_vm": true},
        }))
        .unwrap();
        let mut shown = Shown { running: true, status: Some(status) };
        assert_eq!(
            text(&shown),
            "aegisd: running\nbackend: qemu\naccelerator: tcg\nrouter: http://127.0.0.1:8099\ninstances: 0\nkits: 2\nversion: 0.1.0\npid: 48201\n"
        );
        if let Some(status) = &mut shown.status {
            status.capabilities.is_vm = false;
        }
        assert!(text(&shown).contains("isolation: no VM"));
        assert_eq!(text(&Shown { running: false, status: None }), "aegisd: not running\n");
    }
}
