//! Why the daemon can't begin or go on.

use aegis_core::{ExitCode, session::Refused};
use aegis_wire::{keys::KeyError, token::TokenError};

use crate::{
    config::ConfigError,
    proxy::ProxyError,
    state::{LockError, StateError},
};

/// Why the daemon can't begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The config.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A field that the daemon needs isn't in the config.
    #[error("the config has no '{0}'")]
    Incomplete(&'static str),
    /// Another daemon runs here.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file.
    #[error(transparent)]
    State(#[from] StateError),
    /// The proxy variables.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// Key or token are missing.
    #[error("this host isn't enrolled: {0} is missing")]
    NotEnrolled(&'static str),
    /// The key file.
    #[error("node.key can't be used: {0}")]
    Key(#[source] KeyError),
    /// The pinned key of the controller.
    #[error("server.key.pub can't be used")]
    ServerKey,
    /// The token file.
    #[error("node.token can't be used: {0}")]
    Token(#[source] TokenError),
    /// Key and token don't belong together.
    #[error("node.token belongs to another key than node.key")]
    Foreign,
    /// The controller won't have this node.
    #[error("{refused} (the controller says: {said})")]
    Refused {
        /// In our words.
        refused: Refused,
        /// In the controller's.
        said: String,
    },
}

impl RunError {
    /// The code that the process ends with.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Incomplete(_) | Self::Proxy(_) => ExitCode::Invalid,
            Self::Lock(_) | Self::State(_) => ExitCode::Generic,
            Self::NotEnrolled(_)
            | Self::Key(_)
            | Self::ServerKey
            | Self::Token(_)
            | Self::Foreign
            | Self::Refused { .. } => ExitCode::Unauthorized,
        }
    }

    /// The way out.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Lock(_) => {
                Some("'aegis edge status' shows it; another daemon needs a config of its own".to_owned())
            }
            Self::Incomplete(_)
            | Self::NotEnrolled(_)
            | Self::Key(_)
            | Self::ServerKey
            | Self::Token(_)
            | Self::Foreign => Some("run 'aegis edge enroll TOKEN'".to_owned()),
            Self::State(_) | Self::Proxy(_) | Self::Refused { .. } => None,
        }
    }
}
