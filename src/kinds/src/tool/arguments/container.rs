//! Docker. No name begins with a dash, so none can be taken for an option.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `docker.ps`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerPs {
    /// Whether to list those that don't run, too.
    #[serde(default)]
    pub all: bool,
}

/// `docker.logs`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerLogs {
    /// The container's name or id.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]*$"))]
    pub container: String,
    /// How many of the last lines.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
}

/// `docker.inspect`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerInspect {
    /// The name or id of a container, an image, a network or a volume.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_./:@-]*$"))]
    pub name: String,
}

/// `docker.start`, `docker.stop` and `docker.restart`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerContainer {
    /// The container's name or id.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]*$"))]
    pub container: String,
}

/// `docker.exec`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerExec {
    /// The container's name or id.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]*$"))]
    pub container: String,
    /// The program and its arguments.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
}

/// `docker.pull`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerPull {
    /// The image, such as nginx:1.29.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_./:@-]*$"))]
    pub image: String,
}

/// `docker.run`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerRun {
    /// The image, such as nginx:1.29.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_./:@-]*$"))]
    pub image: String,
    /// The program and its arguments; without it, the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// What to call the container.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The container's environment variables.
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Whether to leave it running, and give its id. Else it is removed once it ends.
    #[serde(default)]
    pub detach: bool,
}
