//! Kinds whose spec is a record: the smallest steps are read off its fields, in the order of a table.

use std::fmt;

use aegis_core::{Effect, Element};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// How a field is owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As a whole.
    Whole,
    /// Entry by entry: a list of unique texts.
    Set,
    /// Entry by entry: a map.
    Map,
}

/// A field of a record, by its name in manifests. What is absent from the JSON of a spec isn't declared, so defaults
/// are left out of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field(pub &'static str, pub Shape);

/// A step of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordChange {
    /// A field or an entry gets a value, or goes.
    Element {
        /// Which one.
        element: Element,
        /// What it was; `None`: absent.
        have: Option<Value>,
        /// What it is to be; `None`: absent.
        want: Option<Value>,
    },
    /// The object goes.
    Delete {
        /// What people call it.
        noun: &'static str,
    },
}

impl fmt::Display for RecordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element { element, have: Some(Value::Null), want: None }
            | Self::Element { element, have: None, want: Some(Value::Null) } => match element.entry_name() {
                // An entry of a set has nothing beside its name.
                Some(entry) => write!(f, "{} {entry}", element.field_name()),
                None => write!(f, "{element}"),
            },
            Self::Element { element, have, want } => {
                let (have, want) = (have.as_ref().map(text), want.as_ref().map(text));
                crate::erased::write_step(f, &element.to_string(), have.as_deref(), want.as_deref())
            }
            Self::Delete { noun } => write!(f, "the {noun}"),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn object<T: Serialize>(record: &T) -> Map<String, Value> {
    match serde_json::to_value(record) {
        Ok(Value::Object(map)) => map,
        // A record is a struct, and its JSON an object.
        _ => Map::new(),
    }
}

/// The elements of one field and their values.
fn entries(Field(name, shape): &Field, value: &Value) -> Vec<(Element, Value)> {
    match (shape, value) {
        (Shape::Set, Value::Array(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(|entry| (Element::entry(name, entry), Value::Null))
            .collect(),
        (Shape::Map, Value::Object(map)) => {
            map.iter().map(|(key, value)| (Element::entry(name, key), value.clone())).collect()
        }
        _ => vec![(Element::field(name), value.clone())],
    }
}

fn elements(fields: &[Field], record: &Map<String, Value>) -> Vec<(Element, Value)> {
    let given = fields.iter().filter_map(|field| Some((field, record.get(field.0)?)));
    given.flat_map(|(field, value)| entries(field, value)).collect()
}

/// The steps from `have` to `want`. A record that isn't there has no field.
pub(crate) fn diff<T: Serialize>(
    fields: &[Field],
    noun: &'static str,
    want: Option<&T>,
    have: Option<&T>,
) -> Vec<RecordChange> {
    let Some(want) = want else {
        return have.map(|_| RecordChange::Delete { noun }).into_iter().collect();
    };
    let want = elements(fields, &object(want));
    let have = have.map(|have| elements(fields, &object(have))).unwrap_or_default();
    let value_of = |all: &[(Element, Value)], element: &Element| {
        all.iter().find(|(other, _)| other == element).map(|(_, value)| value.clone())
    };
    let mut steps = Vec::new();
    for (element, value) in &want {
        let before = value_of(&have, element);
        if before.as_ref() != Some(value) {
            let (element, want) = (element.clone(), Some(value.clone()));
            steps.push(RecordChange::Element { element, have: before, want });
        }
    }
    for (element, value) in have {
        if value_of(&want, &element).is_none() {
            steps.push(RecordChange::Element { element, have: Some(value), want: None });
        }
    }
    steps
}

/// What one step leads to. `T::default()` is the record before its first field is set.
pub(crate) fn replay<T: Serialize + DeserializeOwned + Default>(
    fields: &[Field],
    have: Option<T>,
    change: &RecordChange,
) -> Option<T> {
    let RecordChange::Element { element, want, .. } = change else { return None };
    let have = have.unwrap_or_default();
    let mut record = object(&have);
    let Some(Field(name, shape)) = fields.iter().find(|field| field.0 == element.field_name()) else {
        return Some(have);
    };
    match (shape, element.entry_name()) {
        (Shape::Set, Some(entry)) => {
            let mut list: Vec<Value> = match record.remove(*name) {
                Some(Value::Array(list)) => list,
                _ => Vec::new(),
            };
            list.retain(|value| value.as_str() != Some(entry));
            list.extend(want.is_some().then(|| Value::from(entry)));
            record.insert((*name).to_owned(), Value::Array(list));
        }
        (Shape::Map, Some(entry)) => {
            let mut map = match record.remove(*name) {
                Some(Value::Object(map)) => map,
                _ => Map::new(),
            };
            match want {
                Some(value) => drop(map.insert(entry.to_owned(), value.clone())),
                None => drop(map.remove(entry)),
            }
            record.insert((*name).to_owned(), Value::Object(map));
        }
        _ => match want {
            Some(value) => drop(record.insert((*name).to_owned(), value.clone())),
            None => drop(record.remove(*name)),
        },
    }
    // A step is made of values that came from such a record, so they can be read as one.
    Some(serde_json::from_value(Value::Object(record)).unwrap_or(have))
}

/// The elements that a record sets.
pub(crate) fn declares<T: Serialize>(fields: &[Field], record: &T) -> Vec<Element> {
    elements(fields, &object(record)).into_iter().map(|(element, _)| element).collect()
}

/// The element that a step touches.
pub(crate) fn touches(change: &RecordChange) -> Option<(Element, Effect)> {
    match change {
        RecordChange::Element { element, want, .. } => {
            let effect = if want.is_some() { Effect::Set } else { Effect::Remove };
            Some((element.clone(), effect))
        }
        RecordChange::Delete { .. } => None,
    }
}
