//! Stored objects as manifests: `export` then `diff` is empty.

use aegis_core::{Meta, ObjectKey};
use aegis_kinds::{API_VERSION, PlanError, Spec};
use serde::Serialize;

/// A manifest document, ready to be written as YAML or JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// Always [`API_VERSION`].
    pub api_version: &'static str,
    /// The kind, and beside it the spec.
    pub kind: &'static str,
    /// Name, labels and annotations.
    pub metadata: Metadata,
    /// The spec.
    pub spec: serde_json::Value,
}

/// A document's `metadata`.
#[derive(Debug, Clone, Serialize)]
pub struct Metadata {
    /// The object's name.
    pub name: String,
    /// Labels and annotations.
    #[serde(flatten)]
    pub meta: Meta,
}

impl Document {
    /// The document that declares `spec` under `name`.
    pub fn new(name: &str, spec: &Spec, meta: Meta) -> Result<Self, serde_json::Error> {
        let mut tagged = serde_json::to_value(spec)?;
        Ok(Self {
            api_version: API_VERSION,
            kind: spec.kind(),
            metadata: Metadata { name: name.to_owned(), meta },
            spec: tagged.get_mut("spec").map(serde_json::Value::take).unwrap_or_default(),
        })
    }

    /// The document of a stored object; `None` when it has no body.
    pub fn of_stored(key: &ObjectKey, body: &[u8]) -> Result<Option<Self>, PlanError> {
        let Some((spec, meta, _)) = aegis_kinds::export(&key.kind, body)? else { return Ok(None) };
        let kind = spec.kind();
        Self::new(&key.name, &spec, meta)
            .map(Some)
            .map_err(|error| PlanError::Unreadable { kind, reason: error.to_string() })
    }
}
