//! A request as handlers see it, and what they answer.

use std::convert::Infallible;

use aegis_wire::runtime::RuntimeError;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};

/// A request.
#[derive(Debug)]
pub(super) struct Call {
    /// What stands where the path has names in braces.
    segments: Vec<String>,
    query: Vec<(String, String)>,
    pub content: Content,
    pub body: Body,
}

/// What a body is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Json,
    /// One JSON value a line, as they come.
    Lines,
}

/// A request's body.
#[derive(Debug)]
pub(super) enum Body {
    Whole(Bytes),
    Stream(Incoming),
}

/// What a handler answers.
pub(super) enum Answer {
    /// A JSON body.
    Json(StatusCode, Bytes),
    /// NDJSON, as it comes.
    Lines(UnsyncBoxBody<Bytes, Infallible>),
    /// 204.
    Done,
}

impl Answer {
    pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Self, RuntimeError> {
        let bytes = serde_json::to_vec(value).map_err(|error| RuntimeError::internal(error.to_string()))?;
        Ok(Self::Json(status, bytes.into()))
    }

    pub fn ok(value: &impl Serialize) -> Result<Self, RuntimeError> {
        Self::json(StatusCode::OK, value)
    }

    pub fn created(value: &impl Serialize) -> Result<Self, RuntimeError> {
        Self::json(StatusCode::CREATED, value)
    }
}

impl Call {
    pub fn new(
        segments: Vec<String>,
        query: &str,
        content: Content,
        body: Body,
    ) -> Result<Self, RuntimeError> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        Ok(Self { segments, query: pairs.collect::<Result<_, RuntimeError>>()?, content, body })
    }

    /// The path's variable segment at this place.
    pub fn segment(&self, at: usize) -> &str {
        self.segments.get(at).map_or("", String::as_str)
    }

    /// What the query says of `name`.
    pub fn query<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, RuntimeError> {
        let Some((_, value)) = self.query.iter().find(|(key, _)| key == name) else { return Ok(None) };
        let wrong = |_| RuntimeError::bad_request(format!("'{value}' can't be the query's {name}"));
        value.parse().map(Some).map_err(wrong)
    }

    /// The body as a value; an empty one is the value's default where it has one as JSON: `{}`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, RuntimeError> {
        let bytes: &[u8] = match &self.body {
            Body::Whole(bytes) if bytes.is_empty() => b"{}",
            Body::Whole(bytes) => bytes,
            Body::Stream(_) => return Err(RuntimeError::bad_request("a stream isn't taken here")),
        };
        read(bytes)
    }
}

/// A value of a body. What is wrong is said without repeating the body: it may be a secret's.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RuntimeError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let message = match error.classify() {
            serde_json::error::Category::Data => describe(&error),
            _ => format!("it is no JSON: line {}, column {}", error.line(), error.column()),
        };
        RuntimeError::bad_request(format!("the body can't be read: {message}"))
    })
}

/// What serde says of fields is safe; what it says of types repeats values.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let is_about_fields =
        ["unknown field", "missing field", "duplicate field"].iter().any(|p| text.starts_with(p));
    if is_about_fields {
        text
    } else {
        format!("a value has the wrong type: line {}, column {}", error.line(), error.column())
    }
}

/// Decodes what is percent-encoded.
pub(super) fn decode(text: &str) -> Result<String, RuntimeError> {
    let wrong = || RuntimeError::bad_request("the path or query has a broken % in it");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| {
                    byte.and_then(|byte| char::from(byte).to_digit(16)).and_then(|d| u8::try_from(d).ok())
                };
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                high.zip(low).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}
