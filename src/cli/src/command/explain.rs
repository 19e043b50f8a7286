//! `aegis explain`

use aegis_core::{ExitCode, nearest::nearest};
use aegis_kinds::KINDS;
use serde_json::Value;

use super::kind_arg::kind;
use crate::{failure::Failure, output, schema};

/// Explain a kind, or one of its fields
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis explain EdgeGroup                  what it is, its fields, an example
  aegis explain EdgeGroup.spec.selector    one field
  aegis explain SecurityContext.spec.capabilities")]
pub struct Args {
    /// The kind, or a path into it; without it, all kinds
    #[arg(value_name = "KIND[.PATH]")]
    path: Option<String>,
}

impl Args {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let text = match &self.path {
            None => all_kinds(),
            Some(path) => explain(path)?,
        };
        output::print(&text)?;
        Ok(ExitCode::Success)
    }
}

fn all_kinds() -> String {
    let rows =
        KINDS.iter().map(|info| [info.name.to_owned(), info.aliases.join(", "), info.summary.to_owned()]);
    output::table(["KIND", "ALSO", "WHAT IT IS"], rows)
}

fn explain(path: &str) -> Result<String, Failure> {
    let mut parts = path.split('.');
    let info = kind(parts.next().unwrap_or_default())?;
    let document = schema::document_schema(info.name);
    let mut node = &document;
    let mut walked = info.name.to_owned();
    for part in parts {
        let fields = fields_of(&document, node);
        let found = fields.iter().find(|(name, _)| *name == part);
        let Some((name, child)) = found else {
            let failure = Failure::invalid(format!("{walked} has no field '{part}'"));
            return Err(match nearest(part, fields.iter().map(|(name, _)| *name)) {
                Some(near) => failure.hint(format!("did you mean '{near}'?")),
                None => failure.hint(format!("`aegis explain {walked}` lists its fields")),
            });
        };
        walked = format!("{walked}.{name}");
        node = child;
    }
    let mut text = format!("{walked} <{}>\n", type_of(&document, node));
    let what = if walked == info.name { Some(info.summary) } else { description(&document, node) };
    text += &what.map(|what| format!("\n  {}\n", what.replace('\n', "\n  "))).unwrap_or_default();
    let fields = fields_of(&document, node);
    if !fields.is_empty() {
        text += "\nFIELDS\n";
        let required = body_of(&document, node).get("required").and_then(Value::as_array);
        for (name, field) in fields {
            let must = required.is_some_and(|list| list.iter().any(|r| r == name));
            let must = if must { ", required" } else { "" };
            text += &format!("  {name} <{}{must}>\n", type_of(&document, field));
            if let Some(what) = description(&document, field) {
                text += &format!("    {}\n", what.replace('\n', "\n    "));
            }
        }
    }
    if walked == info.name {
        text += &format!("\nEXAMPLE\n  {}\n", info.example.trim_end().replace('\n', "\n  "));
    }
    Ok(text)
}

/// The schema that `node` stands for: behind a reference, a nullable, or a list.
fn resolve<'a>(document: &'a Value, node: &'a Value) -> &'a Value {
    if let Some(name) = node.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/")) {
        return resolve(document, &document["$defs"][name]);
    }
    let some = node.get("anyOf").and_then(Value::as_array);
    if let Some(some) = some.and_then(|all| all.iter().find(|one| one["type"] != "null")) {
        return resolve(document, some);
    }
    node
}

/// What has the fields: the schema itself, or that of a list's entries.
fn body_of<'a>(document: &'a Value, node: &'a Value) -> &'a Value {
    let node = resolve(document, node);
    node.get("items").map_or(node, |items| resolve(document, items))
}

fn fields_of<'a>(document: &'a Value, node: &'a Value) -> Vec<(&'a str, &'a Value)> {
    let fields = body_of(document, node).get("properties").and_then(Value::as_object);
    fields
        .map(|fields| fields.iter().map(|(name, field)| (name.as_str(), field)).collect())
        .unwrap_or_default()
}

fn description<'a>(document: &'a Value, node: &'a Value) -> Option<&'a str> {
    let own = node.get("description").and_then(Value::as_str);
    own.or_else(|| resolve(document, node).get("description").and_then(Value::as_str))
}

fn type_of(document: &Value, node: &Value) -> String {
    let node = resolve(document, node);
    if let Some(constant) = node.get("const").and_then(Value::as_str) {
        return format!("\"{constant}\"");
    }
    let name = match node.get("type") {
        Some(Value::String(name)) => name.as_str(),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|n| *n != "null").unwrap_or("any")
        }
        _ => "any",
    };
    match (name, node.get("items")) {
        ("array", Some(items)) => format!("list of {}", type_of(document, items)),
        ("object", _) if node.get("properties").is_none() => "map".into(),
        (name, _) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_and_its_fields_are_explained() {
        let text = explain("edgegroup").unwrap();
        assert!(text.starts_with("EdgeGroup <object>"), "{text}");
        assert!(text.contains("spec <object, required>"), "{text}");
        let text = explain("EdgeGroup.spec.pinned").unwrap();
        assert!(text.starts_with("EdgeGroup.spec.pinned <list of string>"), "{text}");
        let text = explain("SecurityContext.spec.capabilities").unwrap();
        assert!(text.contains("tools <list of string, required>"), "{text}");
    }

    #[test]
    fn a_field_that_is_not_there_has_a_neighbour() {
        let failure = format!("{:?}", explain("EdgeGroup.spec.selecter").unwrap_err());
        assert!(failure.contains("did you mean 'selector'?"), "{failure}");
    }
}
