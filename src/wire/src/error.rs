//! What a call can fail with, on both sides: a code, a reason where a program acts on one, a message, and a hint.

use std::{error::Error, fmt};

use aegis_core::ExitCode;
use tonic::{Status, metadata::MetadataValue};

use crate::{dial::DialError, reason::Reason};

/// Carries the hint beside a gRPC status. Binary, because hints may hold any text.
const HINT: &str = "aegis-hint-bin";
/// Carries the reason beside a gRPC status.
const REASON: &str = "aegis-reason";

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Nobody, or a token that is expired, revoked or not ours.
    Unauthenticated,
    /// Somebody, but the role doesn't allow it.
    PermissionDenied,
    /// Not there, or another tenant's.
    NotFound,
    /// The other side can't be reached, or the connection broke.
    Unavailable,
    /// The request can't be right.
    Invalid,
    /// It changed in the meantime, or it is taken.
    Conflict,
    /// Too many requests, or a message too large.
    Exhausted,
    /// Fewer targets than were asked for; nothing was begun.
    TooFew,
    /// A defect, or a disk that is full.
    Internal,
    /// The server's certificate isn't from the pinned CA, or isn't for this name. Only ever said by a client.
    UntrustedServer,
}

impl Code {
    /// What a program ends with when a call failed with this (docs/adr/0010-exit-codes.md). The one mapping.
    pub const fn exit_code(self) -> ExitCode {
        match self {
            Self::Unauthenticated | Self::PermissionDenied | Self::UntrustedServer => ExitCode::Unauthorized,
            Self::NotFound => ExitCode::Unavailable,
            Self::Invalid => ExitCode::Invalid,
            Self::TooFew => ExitCode::RequireMin,
            Self::Unavailable | Self::Conflict | Self::Exhausted | Self::Internal => ExitCode::Generic,
        }
    }
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Its kind.
    pub code: Code,
    /// What a program may act on, where the code says too little. Nobody acts on the message.
    pub reason: Option<Reason>,
    /// What happened, short, in lower case.
    pub message: String,
    /// A command to run, or another way out.
    pub hint: Option<String>,
}

impl ApiError {
    /// A failure without a reason or a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, reason: None, message: message.into(), hint: None }
    }
    /// Adds what a program may act on.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<Option<Reason>>) -> Self {
        self.reason = reason.into();
        self
    }
    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// [`Code::Unauthenticated`].
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, message)
    }
    /// [`Code::PermissionDenied`].
    pub fn permission_denied(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, message)
    }
    /// [`Code::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }
    /// [`Code::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }
    /// [`Code::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }
    /// [`Code::Conflict`].
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::Conflict, message)
    }
    /// [`Code::Exhausted`].
    pub fn exhausted(message: impl Into<String>) -> Self {
        Self::new(Code::Exhausted, message)
    }
    /// [`Code::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// The other side sent something that no version of ours sends.
    pub(crate) fn unreadable(what: &str, why: impl fmt::Display) -> Self {
        Self::internal(format!("the answer has an unreadable {what}: {why}"))
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Status {
        let code = match error.code {
            Code::Unauthenticated => tonic::Code::Unauthenticated,
            Code::PermissionDenied => tonic::Code::PermissionDenied,
            Code::NotFound => tonic::Code::NotFound,
            Code::Unavailable => tonic::Code::Unavailable,
            Code::Invalid => tonic::Code::InvalidArgument,
            Code::Conflict => tonic::Code::Aborted,
            Code::Exhausted => tonic::Code::ResourceExhausted,
            Code::TooFew => tonic::Code::FailedPrecondition,
            Code::Internal | Code::UntrustedServer => tonic::Code::Internal,
        };
        let mut status = Status::new(code, error.message);
        if let Some(reason) = error.reason {
            status.metadata_mut().insert(REASON, MetadataValue::from_static(reason.as_str()));
        }
        if let Some(hint) = error.hint {
            status.metadata_mut().insert_bin(HINT, MetadataValue::from_bytes(hint.as_bytes()));
        }
        status
    }
}

impl From<Status> for ApiError {
    fn from(status: Status) -> Self {
        if let Some(dial) = status.source().and_then(DialError::find) {
            return dial.into();
        }
        if let Some(source) = status.source() {
            return Self::broken(source);
        }
        let code = match status.code() {
            tonic::Code::Unauthenticated => Code::Unauthenticated,
            tonic::Code::PermissionDenied => Code::PermissionDenied,
            tonic::Code::NotFound => Code::NotFound,
            tonic::Code::Unavailable | tonic::Code::Cancelled | tonic::Code::DeadlineExceeded => {
                Code::Unavailable
            }
            tonic::Code::FailedPrecondition => Code::TooFew,
            tonic::Code::InvalidArgument | tonic::Code::OutOfRange => Code::Invalid,
            tonic::Code::Aborted | tonic::Code::AlreadyExists => Code::Conflict,
            tonic::Code::ResourceExhausted => Code::Exhausted,
            _ => Code::Internal,
        };
        let hint = status
            .metadata()
            .get_bin(HINT)
            .and_then(|value| value.to_bytes().ok())
            .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        // A word that this version doesn't know is as good as none.
        let reason = status.metadata().get(REASON).and_then(|value| value.to_str().ok()?.parse().ok());
        Self { code, reason, message: status.message().to_owned(), hint }
    }
}

impl ApiError {
    /// The transport failed under a call: the innermost reason is the one that tells something.
    pub(crate) fn broken(source: &(dyn Error + 'static)) -> Self {
        let mut innermost = source;
        while let Some(deeper) = innermost.source() {
            innermost = deeper;
        }
        let why = innermost.to_string();
        // What rustls says, at length and with an address, of a peer that was killed.
        let why = if why.contains("close_notify") { "the other side went away" } else { &why };
        Self::unavailable(format!("the connection broke: {why}"))
    }
}

impl From<DialError> for ApiError {
    fn from(error: DialError) -> Self {
        let code = match &error {
            DialError::Untrusted { .. } => Code::UntrustedServer,
            DialError::PlaintextRefused { .. } => Code::Invalid,
            DialError::Unreachable { .. } | DialError::TimedOut { .. } => Code::Unavailable,
        };
        Self::new(code, error.to_string()).hint(error.way_out())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire_with_its_hint() {
        for code in [
            Code::Unauthenticated,
            Code::PermissionDenied,
            Code::NotFound,
            Code::Unavailable,
            Code::Invalid,
            Code::Conflict,
            Code::Exhausted,
            Code::TooFew,
            Code::Internal,
        ] {
            let error = ApiError::new(code, "tag 'é' is no tag").hint("run 'aegis edge ls' — then retry\n");
            assert_eq!(ApiError::from(Status::from(error.clone())), error);
        }
    }

    #[test]
    fn every_reason_survives_the_wire_and_an_unknown_one_is_none() {
        for reason in Reason::ALL {
            let error = ApiError::unauthenticated("x").reason(reason);
            assert_eq!(ApiError::from(Status::from(error)).reason, Some(reason));
        }
        let mut status = Status::unauthenticated("x");
        status.metadata_mut().insert(REASON, MetadataValue::from_static("of_a_later_version"));
        assert_eq!(ApiError::from(status), ApiError::unauthenticated("x"));
    }

    #[test]
    fn every_code_has_its_exit_code() {
        for (code, exit) in [
            (Code::Unauthenticated, ExitCode::Unauthorized),
            (Code::PermissionDenied, ExitCode::Unauthorized),
            (Code::UntrustedServer, ExitCode::Unauthorized),
            (Code::NotFound, ExitCode::Unavailable),
            (Code::Invalid, ExitCode::Invalid),
            (Code::TooFew, ExitCode::RequireMin),
            (Code::Unavailable, ExitCode::Generic),
            (Code::Conflict, ExitCode::Generic),
            (Code::Exhausted, ExitCode::Generic),
            (Code::Internal, ExitCode::Generic),
        ] {
            assert_eq!(code.exit_code(), exit, "{code:?}");
        }
    }

    #[test]
    fn a_server_cannot_claim_to_be_untrusted() {
        let error = ApiError::new(Code::UntrustedServer, "x");
        assert_eq!(ApiError::from(Status::from(error)).code, Code::Internal);
    }
}
