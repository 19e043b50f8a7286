//! An edge daemon's process.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{
    process::Process,
    program::Program,
    wait::{SOON, eventually},
};

/// A running edge daemon.
#[derive(Debug)]
pub struct Daemon {
    /// Its process.
    pub process: Process,
    /// Its config; its state is in the same folder.
    pub config: PathBuf,
}

impl Daemon {
    /// Starts the daemon of an enrolled host, and doesn't wait for it to connect.
    pub fn start(program: &Program, config: &Path) -> Self {
        let process = program.start(&format!("edge run --config {}", config.display()));
        Self { process, config: config.to_owned() }
    }

    /// The status that it wrote last, once it has written one.
    pub fn status(&self) -> Option<Value> {
        let text = std::fs::read_to_string(self.config.with_file_name("status.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Waits until it says that it is `status`.
    #[track_caller]
    pub fn wait_for(&mut self, status: &str) {
        eventually(&format!("the daemon is {status}"), SOON, || {
            let ended = self.process.ended();
            assert!(ended.is_none(), "the daemon ended ({ended:?}): {}", self.process.stderr());
            let of_this_process =
                |found: &Value| found["status"] == status && found["pid"] == self.process.id();
            self.status().filter(of_this_process).map(drop)
        });
    }
}
