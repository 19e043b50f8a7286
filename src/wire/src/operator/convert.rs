//! Fields of messages as the types they stand for. What doesn't fit is named.

use std::{collections::BTreeMap, str::FromStr};

use aegis_core::{ObjectKey, Outcome, outcome::Summary};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serializer;

use crate::{error::ApiError, proto};

/// A field of a message isn't what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    what: &'static str,
    why: String,
}

impl Unreadable {
    pub(crate) fn new(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self { what, why: why.to_string() }
    }
    /// It came in a request: the caller's fault.
    pub(crate) fn in_request(self) -> ApiError {
        ApiError::invalid(self.why)
    }
    /// It came in an answer: the controller's fault.
    pub(crate) fn in_answer(self) -> ApiError {
        ApiError::unreadable(self.what, self.why)
    }
}

/// A field that has a type of its own.
pub(crate) fn typed<T: FromStr<Err: std::fmt::Display>>(
    what: &'static str,
    text: &str,
) -> Result<T, Unreadable> {
    text.parse().map_err(|error| Unreadable::new(what, error))
}

/// The same, where empty means absent.
pub(crate) fn optional<T: FromStr<Err: std::fmt::Display>>(
    what: &'static str,
    text: &str,
) -> Result<Option<T>, Unreadable> {
    if text.is_empty() { Ok(None) } else { typed(what, text).map(Some) }
}

/// A type of its own as a field, where absent is empty.
pub(crate) fn text<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// RFC 3339 in UTC.
pub(crate) fn time(what: &'static str, text: &str) -> Result<Timestamp, Unreadable> {
    typed(what, text)
}

pub(crate) fn outcome(text: &str) -> Result<Outcome, Unreadable> {
    let found = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text);
    found.ok_or_else(|| Unreadable::new("outcome", format!("'{text}' is no outcome")))
}

pub(crate) fn summary(counts: BTreeMap<String, u64>) -> Result<Summary, Unreadable> {
    let mut summary = Summary::default();
    for (word, count) in counts {
        summary.add_many(outcome(&word)?, count);
    }
    Ok(summary)
}

pub(crate) fn counts(summary: &Summary) -> BTreeMap<String, u64> {
    summary.0.iter().map(|(outcome, count)| (outcome.as_str().to_owned(), *count)).collect()
}

pub(crate) fn keys(keys: Vec<proto::ObjectKey>) -> Vec<ObjectKey> {
    keys.into_iter().map(|key| ObjectKey::new(key.kind, key.name)).collect()
}

pub(crate) fn proto_keys(keys: Vec<ObjectKey>) -> Vec<proto::ObjectKey> {
    keys.into_iter().map(|key| proto::ObjectKey { kind: key.kind.into_owned(), name: key.name }).collect()
}

/// Reads every element.
pub(crate) fn all<P, T: TryFrom<P, Error = Unreadable>>(from: Vec<P>) -> Result<Vec<T>, Unreadable> {
    from.into_iter().map(T::try_from).collect()
}

/// Turns every element.
pub(crate) fn each<T: Into<P>, P>(from: Vec<T>) -> Vec<P> {
    from.into_iter().map(Into::into).collect()
}

/// A JSON body stands as JSON in JSON; nothing stands as null.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(crate) fn body_as_json<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    if body.is_empty() {
        return serializer.serialize_none();
    }
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => serde::Serialize::serialize(&value, serializer),
        Err(error) => Err(serde::ser::Error::custom(format!("the body is no JSON: {error}"))),
    }
}
