//! Tools in lists.

use std::time::Duration;

use aegis_kinds::tool::ToolClass;
use serde::Serialize;

use super::convert::{Unreadable, all, each, typed};
use crate::proto;

/// A tool, and whether a host offers it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tool {
    /// Its name, such as `fs.read`.
    pub name: String,
    /// One line: what it does.
    pub summary: String,
    /// Whether it changes anything.
    pub class: ToolClass,
    /// Whether it may be run on many hosts at once.
    pub fleet_capable: bool,
    /// How long it may take where the caller doesn't say, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// A JSON Schema of its arguments.
    pub parameters: serde_json::Value,
    /// Whether the host's owner declared it.
    pub custom: bool,
    /// Why the host doesn't offer it; none: it does, or no host was named.
    pub unavailable: Option<String>,
}

impl Tool {
    /// How long it may take where the caller doesn't say.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }
}

impl From<Tool> for proto::Tool {
    fn from(from: Tool) -> Self {
        Self {
            name: from.name,
            summary: from.summary,
            class: from.class.to_string(),
            fleet_capable: from.fleet_capable,
            timeout_ms: from.timeout_ms.unwrap_or_default(),
            parameters: from.parameters.to_string().into(),
            custom: from.custom,
            unavailable: from.unavailable.unwrap_or_default(),
        }
    }
}

impl TryFrom<proto::Tool> for Tool {
    type Error = Unreadable;
    fn try_from(from: proto::Tool) -> Result<Self, Unreadable> {
        Ok(Self {
            class: typed("tool class", &from.class)?,
            parameters: serde_json::from_slice(&from.parameters)
                .map_err(|error| Unreadable::new("tool parameters", error))?,
            name: from.name,
            summary: from.summary,
            fleet_capable: from.fleet_capable,
            timeout_ms: Some(from.timeout_ms).filter(|time| *time > 0),
            custom: from.custom,
            unavailable: Some(from.unavailable).filter(|why| !why.is_empty()),
        })
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListTools {
    /// A host: id, unique prefix or unique name. None: what is built in.
    pub node: Option<String>,
}

pub(crate) fn tools_to_proto(tools: Vec<Tool>) -> proto::ListToolsResponse {
    proto::ListToolsResponse { tools: each(tools) }
}

pub(crate) fn tools_from_proto(tools: proto::ListToolsResponse) -> Result<Vec<Tool>, Unreadable> {
    all(tools.tools)
}
