//! Nodes in lists and targets.

use std::{collections::BTreeMap, fmt, str::FromStr};

use aegis_core::{NodeId, TenantId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::convert::{Unreadable, all, each, optional, text, time, typed};
use crate::proto;

/// Which nodes to list; all conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListNodes {
    /// Tags that a node must have.
    pub tags: Vec<String>,
    /// Labels that a node must have, with these values.
    pub labels: BTreeMap<String, String>,
    /// Only connected nodes.
    pub connected: bool,
}

impl From<ListNodes> for proto::ListNodesRequest {
    fn from(from: ListNodes) -> Self {
        Self { tags: from.tags, labels: from.labels, connected: from.connected }
    }
}

impl From<proto::ListNodesRequest> for ListNodes {
    fn from(from: proto::ListNodesRequest) -> Self {
        Self { tags: from.tags, labels: from.labels, connected: from.connected }
    }
}

/// A node's state in listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum NodeStatus {
    /// Its stream is live.
    Connected,
    /// It isn't there.
    Disconnected,
    /// Its stream is live, and it refuses new work.
    Draining,
    /// It may never come back.
    Revoked,
}

impl NodeStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Connected, Self::Disconnected, Self::Draining, Self::Revoked];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "Connected",
            Self::Disconnected => "Disconnected",
            Self::Draining => "Draining",
            Self::Revoked => "Revoked",
        }
    }
}

impl fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for NodeStatus {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is no status"))
    }
}

/// An enrolled host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its id.
    pub node_id: NodeId,
    /// Its name, unique in the tenant.
    pub name: String,
    /// How it is.
    pub status: NodeStatus,
    /// Whether its stream is live.
    pub connected: bool,
    /// `linux`, `macos` or `windows`.
    pub os: String,
    /// `x86_64` or `aarch64`.
    pub arch: String,
    /// Its tags, which operators set.
    pub tags: Vec<String>,
    /// Its labels, which its own config sets.
    pub labels: BTreeMap<String, String>,
    /// The last change of status.
    pub since: Timestamp,
    /// The last heartbeat, if there was one.
    pub last_heartbeat_at: Option<Timestamp>,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// Programs that it offers.
    pub local_tools: Vec<String>,
    /// What people call it, if anything else.
    pub display_name: Option<String>,
    /// Whose it is.
    pub tenant: TenantId,
    /// The daemon's version.
    pub version: String,
    /// Its key's fingerprint, `SHA256:…`.
    pub key_fingerprint: String,
    /// What the host calls itself.
    pub hostname: String,
    /// Whether the host itself says that it takes no new work; `status` says so as soon as it is declared.
    pub draining: bool,
}

impl From<Node> for proto::Node {
    fn from(from: Node) -> Self {
        Self {
            node_id: from.node_id.into(),
            name: from.name,
            status: from.status.to_string(),
            connected: from.connected,
            os: from.os,
            arch: from.arch,
            local_tools: from.local_tools,
            labels: from.labels,
            tags: from.tags,
            since: from.since.to_string(),
            last_heartbeat_at: text(from.last_heartbeat_at.as_ref()),
            enrolled_at: from.enrolled_at.to_string(),
            display_name: from.display_name.unwrap_or_default(),
            tenant: from.tenant.into(),
            version: from.version,
            key_fingerprint: from.key_fingerprint,
            hostname: from.hostname,
            draining: from.draining,
        }
    }
}

impl TryFrom<proto::Node> for Node {
    type Error = Unreadable;
    fn try_from(from: proto::Node) -> Result<Self, Unreadable> {
        Ok(Self {
            node_id: typed("node id", &from.node_id)?,
            name: from.name,
            status: typed("status", &from.status)?,
            connected: from.connected,
            os: from.os,
            arch: from.arch,
            tags: from.tags,
            labels: from.labels,
            since: time("time", &from.since)?,
            last_heartbeat_at: optional("time", &from.last_heartbeat_at)?,
            enrolled_at: time("time", &from.enrolled_at)?,
            local_tools: from.local_tools,
            display_name: Some(from.display_name).filter(|name| !name.is_empty()),
            tenant: typed("tenant", &from.tenant)?,
            version: from.version,
            key_fingerprint: from.key_fingerprint,
            hostname: from.hostname,
            draining: from.draining,
        })
    }
}

/// Why a node that a target means isn't dispatched to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// It isn't there.
    Disconnected,
    /// It refuses new work.
    Draining,
    /// It may never come back.
    Revoked,
}

impl SkipReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Disconnected, Self::Draining, Self::Revoked];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Draining => "draining",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for SkipReason {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|reason| reason.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is no reason to skip a node"))
    }
}

/// A node that a target means and that isn't dispatched to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its id.
    pub node_id: NodeId,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: SkipReason,
}

impl From<Skipped> for proto::Skipped {
    fn from(from: Skipped) -> Self {
        Self { node_id: from.node_id.into(), name: from.name, reason: from.reason.to_string() }
    }
}

impl TryFrom<proto::Skipped> for Skipped {
    type Error = Unreadable;
    fn try_from(from: proto::Skipped) -> Result<Self, Unreadable> {
        Ok(Self {
            node_id: typed("node id", &from.node_id)?,
            name: from.name,
            reason: typed("reason", &from.reason)?,
        })
    }
}

/// The nodes that a target means, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Resolution {
    /// Those that would be dispatched to.
    pub nodes: Vec<Node>,
    /// Those that wouldn't.
    pub skipped: Vec<Skipped>,
}

impl From<Resolution> for proto::ResolveTargetResponse {
    fn from(from: Resolution) -> Self {
        Self { nodes: each(from.nodes), skipped: each(from.skipped) }
    }
}

impl TryFrom<proto::ResolveTargetResponse> for Resolution {
    type Error = Unreadable;
    fn try_from(from: proto::ResolveTargetResponse) -> Result<Self, Unreadable> {
        Ok(Self { nodes: all(from.nodes)?, skipped: all(from.skipped)? })
    }
}

/// Ends a node's daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownNode {
    /// Its id, a unique prefix of it, or its name.
    pub node: String,
    /// Why, for the daemon's log.
    pub reason: String,
}
