//! A machine that runs in QEMU.

use std::{io, os::unix::process::ExitStatusExt};

use futures::future::BoxFuture;
use serde_json::json;

use super::qmp::Qmp;
use crate::{
    machine::{Machine, MachineExit},
    process::Process,
};

/// The machine.
#[derive(Debug)]
pub(super) struct QemuMachine {
    process: Process,
    qmp: Qmp,
}

impl QemuMachine {
    pub(super) fn new(process: Process, qmp: Qmp) -> Self {
        Self { process, qmp }
    }

    async fn end(&self) -> MachineExit {
        let status = self.process.wait().await;
        let console = self.process.console().finished().await;
        let panicked = console.lines().rev().find(|line| line.contains("Kernel panic"));
        let shutdown = self.qmp.events().shutdown;
        let (clean, reason) = match (shutdown.as_deref(), panicked) {
            (_, Some(line)) => (false, line.trim().to_owned()),
            // The harness ends a guest by a restart, which works without ACPI and ends QEMU. A panic restarts too, and is
            // told by its line.
            (Some("guest-shutdown" | "guest-reset"), None) => (true, "the guest powered off".to_owned()),
            _ if status.signal() == Some(libc::SIGKILL) => (false, "it was killed".to_owned()),
            _ => (false, format!("qemu ended with {status}: {}", console.lines().last().unwrap_or_default())),
        };
        MachineExit { clean, reason }
    }
}

impl Machine for QemuMachine {
    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn pause(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async { self.qmp.execute("stop", json!({})).await.map(drop) })
    }

    fn resume(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async { self.qmp.execute("cont", json!({})).await.map(drop) })
    }

    fn kill(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async {
            self.process.kill()?;
            self.process.wait().await;
            Ok(())
        })
    }

    fn wait(&self) -> BoxFuture<'_, MachineExit> {
        Box::pin(self.end())
    }

    fn console(&self) -> String {
        self.process.console().text()
    }
}
