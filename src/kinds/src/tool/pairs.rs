//! `--arg name=value`, read by the tool's schema.

use serde_json::{Map, Value};

use super::check::{ArgumentError, unknown_argument};

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
            let known: Vec<&str> = known.into_iter().flat_map(|map| map.keys().map(String::as_str)).collect();
            let tool = parameters.get("title").and_then(Value::as_str).unwrap_or("the tool");
            Err(ArgumentError::at(name, unknown_argument(tool, name, name, &known)))
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
