//! Why a stream ends, and what the daemon is told.

use aegis_core::{fleet::CommandId, session::EndReason};
use aegis_wire::{ApiError, Reason, envelope::OpenError};

/// Why a stream ends, and what the daemon is told.
#[derive(Debug)]
pub(crate) enum End {
    /// As the state machine says.
    Reason(EndReason),
    /// The other side's connection is gone.
    Gone(String),
    /// An envelope broke a rule.
    Envelope(OpenError),
    /// Hello wasn't accepted; nothing was connected.
    Refused(ApiError),
    /// Nor was this one. Which rule it broke is for the audit log: the other side gets one answer for a node that
    /// isn't there, a key that isn't its key, and a token that isn't its token.
    NotAccepted(&'static str),
    /// The node token has ended and wasn't renewed.
    TokenEnded,
    /// The node has another key by now, and its time to change over has passed.
    Rotated,
    /// A command sent more output than it was allowed to.
    TooMuch(CommandId),
    /// The store failed.
    Failed(String),
}

impl From<aegis_store::StoreError> for End {
    fn from(error: aegis_store::StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reason(reason) => reason.fmt(f),
            Self::Gone(why) | Self::Failed(why) => f.write_str(why),
            Self::Envelope(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
            Self::NotAccepted(rule) => f.write_str(rule),
            Self::TokenEnded => f.write_str("the node token has ended"),
            Self::TooMuch(command) => write!(f, "{command} sent more output than it was given credit for"),
            Self::Rotated => f.write_str("the node has another key by now; connect with that"),
        }
    }
}

impl End {
    /// What the daemon is told; nothing when it is gone.
    pub(super) fn into_error(self) -> Option<ApiError> {
        let message = self.to_string();
        Some(match self {
            Self::Gone(_) | Self::Reason(EndReason::Closed) => return None,
            Self::Refused(error) => error,
            Self::NotAccepted(_) => not_accepted(),
            Self::Reason(EndReason::Revoked) => revoked(),
            Self::Rotated | Self::Reason(EndReason::Stopping | EndReason::Silent) => {
                ApiError::unavailable(message)
            }
            Self::Reason(EndReason::Replaced) => {
                ApiError::conflict(message).hint("another daemon runs with the same key; stop one of the two")
            }
            Self::Reason(_) | Self::Envelope(_) | Self::TooMuch(_) => ApiError::invalid(message),
            Self::TokenEnded => {
                ApiError::unauthenticated(message).reason(Reason::TokenEnded).hint("aegis edge enroll TOKEN")
            }
            Self::Failed(_) => ApiError::internal(message),
        })
    }
}

/// What anybody is told who isn't let in, whichever rule was broken.
pub(crate) fn not_accepted() -> ApiError {
    ApiError::unauthenticated("the node's key or token isn't accepted").hint("aegis edge enroll TOKEN")
}

/// What a revoked node is told.
pub(crate) fn revoked() -> ApiError {
    ApiError::permission_denied("the node was revoked")
        .reason(Reason::Revoked)
        .hint("aegis edge enroll TOKEN --force, with a new token")
}
