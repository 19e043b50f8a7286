//! `GET /v1/status`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the daemon is and what it can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The backend that is used when nobody says otherwise: `qemu`, `libkrun` or `namespaces`.
    pub backend: String,
    /// How it runs, where that matters: `tcg` or `kvm` for QEMU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<String>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Every backend, usable or not.
    pub backends: Vec<BackendStatus>,
    /// How many kits are installed.
    pub kits: u64,
    /// How many instances aren't stopped.
    pub instances: u64,
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where the router listens, such as `http://127.0.0.1:8099`.
    pub router: String,
}

/// What a backend can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[allow(clippy::struct_excessive_bools, reason = "each is a capability of its own")]
pub struct Capabilities {
    /// Instances can be paused.
    pub pause_resume: bool,
    /// Memory can be saved and cloned.
    pub memory_snapshots: bool,
    /// It boots from disk images that instances share.
    pub boot_from_disk_layers: bool,
    /// The guest has a kernel of its own.
    pub is_vm: bool,
}

/// One backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendStatus {
    /// Its name.
    pub name: String,
    /// Whether it works on this machine.
    pub usable: bool,
    /// How, or why not, in one line.
    pub reason: String,
    /// What would make it usable: a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
