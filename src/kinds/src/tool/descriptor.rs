//! What a host says of a tool, be it built in or its owner's.

use std::time::Duration;

use aegis_core::{HumanDuration, Refusal, fleet::LONGEST_DEADLINE};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::{BUILTINS, ToolClass, check::compile, family};

/// The largest schema of an owner's tool, in bytes of JSON.
const LARGEST_SCHEMA: usize = 64 * 1024;
/// The most patterns in it, and the most bytes of each: a controller compiles them for hosts that it hardly knows.
const MOST_PATTERNS: usize = 32;
const LONGEST_PATTERN: usize = 512;
/// The one dialect that schemas are read in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// The longest name and summary, in characters.
const LONGEST_NAME: usize = 64;
const LONGEST_SUMMARY: usize = 200;

/// What a host says of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolDescriptor {
    /// `family.name`.
    pub name: String,
    /// One line: what it does.
    pub summary: String,
    /// Whether it changes anything.
    pub class: ToolClass,
    /// Whether it may be run on many hosts at once.
    pub fleet_capable: bool,
    /// How long it may take where the caller doesn't say so; none: what a run has by default.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "write",
        deserialize_with = "read"
    )]
    pub timeout: Option<Duration>,
    /// The JSON Schema of its arguments, which are an object.
    pub parameters: Value,
}

#[allow(clippy::ref_option, reason = "serde hands over a reference")]
fn write<S: Serializer>(timeout: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    timeout.map(HumanDuration).serialize(serializer)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<HumanDuration>::deserialize(deserializer)?.map(|duration| duration.0))
}

/// Checks a tool that a host's owner declared, and gives it back complete: arguments that its schema doesn't name are
/// refused unless it says otherwise, and the schema's title is the tool's name.
pub fn check_descriptor(tool: &ToolDescriptor) -> Result<ToolDescriptor, Refusal> {
    check_name(&tool.name)?;
    let characters = tool.summary.chars().count();
    if characters > LONGEST_SUMMARY || tool.summary.chars().any(char::is_control) {
        return Err(Refusal::at("summary", "the summary is not valid")
            .help(format!("write one line of up to {LONGEST_SUMMARY} characters")));
    }
    if tool.timeout.is_some_and(|timeout| timeout.is_zero() || timeout > LONGEST_DEADLINE) {
        return Err(Refusal::at("timeout", "the timeout is out of bounds")
            .help(format!("write more than 0s and at most {}", HumanDuration(LONGEST_DEADLINE))));
    }
    Ok(ToolDescriptor { parameters: check_parameters(&tool.name, &tool.parameters)?, ..tool.clone() })
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    if name.len() > LONGEST_NAME || !name.contains('.') || !name.split('.').all(word) {
        return Err(Refusal::at("name", format!("'{name}' is no tool name")).help(format!(
            "write family.name, such as backup.start: a-z, 0-9 and '_', at most {LONGEST_NAME} characters"
        )));
    }
    // A context that grants `fs.*` means the tools that its author knows.
    if BUILTINS.iter().any(|tool| family(tool.name) == family(name)) {
        return Err(Refusal::at("name", format!("the family '{}' is built in", family(name)))
            .help("take a family of your own, such as backup.start"));
    }
    Ok(())
}

fn check_parameters(name: &str, parameters: &Value) -> Result<Value, Refusal> {
    let refuse = |message: String| Refusal::at("parameters", message);
    if parameters.to_string().len() > LARGEST_SCHEMA {
        return Err(refuse(format!("the schema is larger than {} KiB", LARGEST_SCHEMA / 1024))
            .help("describe fewer arguments"));
    }
    let mut schema = parameters
        .as_object()
        .filter(|schema| schema.get("type") == Some(&json!("object")))
        .cloned()
        .ok_or_else(|| {
            refuse("the schema isn't one of an object".into())
                .help("write `type: object` and the arguments under `properties`")
        })?;
    if let Some(keyword) = reference(parameters) {
        return Err(refuse(format!("the schema has {keyword}")).help("write out what it points to"));
    }
    if schema.get("$schema").is_some_and(|dialect| dialect != DIALECT) {
        return Err(refuse("the schema is in another dialect".into())
            .help(format!("leave $schema out, or write {DIALECT}")));
    }
    let mut patterns = Vec::new();
    each_pattern(parameters, &mut |pattern| patterns.push(pattern.len()));
    if patterns.len() > MOST_PATTERNS || patterns.iter().any(|length| *length > LONGEST_PATTERN) {
        return Err(refuse("the schema's patterns are too many or too long".into()).help(format!(
            "write at most {MOST_PATTERNS} patterns of at most {LONGEST_PATTERN} bytes each"
        )));
    }
    schema.entry("additionalProperties").or_insert(Value::Bool(false));
    schema.insert("title".to_owned(), name.into());
    let schema = Value::Object(schema);
    compile(&schema).map_err(|error| {
        refuse(format!("the schema is not valid: {error}")).help("see https://json-schema.org/specification")
    })?;
    Ok(schema)
}

/// The first keyword that points elsewhere. A schema is whole: nothing is fetched for it, and none runs in a circle.
fn reference(schema: &Value) -> Option<&'static str> {
    const POINTERS: [&str; 4] = ["$ref", "$dynamicRef", "$recursiveRef", "$id"];
    match schema {
        Value::Object(map) => POINTERS
            .into_iter()
            .find(|keyword| map.get(*keyword).is_some_and(Value::is_string))
            .or_else(|| map.values().find_map(reference)),
        Value::Array(list) => list.iter().find_map(reference),
        _ => None,
    }
}

/// Calls `visit` for whatever may be compiled as a pattern.
fn each_pattern(schema: &Value, visit: &mut dyn FnMut(&str)) {
    match schema {
        Value::Object(map) => {
            for (keyword, value) in map {
                match (keyword.as_str(), value) {
                    ("pattern", Value::String(pattern)) => visit(pattern),
                    ("patternProperties", Value::Object(rules)) => rules.keys().for_each(|name| visit(name)),
                    _ => {}
                }
                each_pattern(value, visit);
            }
        }
        Value::Array(list) => list.iter().for_each(|schema| each_pattern(schema, visit)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::check_arguments;

    fn tool(name: &str, parameters: Value) -> ToolDescriptor {
        ToolDescriptor {
            name: name.to_owned(),
            summary: "starts a backup".to_owned(),
            class: ToolClass::StateMutating,
            fleet_capable: true,
            timeout: Some(Duration::from_secs(90)),
            parameters,
        }
    }

    #[test]
    fn an_owners_tool_takes_only_what_its_schema_names() {
        let schema = json!({"type": "object", "properties": {"path": {"type": "string", "format": "path"}}});
        let complete = check_descriptor(&tool("backup.start", schema)).unwrap();
        let refused = check_arguments(&complete.parameters, &json!({"pth": "/a"})).unwrap_err();
        assert_eq!(refused.to_string(), "'pth' is no argument of backup.start; did you mean 'path'?");
        check_arguments(&complete.parameters, &json!({"path": "/a"})).unwrap();
        assert_eq!(check_descriptor(&complete), Ok(complete));
        let open = json!({"type": "object", "additionalProperties": {"type": "string"}});
        let open = check_descriptor(&tool("backup.start", open)).unwrap();
        check_arguments(&open.parameters, &json!({"any": "a"})).unwrap();
    }

    #[test]
    fn a_duration_is_written_as_text() {
        let json = serde_json::to_value(tool("a.b", json!({"type": "object"}))).unwrap();
        assert_eq!((&json["timeout"], &json["class"]), (&json!("1m30s"), &json!("state-mutating")));
    }

    #[test]
    fn a_name_is_of_a_family_that_is_not_built_in() {
        for (name, message) in [
            ("backup", "is no tool name"),
            ("Backup.start", "is no tool name"),
            ("backup.", "is no tool name"),
            ("backup.1st", "is no tool name"),
            (".start", "is no tool name"),
            ("backup.start now", "is no tool name"),
            ("fs.read", "'fs' is built in"),
            ("fs.backup", "'fs' is built in"),
            ("shell.backup", "'shell' is built in"),
            ("edge.keys.reset", "'edge' is built in"),
        ] {
            let refusal = check_descriptor(&tool(name, json!({"type": "object"}))).unwrap_err();
            assert!(refusal.message.contains(message) && refusal.help.is_some(), "{name}: {refusal}");
        }
        check_descriptor(&tool("backup.db_1.start", json!({"type": "object"}))).unwrap();
        let long = format!("a.{}", "b".repeat(LONGEST_NAME));
        check_descriptor(&tool(&long, json!({"type": "object"}))).unwrap_err();
    }

    #[test]
    fn a_schema_that_is_not_valid_or_points_elsewhere_is_refused() {
        for (schema, message) in [
            (json!(true), "isn't one of an object"),
            (json!({"properties": {}}), "isn't one of an object"),
            (json!({"type": "array"}), "isn't one of an object"),
            (json!({"type": "object", "properties": {"a": {"type": "text"}}}), "is not valid"),
            (json!({"type": "object", "properties": {"a": {"pattern": "("}}}), "is not valid"),
            // Looking back takes exponential time on some texts.
            (json!({"type": "object", "properties": {"a": {"pattern": "(a)\\1"}}}), "is not valid"),
            (
                json!({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"}),
                "another dialect",
            ),
            (json!({"type": "object", "$ref": "#"}), "has $ref"),
            (json!({"type": "object", "properties": {"a": {"$ref": "http://example.com"}}}), "has $ref"),
            (json!({"type": "object", "anyOf": [{"$dynamicRef": "#a"}]}), "has $dynamicRef"),
            (json!({"type": "object", "$id": "http://example.com"}), "has $id"),
            (json!({"type": "object", "description": "x".repeat(LARGEST_SCHEMA)}), "larger than 64 KiB"),
        ] {
            let refusal = check_descriptor(&tool("a.b", schema)).unwrap_err();
            assert!(refusal.message.contains(message), "{refusal}");
            assert_eq!(refusal.field.as_deref(), Some("parameters"));
        }
    }

    #[test]
    fn patterns_are_few_short_and_small() {
        let with = |patterns: Vec<String>| {
            let properties = patterns.into_iter().enumerate();
            let properties: serde_json::Map<_, _> =
                properties.map(|(at, pattern)| (format!("a{at}"), json!({"pattern": pattern}))).collect();
            check_descriptor(&tool("a.b", json!({"type": "object", "properties": properties})))
        };
        with(vec!["^[a-z]+$".to_owned(); MOST_PATTERNS]).unwrap();
        with(vec!["a".repeat(LONGEST_PATTERN)]).unwrap();
        for usual in [r"^[\w.-]+$", r"^\d{4}-\d{2}-\d{2}$", "^[a-z0-9-]{1,63}$", r"^/[^\x00]*$"] {
            with(vec![usual.to_owned()]).unwrap();
        }
        let names: serde_json::Map<_, _> =
            (0..=MOST_PATTERNS).map(|number| (format!("^a{number}$"), json!(true))).collect();
        let named = check_descriptor(&tool("a.b", json!({"type": "object", "patternProperties": names})));
        for refused in [
            with(vec!["^[a-z]+$".to_owned(); MOST_PATTERNS + 1]),
            with(vec!["a".repeat(LONGEST_PATTERN + 1)]),
            named,
        ] {
            let refusal = refused.unwrap_err();
            assert!(refusal.message.contains("too many or too long") && refusal.help.is_some(), "{refusal}");
        }
        let large = with(vec!["[a-z]{2000}".to_owned()]).unwrap_err();
        assert!(large.message.contains("is not valid"), "{large}");
    }

    #[test]
    fn summaries_and_timeouts_have_bounds() {
        let good = tool("a.b", json!({"type": "object"}));
        let with = |timeout| ToolDescriptor { timeout: Some(timeout), ..good.clone() };
        check_descriptor(&with(LONGEST_DEADLINE)).unwrap();
        check_descriptor(&with(Duration::ZERO)).unwrap_err();
        check_descriptor(&with(LONGEST_DEADLINE + Duration::from_millis(1))).unwrap_err();
        for summary in ["a\nb".to_owned(), "x".repeat(LONGEST_SUMMARY + 1)] {
            check_descriptor(&ToolDescriptor { summary, ..good.clone() }).unwrap_err();
        }
    }
}
