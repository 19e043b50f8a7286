//! The smallest thing that can be owned: a field, or one entry of a set or map.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One owned element of an object: `displayName`, `tags[prod]`, `labels[team]`.
///
/// Tags, pins and map entries are owned one by one, everything else as a whole field (1-product.md, "Ownership").
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Element {
    field: Box<str>,
    entry: Option<Box<str>>,
}

impl Element {
    /// A whole field.
    pub fn field(field: &str) -> Self {
        Self { field: field.into(), entry: None }
    }
    /// One entry of a set or map field.
    pub fn entry(field: &str, entry: impl AsRef<str>) -> Self {
        Self { field: field.into(), entry: Some(entry.as_ref().into()) }
    }
    /// The field's name.
    pub fn field_name(&self) -> &str {
        &self.field
    }
    /// The entry's key, when this is one entry.
    pub fn entry_name(&self) -> Option<&str> {
        self.entry.as_deref()
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            None => f.write_str(&self.field),
            Some(entry) => write!(f, "{}[{entry}]", self.field),
        }
    }
}

/// The text is no element: it is empty or its bracket isn't closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no element; write FIELD or FIELD[ENTRY]")]
pub struct InvalidElement(String);

impl FromStr for Element {
    type Err = InvalidElement;
    fn from_str(text: &str) -> Result<Self, InvalidElement> {
        let invalid = || InvalidElement(text.to_owned());
        match text.split_once('[') {
            None if text.is_empty() => Err(invalid()),
            None => Ok(Self::field(text)),
            Some((field, rest)) => {
                let entry = rest.strip_suffix(']').ok_or_else(invalid)?;
                if field.is_empty() { Err(invalid()) } else { Ok(Self::entry(field, entry)) }
            }
        }
    }
}

impl TryFrom<String> for Element {
    type Error = InvalidElement;
    fn try_from(text: String) -> Result<Self, InvalidElement> {
        text.parse()
    }
}

impl From<Element> for String {
    fn from(element: Element) -> String {
        element.to_string()
    }
}

/// What a step does to the element that it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The element gets a value: it is new, or its value changes.
    Set,
    /// The element goes.
    Remove,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for element in
            [Element::field("selector"), Element::entry("tags", "prod"), Element::entry("labels", "a[b]")]
        {
            assert_eq!(element.to_string().parse::<Element>().unwrap(), element);
        }
        assert!("".parse::<Element>().is_err());
        assert!("tags[prod".parse::<Element>().is_err());
        assert!("[x]".parse::<Element>().is_err());
    }
}
