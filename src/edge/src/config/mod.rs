//! `aegis-config.yaml`: kind `NodeConfig`, or the bare block that begins with `cluster:`.

mod error;
mod own_tool;
mod read;
mod rewrite;
mod template;

use std::collections::BTreeMap;

use aegis_core::TenantId;
use aegis_kinds::SecurityContextSpec;
use aegis_wire::{CaFingerprint, Endpoint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use error::ConfigError;
pub use own_tool::OwnTool;
pub(crate) use own_tool::Piece;
pub(crate) use read::read_text;
pub use read::{load, parse};
pub use rewrite::{RewriteError, rewrite};
pub use template::{annotated, minimal};

/// The file as a manifest: `kind: NodeConfig`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeConfig {
    /// `aegis.dev/v1`.
    pub api_version: ApiVersion,
    /// `NodeConfig`.
    pub kind: KindName,
    /// The name and labels of the document; the daemon doesn't read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// What the node is.
    pub spec: NodeSpec,
}

/// The only version there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ApiVersion {
    /// Version 1.
    #[serde(rename = "aegis.dev/v1")]
    V1,
}

/// The kind of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum KindName {
    /// A host's own configuration.
    NodeConfig,
}

/// The name and labels of the document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Metadata {
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For selecting documents.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For people and tools.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What the node is. Also the whole of a bare file.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSpec {
    /// The node's part in a cluster.
    pub cluster: ClusterConfig,
}

/// The node's part in a cluster.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterConfig {
    /// The edge daemon of this host.
    pub edge: EdgeConfig,
}

/// The edge daemon of this host. `aegis edge enroll` fills in the first three.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EdgeConfig {
    /// The controller or relay, `host:port`.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// SHA-256 of the certificate authority that the controller's certificate must come from, in hex.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_fingerprint: Option<CaFingerprint>,
    /// The tenant that the host was enrolled into.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The host name to report; without it, the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the host says of itself, for selectors: `labels=region=home`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The tools to report; without it, those that are found on the PATH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_tools: Option<Vec<String>>,
    /// Connect without TLS. Only to a loopback address.
    #[serde(skip_serializing_if = "is_false")]
    pub plaintext: bool,
    /// What this host's owner allows at most. It can only narrow what the controller pushes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_policy: Option<SecurityContextSpec>,
    /// Where tools may touch files at most: absolute paths, each with all that is beneath it. Without it, wherever the
    /// security context lets them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_points: Option<Vec<String>>,
    /// Tools of this host's own, beside those that are built in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<OwnTool>,
    /// Whether this host takes apps, kits and secrets from the controller, for its `aegisd`; without it, it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apps: Option<bool>,
    /// How many tools may run at once; without it, 16.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_tools: Option<u16>,
    /// What the daemon writes to standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogConfig>,
}

/// How many tools run at once where the config doesn't say (2-protocol.md, "The stream").
const CONCURRENT_TOOLS: u16 = 16;

impl EdgeConfig {
    /// Whether the host takes apps, kits and secrets from the controller.
    pub fn takes_apps(&self) -> bool {
        self.apps.unwrap_or(true)
    }

    /// How many tools may run at once.
    pub fn concurrent_tools(&self) -> usize {
        usize::from(self.max_concurrent_tools.unwrap_or(CONCURRENT_TOOLS))
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// What the daemon writes to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LogConfig {
    /// From which level on.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what may.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And why.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level's name, as in the file and in a log filter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
