//! What is wrong with a config file, and where.

use std::path::PathBuf;

use aegis_core::diagnostic::Diagnostic;

use crate::state::StateError;

/// Why a config file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It can't be read.
    #[error(transparent)]
    Read(#[from] StateError),
    /// There is none.
    #[error("there is no config at {}", .0.display())]
    Missing(PathBuf),
    /// Its content is wrong. Shown with file, line and column.
    #[error("{0}")]
    Invalid(Box<Diagnostic>),
}

impl ConfigError {
    /// The way out.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read(_) => None,
            Self::Missing(_) => {
                Some("run 'aegis edge enroll TOKEN', or name the file with --config".to_owned())
            }
            Self::Invalid(diagnostic) => diagnostic.help.clone(),
        }
    }
}
