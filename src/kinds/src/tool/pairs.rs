//! `--arg name=value`, read by the tool's schema.

use serde_json::{Map, Value};

use super::check::{ArgumentError, unknown};

/// The arguments that the pairs mean. Text stays text; numbers and booleans are read; a list is its argument given
/// several times, or once as a JSON list; an object is JSON. Whether they are valid, `check_arguments` says.
pub fn from_pairs(
    parameters: &Value,
    pairs: &[(String, String)],
) -> Result<Map<String, Value>, ArgumentError> {
    let mut arguments = Map::new();
    for (name, text) in pairs {
        let schema = property(parameters, name)?;
        if !is_type(schema, "array") {
            if arguments.insert(name.clone(), scalar(name, schema, text)?).is_some() {
                return Err(ArgumentError::at(name, format!("'{name}' is given twice, and takes one value")));
            }
            continue;
        }
        let whole = serde_json::from_str::<Vec<Value>>(text).ok();
        let only = pairs.iter().filter(|(other, _)| other == name).count() == 1;
        let list = arguments.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
        match (list, whole) {
            (list, Some(whole)) if only => *list = Value::Array(whole),
            (Value::Array(list), _) => {
                list.push(scalar(name, schema.get("items").unwrap_or(&Value::Null), text)?);
            }
            _ => {}
        }
    }
    Ok(arguments)
}

/// The schema of an argument; null when the tool takes any.
fn property<'a>(parameters: &'a Value, name: &str) -> Result<&'a Value, ArgumentError> {
    let known = parameters.get("properties").and_then(Value::as_object);
    if let Some(schema) = known.and_then(|known| known.get(name)) {
        return Ok(schema);
    }
    match parameters.get("additionalProperties") {
        None | Some(Value::Bool(false)) => {
            Err(ArgumentError::at(name, unknown(parameters, Some(parameters), name, name)))
        }
        Some(others) => Ok(others),
    }
}

/// What isn't text: its type, whether a JSON value is one, and what it is called.
type Reader = (&'static str, fn(&Value) -> bool, &'static str);
const READERS: [Reader; 4] = [
    ("integer", |value| value.is_i64() || value.is_u64(), "a whole number"),
    ("number", Value::is_number, "a number"),
    ("boolean", Value::is_boolean, "true or false"),
    ("object", Value::is_object, "an object, written as JSON"),
];

/// One value that isn't a list.
fn scalar(name: &str, schema: &Value, text: &str) -> Result<Value, ArgumentError> {
    let wanted = || READERS.iter().filter(|(kind, ..)| is_type(schema, kind));
    let value = serde_json::from_str::<Value>(text).ok();
    if let Some(value) = value.filter(|value| wanted().any(|(_, fits, _)| fits(value))) {
        return Ok(value);
    }
    match wanted().next() {
        Some((.., rule)) if !is_type(schema, "string") => {
            Err(ArgumentError::at(name, format!("'{name}' must be {rule}")))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

fn is_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|one| one == name),
        Some(one) => one == name,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tool::find;

    fn read(tool: &str, pairs: &[(&str, &str)]) -> Result<Value, String> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        from_pairs(&find(tool).unwrap().parameters(), &pairs).map(Value::Object).map_err(|e| e.to_string())
    }

    #[test]
    fn values_are_read_by_the_schema() {
        for (tool, pairs, arguments) in [
            ("cmd.run", [("command", "true")].as_slice(), json!({"command": "true"})),
            ("cmd.run", &[("command", "1")], json!({"command": "1"})),
            ("cmd.run", &[("command", "{}"), ("cwd", "null")], json!({"command": "{}", "cwd": "null"})),
            ("cmd.run", &[("args", "1")], json!({"args": ["1"]})),
            ("cmd.run", &[("args", "a b"), ("args", "")], json!({"args": ["a b", ""]})),
            ("cmd.run", &[("args", r#"["a","b"]"#)], json!({"args": ["a", "b"]})),
            ("cmd.run", &[("args", r#"["a"]"#), ("args", "b")], json!({"args": [r#"["a"]"#, "b"]})),
            ("cmd.run", &[("env", r#"{"A":"1"}"#)], json!({"env": {"A": "1"}})),
            ("fs.read", &[("path", "/a=b"), ("limit", "10")], json!({"path": "/a=b", "limit": 10})),
            ("fs.list", &[("recursive", "true")], json!({"recursive": true})),
            ("host.facts", &[], json!({})),
        ] {
            assert_eq!(read(tool, pairs), Ok(arguments));
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (tool, pairs, message) in [
            ("fs.read", [("limit", "ten")].as_slice(), "'limit' must be a whole number"),
            ("fs.read", &[("limit", "1.5")], "'limit' must be a whole number"),
            ("fs.list", &[("recursive", "yes")], "'recursive' must be true or false"),
            ("cmd.run", &[("env", "A=1")], "'env' must be an object, written as JSON"),
            ("fs.read", &[("path", "/a"), ("path", "/b")], "'path' is given twice, and takes one value"),
            ("cmd.run", &[("comand", "ls")], "'comand' is no argument of cmd.run; did you mean 'command'?"),
        ] {
            assert_eq!(read(tool, pairs), Err(message.to_owned()));
        }
    }

    #[test]
    fn a_tool_that_takes_any_argument_gets_text_or_what_it_says() {
        let pair = [("n".to_owned(), "1".to_owned())];
        for (others, value) in [(json!(true), json!("1")), (json!({"type": ["number", "string"]}), json!(1))]
        {
            let schema = json!({"type": "object", "additionalProperties": others});
            assert_eq!(from_pairs(&schema, &pair).unwrap()["n"], value);
        }
        from_pairs(&json!({"type": "object"}), &pair).unwrap_err();
    }
}
