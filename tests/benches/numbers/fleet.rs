//! Ten thousand manifest documents of all three kinds, about 250 bytes each, and the bare parse of them: the same
//! YAML crate, into typed structs, without bounds, on one core.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Deserialize;

use crate::nodes;

/// Which hosts' documents a manifest of `objects` documents has: every third.
pub fn hosts(objects: usize) -> usize {
    objects.div_ceil(3)
}

/// The manifest. `changed` names a document whose content differs from what it is otherwise.
pub fn manifest(objects: usize, changed: Option<usize>) -> String {
    let mut text = String::new();
    for index in 0..objects {
        let number = index / 3;
        let note = if changed == Some(index) { "changed" } else { "kept" };
        let (kind, name) = match index % 3 {
            0 => ("EdgeNode", nodes::name(number)),
            1 => ("EdgeGroup", format!("group-{number:05}")),
            _ => ("SecurityContext", format!("context-{number:05}")),
        };
        let zone = index % 7;
        write!(
            text,
            "---\napiVersion: aegis.dev/v1\nkind: {kind}\nmetadata:\n  name: {name}\n  labels:\n    tier: web\n    \
             zone: \"z{zone}\"\n  annotations:\n    note: {note}\nspec:\n"
        )
        .unwrap();
        match index % 3 {
            0 => writeln!(text, "  tags: [prod, web, rack-{}]\n  displayName: Host {number:05}", number % 40),
            1 => writeln!(
                text,
                "  selector: tags=prod,rack-{} os=linux labels=region=eu-{zone}\n  pinned:\n    - {}\n    - {}",
                number % 40,
                nodes::name(number),
                nodes::name((number + 1) % hosts(objects)),
            ),
            _ => writeln!(
                text,
                "  capabilities:\n    - tools: [fs.read, fs.list]\n      paths: [/srv/app-{number:05}, /var/log]\n    \
                 - tools: [shell]\n      commands: [systemctl, journalctl]\n      rateLimit: 10/m\n  deny: [net.*]"
            ),
        }
        .unwrap();
    }
    text
}

/// A document of any of the kinds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "what counts is that it is read")]
pub struct Bare {
    api_version: String,
    kind: String,
    metadata: BareMetadata,
    spec: BareSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "what counts is that it is read")]
struct BareMetadata {
    name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "what counts is that it is read")]
struct BareSpec {
    tags: Option<Vec<String>>,
    display_name: Option<String>,
    selector: Option<String>,
    pinned: Option<Vec<String>>,
    capabilities: Option<Vec<BareCapability>>,
    deny: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "what counts is that it is read")]
struct BareCapability {
    tools: Vec<String>,
    paths: Option<Vec<String>>,
    commands: Option<Vec<String>>,
    rate_limit: Option<String>,
}

/// Parses all documents, and nothing more.
pub fn bare_parse(text: &str) -> Vec<Bare> {
    let options = serde_saphyr::options! { budget: None };
    serde_saphyr::from_multiple_with_options(text, options).expect("a manifest that can be parsed")
}
