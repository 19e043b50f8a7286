//! kubectl. No name begins with a dash, so none can be taken for an option.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How `kubectl.get` shows what it found. Those that read templates from files of the host aren't among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KubectlOutput {
    /// Names only.
    Name,
    /// A table with more columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// `kubectl.get`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubectlGet {
    /// The kind of object, such as pods or deployments.apps.
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9.-]*$"))]
    pub resource: String,
    /// The object's name; without it, all of them.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_.:-]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace; without it, the default one.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Whether to look in every namespace.
    #[serde(default)]
    pub all_namespaces: bool,
    /// name, wide, json or yaml; without it, a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<KubectlOutput>,
}

/// `kubectl.describe`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubectlObject {
    /// The kind of object, such as pods or deployments.apps.
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9.-]*$"))]
    pub resource: String,
    /// The object's name; without it, all of them.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_.:-]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace; without it, the default one.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `kubectl.logs`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubectlLogs {
    /// The pod's name.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_.:-]*$"))]
    pub pod: String,
    /// The container, where the pod has several.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The namespace; without it, the default one.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// How many of the last lines.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
}

/// `kubectl.apply`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubectlApply {
    /// The manifest itself, in YAML or JSON.
    #[schemars(length(min = 1))]
    pub manifest: String,
    /// The namespace; without it, the manifest's, else the default one.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// `kubectl.delete`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubectlDelete {
    /// The kind of object, such as pods or deployments.apps.
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9.-]*$"))]
    pub resource: String,
    /// The object's name.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_.:-]*$"))]
    pub name: String,
    /// The namespace; without it, the default one.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What `kubectl.rollout` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RolloutAction {
    /// Waits for its end.
    Status,
    /// Restarts its pods.
    Restart,
    /// Goes back to the revision before.
    Undo,
}

/// `kubectl.rollout`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubectlRollout {
    /// status, restart or undo.
    pub action: RolloutAction,
    /// The kind of object, such as deployment or daemonset.
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9.-]*$"))]
    pub resource: String,
    /// The object's name.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_.:-]*$"))]
    pub name: String,
    /// The namespace; without it, the default one.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
