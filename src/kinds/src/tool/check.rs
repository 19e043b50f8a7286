//! Arguments against a tool's schema. Messages name the place and never the value: arguments may hold secrets.

use aegis_core::nearest::nearest;
use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

use super::{Builtin, find};

/// The most memory that one compiled pattern may take, in bytes.
const LARGEST_PATTERN: usize = 64 * 1024;

/// An argument isn't as the tool's schema says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ArgumentError {
    /// The argument it is about, such as `path` or `args[2]`; none: all of them.
    pub place: Option<String>,
    /// What is wrong, with the place in it.
    pub message: String,
}

impl ArgumentError {
    pub(super) fn at(place: &str, message: String) -> Self {
        Self { place: (!place.is_empty()).then(|| place.to_owned()), message }
    }
}

/// A tool's schema, compiled: what takes a thousand times as long as a check.
#[derive(Debug)]
pub struct Checker {
    parameters: Value,
    validator: Validator,
}

impl Checker {
    /// Compiles the schema.
    pub fn new(parameters: Value) -> Result<Self, ArgumentError> {
        let validator = compile(&parameters).map_err(|error| {
            let message = format!("the tool's own schema is not valid: {error}; ask the owner of the host");
            ArgumentError::at("", message)
        })?;
        Ok(Self { parameters, validator })
    }

    /// The schema.
    pub const fn parameters(&self) -> &Value {
        &self.parameters
    }

    /// Whether the arguments are as the schema says; else the first thing that is wrong. A name that doesn't exist is
    /// said before what is missing, as it is most likely the same mistake.
    pub fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        let parameters = &self.parameters;
        let Some(given) = arguments.as_object() else {
            let what = what(arguments);
            let message = format!("the arguments are {what}, not an object; give each its name");
            return Err(ArgumentError::at("", message));
        };
        let is_closed = parameters.get("additionalProperties") == Some(&Value::Bool(false));
        if is_closed && parameters.get("patternProperties").is_none() {
            let known = parameters.get("properties").and_then(Value::as_object);
            let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
            if let Some(name) = given.keys().find(|name| !is_known(name)) {
                return Err(ArgumentError::at(name, unknown(parameters, Some(parameters), name, name)));
            }
        }
        self.validator.validate(arguments).map_err(|error| describe(&error, parameters))
    }
}

/// Whether the arguments are as the schema says; see [`Checker::check`]. The schema of a built-in tool is compiled once
/// in a process, any other each time.
pub fn check_arguments(parameters: &Value, arguments: &Value) -> Result<(), ArgumentError> {
    let title = parameters.get("title").and_then(Value::as_str);
    match title.and_then(find).and_then(Builtin::checker) {
        Some(checker) if checker.parameters == *parameters => checker.check(arguments),
        _ => Checker::new(parameters.clone())?.check(arguments),
    }
}

/// A validator that fetches nothing, with patterns that take time in proportion to the text.
pub(super) fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::draft202012::options()
        .offline()
        .with_pattern_options(PatternOptions::regex().size_limit(LARGEST_PATTERN))
        .build(schema)
        .map_err(|error| error.to_string())
}

fn describe(error: &ValidationError, parameters: &Value) -> ArgumentError {
    let place = place(error.instance_path().as_str());
    let path = error.schema_path().as_str();
    let keyword = parameters.pointer(path);
    let within = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let name = unexpected.first().map_or("", String::as_str);
            let schema = path.rsplit_once('/').and_then(|(parent, _)| parameters.pointer(parent));
            ArgumentError::at(&within(name), unknown(parameters, schema, &within(name), name))
        }
        ValidationErrorKind::Required { property } => {
            let missing = within(property.as_str().unwrap_or_default());
            let message = match keyword.and_then(|rules| dependent(rules, error.instance(), property)) {
                Some(with) => format!("'{}' goes with '{missing}', which is missing", within(with)),
                None => format!("'{missing}' is missing"),
            };
            ArgumentError::at(&missing, message)
        }
        ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } => {
            let message = match alternatives(keyword) {
                Some(names) => format!("{} is missing: give one of them", names.join(" or ")),
                None => format!("{} is as none of the schema's alternatives", quoted(&place)),
            };
            ArgumentError::at(&place, message)
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            let message = match alternatives(keyword) {
                Some(names) => format!("{} exclude each other: give one of them", names.join(" and ")),
                None => format!("{} fits several of the schema's alternatives", quoted(&place)),
            };
            ArgumentError::at(&place, message)
        }
        ValidationErrorKind::Type { .. } => {
            let wanted = keyword.map(types).unwrap_or_default();
            let message = format!("{} must be {wanted}, not {}", quoted(&place), what(error.instance()));
            ArgumentError::at(&place, message)
        }
        ValidationErrorKind::Enum { options } => {
            let text = |option: &Value| option.as_str().map_or_else(|| option.to_string(), str::to_owned);
            let options: Vec<_> = options.as_array().into_iter().flatten().map(text).collect();
            ArgumentError::at(&place, format!("{} must be one of {}", quoted(&place), options.join(", ")))
        }
        ValidationErrorKind::Pattern { pattern } => {
            let schema = path.rsplit_once('/').and_then(|(parent, _)| parameters.pointer(parent));
            let meant = schema.and_then(|schema| schema.get("description")).and_then(Value::as_str);
            let meant = meant.map(|text| format!(": {text}")).unwrap_or_default();
            ArgumentError::at(&place, format!("{} must match {pattern}{meant}", quoted(&place)))
        }
        ValidationErrorKind::PropertyNames { error: inner } => {
            let name = inner.instance().as_str().unwrap_or_default();
            let rule = inner.masked_with("the name");
            ArgumentError::at(&within(name), format!("'{}' has no valid name: {rule}", within(name)))
        }
        _ => {
            let rule = error.masked_with("the value");
            ArgumentError::at(&place, format!("{} is not valid: {rule}", quoted(&place)))
        }
    }
}

/// That `schema`, a part of the tool's, has no argument of this name.
pub(super) fn unknown(parameters: &Value, schema: Option<&Value>, shown: &str, name: &str) -> String {
    let tool = parameters.get("title").and_then(Value::as_str).unwrap_or("the tool");
    let known = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    let known: Vec<&str> = known.into_iter().flat_map(|map| map.keys().map(String::as_str)).collect();
    let hint = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean '{meant}'?"),
        None if known.is_empty() => "it takes none".to_owned(),
        None => format!("it takes {}", known.join(", ")),
    };
    format!("'{shown}' is no argument of {tool}; {hint}")
}

/// The argument that is there and needs `missing`, if that is what the keyword says.
fn dependent<'a>(keyword: &'a Value, object: &Value, missing: &Value) -> Option<&'a str> {
    let needs = |names: &Value| names.as_array().is_some_and(|names| names.contains(missing));
    let rules = keyword.as_object()?.iter();
    rules
        .filter(|(with, names)| object.get(with).is_some() && needs(names))
        .map(|(with, _)| with.as_str())
        .next()
}

/// The names that a list of `{required: [name]}` asks for, if it is nothing else.
fn alternatives(keyword: Option<&Value>) -> Option<Vec<String>> {
    let name = |schema: &Value| match schema.get("required")?.as_array()?.as_slice() {
        [name] => Some(format!("'{}'", name.as_str()?)),
        _ => None,
    };
    keyword?.as_array()?.iter().map(name).collect()
}

/// `/args/2` as `args[2]`, `/env/PATH` as `env.PATH`.
fn place(pointer: &str) -> String {
    let mut place = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|b| b.is_ascii_digit()) {
            place.push('[');
            place.push_str(&part);
            place.push(']');
        } else {
            if !place.is_empty() {
                place.push('.');
            }
            place.push_str(&part);
        }
    }
    place
}

fn quoted(place: &str) -> String {
    if place.is_empty() { "the object of arguments".to_owned() } else { format!("'{place}'") }
}

fn types(keyword: &Value) -> String {
    let word = |name: &Value| match name.as_str().unwrap_or_default() {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        _ => "null",
    };
    match keyword {
        Value::Array(names) => names.iter().map(word).collect::<Vec<_>>().join(" or "),
        name => word(name).to_owned(),
    }
}

fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
