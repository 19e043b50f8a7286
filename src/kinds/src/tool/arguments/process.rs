//! Programs, scripts, services, and the daemon itself.

use std::collections::BTreeMap;

use aegis_core::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `cmd.run`: a program with its arguments, or a command line through `sh -c`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "oneOf" = [{"required": ["command"]}, {"required": ["cmd"]}],
    "dependentRequired" = {"args": ["command"]}
))]
pub struct Run {
    /// The program: a name, looked for in the system's usual directories, or an absolute path.
    #[schemars(regex(pattern = r"^(/[^\x00]*|[^/\x00]+)$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The program's arguments, each as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// A command line for `sh -c`, instead of command and args. It needs the command `sh` to be granted.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    /// The directory to run in: an absolute path.
    #[schemars(regex(pattern = r"^/[^\x00]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Environment variables, besides the few that every program gets.
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What the program reads from its standard input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
}

/// `shell`: a script through `sh -c`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shell {
    /// The script.
    #[schemars(length(min = 1))]
    pub script: String,
    /// The directory to run in: an absolute path.
    #[schemars(regex(pattern = r"^/[^\x00]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Environment variables, besides the few that every program gets.
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What the script reads from its standard input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
}

/// `service.*`: one service of the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The service's name, such as nginx, or whole, such as php8.2-fpm.service: no other units.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_@:\\]([A-Za-z0-9_@:\\-]*|[A-Za-z0-9_@:.\\-]*\.service)$"))]
    pub name: String,
    /// Whether it is a service of the daemon's own user, not of the system.
    #[serde(default)]
    pub user: bool,
}

/// Of a tool that takes no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// `edge.keys.rotate`: a new key for the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeysRotate {
    /// How long the old key is kept on the host, such as 24h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_old: Option<HumanDuration>,
}
