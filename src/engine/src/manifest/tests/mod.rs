//! Two small kinds to test the reading with, and what the tests share.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod broken;
mod hostile;
mod reading;
mod refined;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Error;

use super::{Decoder, Diagnostics, Document, Header, Sources, decode_document, load};

/// A kind of every shape that a field may have.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Node {
    #[serde(default)]
    tags: Vec<Tag>,
    display_name: Option<String>,
    #[serde(default)]
    drain: bool,
    port: Option<u16>,
    scope: Option<Scope>,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    vars: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    tools: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Scope {
    Workspace,
    App(String),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
struct Tag(String);

impl TryFrom<String> for Tag {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.contains(' ') { Err(format!("'{text}' is not a valid tag")) } else { Ok(Self(text)) }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    selector: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Spec {
    Node(Node),
    Group(Group),
}

struct Kinds;

impl Decoder for Kinds {
    type Spec = Spec;
    fn kinds(&self) -> &[&'static str] {
        &["EdgeNode", "EdgeGroup"]
    }
    fn decode(&self, kind: &'static str, document: &str) -> Result<(Header, Spec), Error> {
        match kind {
            "EdgeNode" => decode_document(document).map(|(header, spec)| (header, Spec::Node(spec))),
            _ => decode_document(document).map(|(header, spec)| (header, Spec::Group(spec))),
        }
    }
}

fn load_texts(texts: &[(&str, &[u8])]) -> Result<Vec<Document<Spec>>, Diagnostics> {
    load(&Sources::from_texts(texts.iter().copied())?, &Kinds)
}

fn load_text(text: &str) -> Result<Vec<Document<Spec>>, Diagnostics> {
    load_texts(&[("fleet.yaml", text.as_bytes())])
}

/// A faultless group.
fn group(name: &str, selector: &str) -> String {
    format!(
        "---\napiVersion: aegis.dev/v1\nkind: EdgeGroup\nmetadata:\n  name: {name}\nspec:\n  selector: {selector}\n"
    )
}
