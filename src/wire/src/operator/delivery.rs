//! How hosts stand with the apps, kits and secrets that have a target.

use aegis_core::{NodeId, ObjectKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::convert::{Unreadable, optional, text, typed};
use crate::{edge::ReportPhase, proto};

/// Which are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListDeliveries {
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this name.
    pub name: Option<String>,
}

impl From<ListDeliveries> for proto::ListDeliveriesRequest {
    fn from(from: ListDeliveries) -> Self {
        Self { kind: from.kind.unwrap_or_default(), name: from.name.unwrap_or_default() }
    }
}

impl From<proto::ListDeliveriesRequest> for ListDeliveries {
    fn from(from: proto::ListDeliveriesRequest) -> Self {
        let said = |text: String| (!text.is_empty()).then_some(text);
        Self { kind: said(from.kind), name: said(from.name) }
    }
}

/// How one host stands with one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Which object.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Which host.
    pub node_id: NodeId,
    /// Its name.
    pub node_name: String,
    /// What it says; none: it hasn't said anything of the object as it is declared now.
    pub phase: Option<ReportPhase>,
    /// Why, in one line.
    pub message: String,
    /// When it said so.
    pub since: Option<Timestamp>,
}

impl From<Delivery> for proto::Delivery {
    fn from(from: Delivery) -> Self {
        Self {
            kind: from.key.kind.into_owned(),
            name: from.key.name,
            node_id: from.node_id.into(),
            node_name: from.node_name,
            phase: text(from.phase.as_ref()),
            message: from.message,
            since: text(from.since.as_ref()),
        }
    }
}

impl TryFrom<proto::Delivery> for Delivery {
    type Error = Unreadable;
    fn try_from(from: proto::Delivery) -> Result<Self, Unreadable> {
        Ok(Self {
            key: ObjectKey::new(from.kind, from.name),
            node_id: typed("node id", &from.node_id)?,
            node_name: from.node_name,
            phase: optional("phase", &from.phase)?,
            message: from.message,
            since: optional("time", &from.since)?,
        })
    }
}
