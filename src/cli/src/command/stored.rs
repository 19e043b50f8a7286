//! A stored object as commands show it.

use std::collections::HashMap;

use aegis_core::{Kind, Meta, NodeId, Revision, ownership::Owners};
use aegis_engine::realm::{Host, Object};
use aegis_kinds::EdgeNode;
use serde::Serialize;

use crate::failure::Failure;

/// One object, as `get` and `describe` show it.
#[derive(Debug, Serialize)]
pub struct StoredObject {
    /// The kind.
    pub kind: String,
    /// The name; for a host its node id.
    pub name: String,
    /// The host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Of its last write; 0: a host of which nothing was ever declared.
    pub revision: Revision,
    /// Labels and annotations.
    #[serde(flatten)]
    pub meta: Meta,
    /// What is declared.
    pub spec: serde_json::Value,
    /// Whose the elements are.
    pub owners: Owners,
}

impl StoredObject {
    /// Of what was read.
    pub fn new(object: &Object, hosts: &HashMap<String, String>) -> Result<Self, Failure> {
        let unreadable = |reason: String| {
            Failure::generic(format!("{} can't be read: {reason}", object.key))
                .hint("the controller is newer than this program, or its store is damaged")
        };
        let (spec, meta, owners) = aegis_kinds::export(&object.key.kind, &object.body)
            .map_err(|error| unreadable(error.to_string()))?
            .ok_or_else(|| unreadable("it is empty".into()))?;
        let mut spec = serde_json::to_value(&spec).map_err(|error| unreadable(error.to_string()))?;
        Ok(Self {
            kind: object.key.kind.to_string(),
            name: object.key.name.clone(),
            host: hosts.get(&object.key.name).filter(|_| object.key.kind == EdgeNode::NAME).cloned(),
            revision: object.revision,
            meta,
            spec: spec.get_mut("spec").map(serde_json::Value::take).unwrap_or_default(),
            owners,
        })
    }

    /// How people call it.
    pub fn title(&self) -> &str {
        self.host.as_deref().unwrap_or(&self.name)
    }

    /// `tags[prod], displayName`
    pub fn elements(&self) -> String {
        let elements: Vec<String> = self.owners.keys().map(ToString::to_string).collect();
        elements.join(", ")
    }

    /// Everybody who owns something of it, each once.
    pub fn owner_names(&self) -> Vec<String> {
        let mut names: Vec<&str> = self.owners.values().flatten().map(aegis_core::Owner::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(str::to_owned).collect()
    }
}

/// Host names by node id.
pub fn host_names(hosts: Vec<Host>) -> HashMap<String, String> {
    hosts.into_iter().map(|host| (NodeId::to_string(&host.id), host.name)).collect()
}
