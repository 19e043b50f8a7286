//! What a call to the daemon fails with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A failed call: its HTTP status and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuntimeError {
    /// 400, 404, 409, 413, 422 or 500.
    pub status: u16,
    /// A word that a program may act on, such as `not_found`.
    pub code: String,
    /// What is wrong, to which object.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl RuntimeError {
    /// The code when nobody listens at the socket.
    pub const NOT_RUNNING: &str = "not_running";
    /// The code when the connection broke.
    pub const BROKEN: &str = "broken";

    /// There is no daemon to ask.
    pub fn not_running() -> Self {
        Self::new(503, Self::NOT_RUNNING, "aegisd isn't running").hint("`aegis up` starts it")
    }
    /// An error with this status and code.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), hint: None }
    }
    /// The request can't be read.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "bad_request", message)
    }
    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "not_found", message)
    }
    /// It is in a state in which that can't be done.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "conflict", message)
    }
    /// It is more than is allowed.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, "too_large", message)
    }
    /// It can be read, and can't be right.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(422, "invalid", message)
    }
    /// The daemon or the host failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "internal", message)
    }
    /// The way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The body of a failed call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorDetail,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorDetail {
    /// A word that a program may act on.
    pub code: String,
    /// What is wrong, to which object.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
