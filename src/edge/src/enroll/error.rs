//! Why a host couldn't enrol, and what became of its token.

use aegis_core::ExitCode;
use aegis_wire::{ApiError, Code, Reason, keys::KeyError, token::TokenError};

use crate::{
    bootstrap::BootstrapError,
    config::{ConfigError, RewriteError},
    proxy::ProxyError,
    state::{LockError, StateError},
};

/// Whether an enrolment token can be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFate {
    /// It wasn't redeemed.
    Usable,
    /// It was redeemed, now or before.
    Burnt,
    /// The connection broke before the answer came.
    Unknown,
}

/// Why a host couldn't enrol.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The text isn't an enrolment token.
    #[error("this is no enrolment token: {0}")]
    Token(#[from] TokenError),
    /// It came too late.
    #[error("the enrolment token expired at {0}")]
    Expired(jiff::Timestamp),
    /// What is there already.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// A file.
    #[error(transparent)]
    State(#[from] StateError),
    /// Another process changes the key.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The config that is there.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The config can't be completed in place.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// The key on disk, or no random numbers.
    #[error("node.key: {0}")]
    Key(#[from] KeyError),
    /// The proxy variables.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The controller couldn't be reached or didn't give a nonce: nothing was redeemed.
    #[error("{0}; the enrolment token wasn't used")]
    Unreached(#[source] ApiError),
    /// The controller refused the challenge, or the connection broke. What became of the token is in its reason.
    #[error("{said}{fate}", said = .0, fate = fate_text(.0))]
    Challenge(#[source] ApiError),
    /// The controller answered with something that isn't ours.
    #[error("the controller's answer is refused: {0}")]
    Answer(String),
}

impl EnrollError {
    /// What became of the enrolment token; `None` when it never came to that.
    pub fn token_fate(&self) -> Option<TokenFate> {
        match self {
            Self::Unreached(_) => Some(TokenFate::Usable),
            Self::Challenge(error) => Some(fate(error)),
            Self::Answer(_) => Some(TokenFate::Burnt),
            _ => None,
        }
    }

    /// The code that the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Token(_) | Self::Config(_) | Self::Rewrite(_) | Self::Proxy(_) => ExitCode::Invalid,
            Self::Expired(_) | Self::Answer(_) => ExitCode::Unauthorized,
            Self::Bootstrap(error) => error.exit_code(),
            Self::State(_) | Self::Lock(_) | Self::Key(_) => ExitCode::Generic,
            // The key or the node isn't wanted; a nonce that ran out is nobody's argument.
            Self::Challenge(error) if error.code == Code::Conflict => ExitCode::Unauthorized,
            Self::Challenge(error) if error.code == Code::Invalid => ExitCode::Generic,
            Self::Unreached(error) | Self::Challenge(error) => error.code.exit_code(),
        }
    }

    /// The way out.
    pub fn hint(&self) -> Option<String> {
        const FRESH: &str = "make a new one with 'aegis controller enrollment-token create --label NAME'";
        match self {
            Self::Token(_) => {
                Some("copy the whole token; 'aegis controller enrollment-token create' makes one".into())
            }
            Self::Expired(_) => Some(FRESH.to_owned()),
            Self::Bootstrap(error) => error.hint().map(ToOwned::to_owned),
            Self::Config(error) | Self::Rewrite(RewriteError::Invalid(error)) => error.hint(),
            Self::Rewrite(_) => {
                Some("write the three fields by hand, or take a new file with '--force'".to_owned())
            }
            Self::Unreached(error) | Self::Challenge(error) if error.hint.is_some() => error.hint.clone(),
            Self::Challenge(error) if fate(error) != TokenFate::Usable => Some(FRESH.to_owned()),
            Self::Answer(_) => Some("ask who runs the controller, then take a new token".to_owned()),
            Self::Lock(_) => Some("wait until that has ended; the enrolment token wasn't used".to_owned()),
            Self::State(_) | Self::Key(_) | Self::Proxy(_) | Self::Unreached(_) | Self::Challenge(_) => None,
        }
    }
}

/// Only an answer can be believed: without one, the redemption may have happened or not.
fn fate(error: &ApiError) -> TokenFate {
    match (error.reason, error.code) {
        (Some(Reason::TokenBurnt), _) => TokenFate::Burnt,
        (None, Code::Unavailable | Code::Internal) => TokenFate::Unknown,
        // Refused on other grounds, and refusing comes before redeeming.
        _ => TokenFate::Usable,
    }
}

/// What the controller's message doesn't say: one with a reason speaks of the token itself.
fn fate_text(error: &ApiError) -> &'static str {
    match (error.reason, fate(error)) {
        (Some(_), _) => "",
        (None, TokenFate::Unknown) => "; the enrolment token may have been used",
        (None, TokenFate::Usable | TokenFate::Burnt) => "; the enrolment token wasn't used",
    }
}
