//! A tool that the host's owner declares: a program whose arguments are filled in from the call's.

use std::collections::BTreeMap;

use aegis_core::{HumanDuration, Refusal, nearest::nearest};
use aegis_kinds::tool::{ToolClass, ToolDescriptor, check_descriptor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A tool of this host's own. Like any tool it runs only where a security context grants it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnTool {
    /// `family.name`, such as `backup.start`. The families of built-in tools are taken.
    pub name: String,
    /// One line: what it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// `read-only` or `state-mutating`: whether it may change anything.
    pub class: ToolClass,
    /// The program, by name or absolute path, and its arguments. `{argument}` stands for an argument of the call, in one
    /// piece whatever is in it: no shell ever sees it. An entry with an argument that the call leaves out is left out.
    /// `{{` is a brace.
    #[schemars(length(min = 1))]
    pub argv: Vec<String>,
    /// The arguments: a JSON Schema of an object whose properties are text, numbers or true and false. With
    /// `format: path` a text must be a path beneath a granted root; the daemon looks when it starts the program, which
    /// opens the path itself later. With `format: hostname` or `format: uri` it must be in a granted domain.
    #[serde(default = "no_parameters")]
    pub parameters: Map<String, Value>,
    /// How long it may take where the caller doesn't say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumanDuration>,
    /// Whether it may be run on many hosts at once.
    #[serde(default = "yes")]
    pub fleet_capable: bool,
    /// Environment variables, besides the few that every program gets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

fn no_parameters() -> Map<String, Value> {
    [("type".to_owned(), "object".into()), ("properties".to_owned(), Map::new().into())].into_iter().collect()
}

/// A part of an entry of `argv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// As it stands.
    Text(String),
    /// The call's argument of this name.
    Argument(String),
}

impl OwnTool {
    /// What the host says of it, and its `argv` in pieces.
    pub(crate) fn checked(&self) -> Result<(ToolDescriptor, Vec<Vec<Piece>>), Refusal> {
        let descriptor = check_descriptor(&ToolDescriptor {
            name: self.name.clone(),
            summary: self.summary.clone(),
            class: self.class,
            fleet_capable: self.fleet_capable,
            timeout: self.timeout.map(|timeout| timeout.0),
            parameters: Value::Object(self.parameters.clone()),
        })?;
        self.check_formats()?;
        let argv = self.pieces()?;
        let properties = self.parameters.get("properties").and_then(Value::as_object);
        for (index, entry) in argv.iter().enumerate() {
            for piece in entry {
                let Piece::Argument(name) = piece else { continue };
                let at = |message| Refusal::at(format!("argv[{index}]"), message);
                let Some(property) = properties.and_then(|properties| properties.get(name)) else {
                    let known = properties.into_iter().flat_map(Map::keys).map(String::as_str);
                    let help = nearest(name, known).map_or_else(
                        || "describe it under parameters, or write '{{' for a brace".to_owned(),
                        |near| format!("did you mean '{near}'?"),
                    );
                    return Err(at(format!("'{{{name}}}' is none of the parameters")).help(help));
                };
                let kind = property.get("type").and_then(Value::as_str);
                if !matches!(kind, Some("string" | "integer" | "number" | "boolean")) {
                    return Err(at(format!("'{{{name}}}' isn't one text or number"))
                        .help("give it the type string, integer, number or boolean"));
                }
            }
        }
        let fixed = argv
            .first()
            .is_some_and(|entry| !entry.is_empty() && !entry.iter().any(|p| matches!(p, Piece::Argument(_))));
        if !fixed {
            return Err(Refusal::at("argv[0]", "the program isn't fixed")
                .help("write its name or its absolute path, without arguments of the call"));
        }
        Ok((descriptor, argv))
    }

    /// Only the formats that stand directly at a parameter are heeded on a call: one elsewhere would promise a check that
    /// nobody does.
    fn check_formats(&self) -> Result<(), Refusal> {
        let mut left: Vec<(String, &Value)> = Vec::new();
        for (key, value) in &self.parameters {
            match (key.as_str(), value) {
                ("properties", Value::Object(properties)) => {
                    for (name, property) in properties {
                        let parts = property.as_object().into_iter().flatten();
                        let parts = parts.filter(|(key, value)| *key != "format" || !value.is_string());
                        left.extend(parts.map(|(key, value)| (format!("properties.{name}.{key}"), value)));
                    }
                }
                ("format", Value::String(format)) if is_heeded(format) => return Err(unheeded("", format)),
                _ => left.push((key.clone(), value)),
            }
        }
        while let Some((place, value)) = left.pop() {
            match value {
                Value::Object(parts) => {
                    if let Some(format) = parts.get("format").and_then(Value::as_str).filter(|f| is_heeded(f))
                    {
                        return Err(unheeded(&place, format));
                    }
                    left.extend(parts.iter().map(|(key, value)| (format!("{place}.{key}"), value)));
                }
                Value::Array(parts) => left.extend(parts.iter().map(|part| (place.clone(), part))),
                _ => {}
            }
        }
        Ok(())
    }

    fn pieces(&self) -> Result<Vec<Vec<Piece>>, Refusal> {
        let entries = self.argv.iter().enumerate();
        entries.map(|(index, entry)| pieces(entry).map_err(|m| malformed(index, m))).collect()
    }
}

/// Whether a call is checked for what a text of this format names.
fn is_heeded(format: &str) -> bool {
    matches!(format, "path" | "hostname" | "uri")
}

fn unheeded(place: &str, format: &str) -> Refusal {
    let dot = if place.is_empty() { "" } else { "." };
    let message = format!("'format: {format}' isn't heeded there, only directly at a parameter");
    Refusal::at(format!("parameters{dot}{place}"), message)
        .help("write it beside the type of one of the properties, or leave it out")
}

fn malformed(index: usize, message: &str) -> Refusal {
    Refusal::at(format!("argv[{index}]"), message).help("write '{{' for a brace that is meant as one")
}

fn pieces(entry: &str) -> Result<Vec<Piece>, &'static str> {
    if entry.contains('\0') {
        return Err("an argument can't hold NUL");
    }
    let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), entry);
    while let Some((before, behind)) = rest.split_once('{') {
        text.push_str(before);
        if let Some(behind) = behind.strip_prefix('{') {
            text.push('{');
            rest = behind;
            continue;
        }
        let (name, behind) = behind.split_once('}').ok_or("a brace isn't closed")?;
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(Piece::Argument(name.to_owned()));
        rest = behind;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(argv: &[&str]) -> OwnTool {
        serde_json::from_value(json!({
            "name": "backup.start", "class": "state-mutating", "argv": argv,
            "parameters": {"type": "object", "properties": {
                "target": {"type": "string"}, "level": {"type": "integer"}, "all": {"type": "array"}
            }}
        }))
        .unwrap()
    }

    #[test]
    fn an_entry_is_text_and_arguments() {
        let argv = tool(&["backup", "--to={target}/x", "{level}", "{{print $1}", ""]).checked().unwrap().1;
        let text = |text: &str| Piece::Text(text.to_owned());
        let argument = |name: &str| Piece::Argument(name.to_owned());
        assert_eq!(argv[1], [text("--to="), argument("target"), text("/x")]);
        assert_eq!(argv[2], [argument("level")]);
        assert_eq!((argv[3].as_slice(), argv[4].as_slice()), (&[text("{print $1}")][..], &[][..]));
    }

    #[test]
    fn a_template_that_can_not_be_filled_in_is_refused_with_its_place() {
        for (argv, field, message) in [
            (&["backup", "{tarjet}"][..], "argv[1]", "none of the parameters"),
            (&["backup", "{target"], "argv[1]", "isn't closed"),
            (&["backup", "{all}"], "argv[1]", "isn't one text or number"),
            (&["{target}"], "argv[0]", "isn't fixed"),
            (&[""], "argv[0]", "isn't fixed"),
            (&[], "argv[0]", "isn't fixed"),
            (&["a\0b"], "argv[0]", "NUL"),
        ] {
            let refusal = tool(argv).checked().unwrap_err();
            assert_eq!(refusal.field.as_deref(), Some(field), "{argv:?}");
            assert!(refusal.message.contains(message), "{argv:?}: {}", refusal.message);
        }
        assert_eq!(tool(&["x", "{tarjet}"]).checked().unwrap_err().help.unwrap(), "did you mean 'target'?");
    }

    #[test]
    fn a_format_that_would_not_be_heeded_is_refused_with_its_place() {
        let with = |parameters: Value| OwnTool {
            parameters: parameters.as_object().unwrap().clone(),
            ..tool(&["x"])
        };
        let path = || json!({"type": "string", "format": "path"});
        for (parameters, field) in [
            (json!({"properties": {"a": {"anyOf": [path()]}}}), "parameters.properties.a.anyOf"),
            (
                json!({"properties": {"a": {"type": "array", "items": path()}}}),
                "parameters.properties.a.items",
            ),
            (
                json!({"properties": {"a": {"properties": {"b": path()}}}}),
                "parameters.properties.a.properties.b",
            ),
            (json!({"allOf": [{"properties": {"a": path()}}]}), "parameters.allOf.properties.a"),
            (json!({"$defs": {"a": path()}}), "parameters.$defs.a"),
            (json!({"patternProperties": {"^a": path()}}), "parameters.patternProperties.^a"),
            (json!({"additionalProperties": {"format": "hostname"}}), "parameters.additionalProperties"),
            (json!({"propertyNames": {"format": "uri"}}), "parameters.propertyNames"),
            (json!({"format": "path"}), "parameters"),
        ] {
            let mut parameters = parameters;
            parameters["type"] = "object".into();
            let refusal = with(parameters.clone()).checked().unwrap_err();
            assert_eq!(refusal.field.as_deref(), Some(field), "{parameters}: {}", refusal.message);
            assert!(refusal.message.contains("isn't heeded there"), "{parameters}: {}", refusal.message);
        }
        for parameters in [
            json!({"type": "object", "properties": {"a": path(), "format": {"type": "string"}}}),
            json!({"type": "object", "properties": {"format": path(), "b": {"anyOf": [{"format": "date"}]}}}),
        ] {
            with(parameters).checked().unwrap();
        }
    }

    #[test]
    fn names_of_built_in_families_are_taken() {
        let own = OwnTool { name: "fs.mine".into(), ..tool(&["x"]) };
        assert_eq!(own.checked().unwrap_err().field.as_deref(), Some("name"));
    }
}
