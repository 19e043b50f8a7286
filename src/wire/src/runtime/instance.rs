//! Instances: a guest with one long-running process.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::task::RunOptions;

/// A port of the guest, and the port on the host's loopback that leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expose {
    /// The guest's port.
    pub guest: u16,
    /// The host's; none: a free one, which stays the same over pause and restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<u16>,
}

/// `POST /v1/instances`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInstance {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The image; without it the base image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What can be reached from outside.
    #[serde(default)]
    pub expose: Vec<Expose>,
    /// How its guest is made.
    #[serde(default)]
    pub options: RunOptions,
}

/// `POST /v1/apps/{app}/serve`. 201 with a new instance, 200 with the one that runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Serve {
    /// Whether to wait until it is ready or has failed.
    pub wait: bool,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Its id: `inst-…`.
    pub id: String,
    /// Where it stands.
    pub state: InstanceState,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// The app's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Of which release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_id: Option<String>,
    /// What it runs.
    pub command: Vec<String>,
    /// In which image; none: the base image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The guest's ports that can be reached.
    pub expose_ports: Vec<u16>,
    /// Where they can be reached.
    pub endpoints: Vec<Endpoint>,
    /// Connections through the router and the ports, now.
    pub connections: u64,
    /// By which backend.
    pub backend: String,
    /// When it was asked for.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// When it was last used.
    #[schemars(with = "String")]
    pub last_active_at: Timestamp,
    /// How its process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether it is stopped only until somebody asks for it: it was idle, or the daemon restarted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wakes: bool,
    /// Why it is stopped or didn't start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Where a port can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// The guest's port.
    pub guest: u16,
    /// Where it is on the host: `127.0.0.1:40001`.
    pub address: String,
}

/// Where an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// It boots.
    Starting,
    /// Its process runs.
    Running,
    /// Its CPUs are stopped; a request wakes it.
    Paused,
    /// It has no guest. Its record and logs are there.
    Stopped,
}

impl InstanceState {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// `POST /v1/instances/{id}/exec`. As `application/json` without an input; as `application/x-ndjson`, the first line is this, and
/// [`ExecInput`]s follow as they come. The answer is a stream of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Variables, over those of the instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Whether it has a terminal, and of which size: rows and columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<(u16, u16)>,
}

/// What goes into an exec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ExecInput {
    /// Bytes for its standard input, base64.
    Stdin(String),
    /// Its standard input is at its end.
    Eof(bool),
    /// Its terminal has another size: rows and columns.
    Resize(u16, u16),
    /// A signal for it, by number.
    Signal(i32),
}
