//! A guest that runs, with all that it holds of the host.

use std::{path::PathBuf, sync::Arc, time::Duration};

use aegis_backend::{Guest, GuestError, Machine, guest::ExitFuture};
use aegis_image::Hold;
use tokio::task::JoinHandle;

use crate::{capacity::Room, workspace::Workspace};

/// What a guest has to end in by itself: SIGTERM, five seconds, SIGKILL, sync, off.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(9);
/// How long the rest of the output is waited for once the process has ended. A child that keeps the pipe open could
/// hold it for ever.
const REST_OF_OUTPUT: Duration = Duration::from_secs(2);

/// How long a machine may go on whose channel is closed.
const SILENT_FOR: Duration = Duration::from_secs(2);

/// A guest that runs. Dropping it kills its machine.
pub(crate) struct Live {
    /// The way to it.
    pub guest: Guest,
    /// The machine.
    pub machine: Arc<dyn Machine>,
    /// What waits for its main process. Taken by whoever waits.
    pub main: Option<Main>,
    /// Work that ends with it.
    pub _background: Vec<AbortOnDrop>,
    // What follows is given back in this order, after the machine.
    /// Its directory.
    pub _directory: RunDirectory,
    /// Its workspace.
    pub _workspace: Option<Workspace>,
    /// Its image.
    pub _hold: Option<Hold>,
    /// Its room.
    pub _room: Room,
}

/// The main process of a guest.
pub(crate) struct Main {
    pub exit: ExitFuture,
    pub output: Vec<JoinHandle<()>>,
}

/// How the main process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MainExit {
    pub code: i32,
    pub out_of_memory: bool,
}

impl Main {
    /// Waits for the end of the process and of its output.
    pub async fn wait(self) -> Result<MainExit, GuestError> {
        let exit = self.exit.await;
        let rest = futures::future::join_all(self.output);
        // What isn't there by then belongs to a process that was left behind.
        let _ = tokio::time::timeout(REST_OF_OUTPUT, rest).await;
        exit.map(|exit| MainExit { code: exit.code, out_of_memory: exit.out_of_memory })
    }
}

/// Ends a guest in good order, or else at once. Done when its machine is gone.
pub(crate) async fn shut_down(guest: &Guest, machine: &Arc<dyn Machine>) {
    let asked = guest.shutdown().is_ok();
    if asked && tokio::time::timeout(SHUTDOWN_WITHIN, machine.wait()).await.is_ok() {
        return;
    }
    kill(machine).await;
}

/// The end of a machine whose guest isn't heard any more: it ends by itself now, or is ended.
pub(crate) async fn end_of_silent(machine: &Arc<dyn Machine>) -> String {
    if let Ok(exit) = tokio::time::timeout(SILENT_FOR, machine.wait()).await {
        return exit.reason;
    }
    kill(machine).await;
    "its harness was heard no more".to_owned()
}

/// Ends a machine at once. Done when it is gone.
pub(crate) async fn kill(machine: &Arc<dyn Machine>) {
    if let Err(error) = machine.kill().await {
        tracing::warn!(%error, pid = machine.pid(), "a machine can't be killed");
    }
    machine.wait().await;
}

/// A task that ends when this is dropped.
pub(crate) struct AbortOnDrop(pub JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The directory of a machine, removed when this is dropped.
pub(crate) struct RunDirectory(pub PathBuf);

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "a directory stays behind until the next start");
        }
    }
}
