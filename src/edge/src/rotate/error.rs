//! Why a host has no new key or token, and which of the keys it has counts.

use aegis_core::ExitCode;
use aegis_wire::{ApiError, Code, Reason, keys::KeyError};

use crate::{
    proxy::ProxyError,
    run::RunError,
    state::{LockError, StateError},
};

/// Why a host has no new key or token.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// Another process rotates on this host.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file.
    #[error(transparent)]
    State(#[from] StateError),
    /// The host isn't enrolled, or its config names no controller.
    #[error(transparent)]
    Host(#[from] RunError),
    /// The proxy variables.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// No random numbers.
    #[error("can't make a key: {0}")]
    Key(#[source] KeyError),
    /// The controller couldn't be reached, or gave no nonce.
    #[error("{0}; nothing was changed")]
    Unreached(#[source] ApiError),
    /// It said no.
    #[error("{0}; nothing was changed")]
    Refused(#[source] ApiError),
    /// The connection broke before its answer came.
    #[error("{0}; the controller may have taken the new key, so both keys are kept")]
    Unanswered(#[source] ApiError),
    /// It answered with something that isn't ours.
    #[error("the controller's answer is refused: {0}; both keys are kept")]
    Answer(String),
    /// It takes neither the key that the node had nor the one that a rotation was going to give it.
    #[error("{0}; the controller takes neither node.key nor node.key.next, both are kept")]
    Neither(#[source] ApiError),
}

impl RotateError {
    /// The second call failed. Only an answer can be believed: without one, the key may have been taken or not.
    pub(super) fn of_answer(error: ApiError) -> Self {
        match (error.reason, error.code) {
            (None, Code::Unavailable | Code::Internal) => Self::Unanswered(error),
            _ => Self::Refused(error),
        }
    }

    /// The same of a rotation that was begun before.
    pub(super) fn of_begun(self) -> Self {
        match self {
            Self::Refused(error) if is_final(&error) => Self::Neither(error),
            other => other,
        }
    }

    /// The same where the key stays: whatever happened, the token on disk is as good as before.
    pub(super) fn of_refresh(self) -> Self {
        match self {
            Self::Unanswered(error) => Self::Unreached(error),
            other => other,
        }
    }

    /// Whether the controller has certainly not taken the new key.
    pub(super) const fn leaves_key_unused(&self) -> bool {
        matches!(self, Self::Host(_) | Self::Proxy(_) | Self::Unreached(_) | Self::Refused(_))
    }

    /// What the controller, or the way to it, said.
    pub const fn said(&self) -> Option<&ApiError> {
        match self {
            Self::Unreached(error)
            | Self::Refused(error)
            | Self::Unanswered(error)
            | Self::Neither(error) => Some(error),
            _ => None,
        }
    }

    /// The code that the process ends with.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Lock(_) | Self::State(_) | Self::Key(_) => ExitCode::Generic,
            Self::Host(error) => error.exit_code(),
            Self::Proxy(_) => ExitCode::Invalid,
            Self::Answer(_) => ExitCode::Unauthorized,
            // A nonce that ran out is nobody's argument.
            Self::Unreached(error)
            | Self::Refused(error)
            | Self::Unanswered(error)
            | Self::Neither(error) => match error.code {
                Code::Invalid => ExitCode::Generic,
                code => code.exit_code(),
            },
        }
    }

    /// The way out.
    pub fn hint(&self) -> Option<String> {
        const ENROLL: &str = "run 'aegis edge enroll TOKEN'";
        const AGAIN: &str = "say it again: it goes on where it was; so does the daemon when it starts";
        match self {
            Self::Unreached(error)
            | Self::Refused(error)
            | Self::Unanswered(error)
            | Self::Neither(error)
                if error.hint.is_some() =>
            {
                error.hint.clone()
            }
            Self::Lock(LockError::Rotating(_)) => {
                Some("wait until it has ended; 'aegis edge status' shows the key and the token".to_owned())
            }
            Self::Host(error) => error.hint(),
            Self::Neither(_) => Some(ENROLL.to_owned()),
            Self::Refused(error) if is_final(error) => Some(ENROLL.to_owned()),
            Self::Unanswered(_) => Some(AGAIN.to_owned()),
            Self::Answer(_) => {
                Some("compare the clocks, and ask who runs the controller; then say it again".to_owned())
            }
            Self::Unreached(_) | Self::Refused(_) => Some("say it again".to_owned()),
            Self::Lock(_) | Self::State(_) | Self::Proxy(_) | Self::Key(_) => None,
        }
    }
}

/// Whether asking again is pointless: not when the clocks differ, and not when too many asked at once.
fn is_final(error: &ApiError) -> bool {
    let no = matches!(error.code, Code::Unauthenticated | Code::PermissionDenied | Code::Conflict);
    no && error.reason != Some(Reason::ClockSkew)
}
