//! The JSON Schemas of manifests, from the Rust types.

use std::collections::BTreeMap;

use aegis_edge::config::{NodeConfig, NodeSpec};
use aegis_kinds::{API_VERSION, KINDS, spec_schema};
use schemars::JsonSchema;
use serde_json::{Value, json};

/// `aegis-config.yaml`: a manifest, or just what would be its spec.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is wanted")]
enum ConfigFile {
    Manifest(NodeConfig),
    Bare(NodeSpec),
}

/// The schema of documents of this kind; of whole files for any other name.
pub fn document_schema(kind: &str) -> Value {
    if kind == "NodeConfig" {
        return titled(json!(schemars::schema_for!(ConfigFile)), kind);
    }
    match spec_schema(kind) {
        Some(spec) => {
            let summary = KINDS.iter().find(|info| info.name == kind).map_or("", |info| info.summary);
            let mut spec = json!(spec);
            let definitions = spec.as_object_mut().and_then(|spec| spec.remove("$defs"));
            if let Some(spec) = spec.as_object_mut() {
                spec.remove("$schema");
                spec.remove("title");
            }
            let mut document = titled(document(kind, summary, &spec), kind);
            if let (Some(definitions), Some(document)) = (definitions, document.as_object_mut()) {
                document.insert("$defs".into(), definitions);
            }
            document
        }
        None => any_document(),
    }
}

/// Every schema by the name of its file, without `.json`.
pub fn all_schemas() -> BTreeMap<String, Value> {
    let names = KINDS.iter().map(|info| info.name).chain(["NodeConfig"]);
    let mut schemas: BTreeMap<String, Value> =
        names.map(|name| (name.to_owned(), document_schema(name))).collect();
    schemas.insert("manifest".into(), any_document());
    schemas
}

fn titled(mut schema: Value, title: &str) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".into(), json!(title));
    }
    schema
}

fn document(kind: &str, summary: &str, spec: &Value) -> Value {
    json!({
        "description": summary,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": { "const": API_VERSION, "description": "The version of this document's shape." },
            "kind": { "const": kind, "description": "What this document declares." },
            "metadata": {
                "type": "object",
                "description": "The object's name, and what people and tools attach to it.",
                "required": ["name"],
                "additionalProperties": false,
                "properties": {
                    "name": { "type": "string", "description": "Unique for the kind in a tenant." },
                    "labels": strings("For selecting and grouping objects; each entry has its own owner."),
                    "annotations": strings("For people and tools; Aegis reads only those under aegis.dev/."),
                }
            },
            "spec": spec,
        }
    })
}

fn strings(description: &str) -> Value {
    json!({ "type": "object", "description": description, "additionalProperties": { "type": "string" } })
}

/// A document of any kind: the kind decides which schema counts, so that an editor's message is about that one.
fn any_document() -> Value {
    let kinds: Vec<&str> = KINDS.iter().map(|info| info.name).collect();
    let cases: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            json!({
                "if": { "required": ["kind"], "properties": { "kind": { "const": kind } } },
                "then": { "$ref": format!("{kind}.json") }
            })
        })
        .collect();
    titled(
        json!({
            "description": "A document of an Aegis manifest.",
            "type": "object",
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "properties": { "apiVersion": { "const": API_VERSION }, "kind": { "enum": kinds } },
            "allOf": cases,
        }),
        "Aegis manifest",
    )
}
