//! Why an image can't be had.

use std::{io, path::Path, path::PathBuf, sync::Arc};

use crate::Digest;

/// What kind of problem it is, for whoever maps it to a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The reference can't be read.
    Reference,
    /// There is no such image.
    NotFound,
    /// The registry wants other credentials, or any.
    Unauthorized,
    /// The registry doesn't do its part; later it may.
    Registry,
    /// The image isn't what it should be, or breaks a rule. It never will be right.
    Refused,
    /// Something uses the image.
    InUse,
    /// This machine's disk is full.
    Full,
    /// This machine fails otherwise.
    Host,
}

/// A rule that an image breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("layer {layer} ({digest}){}: {rule}", self.entry_text())]
pub struct Violation {
    /// The layer's place, from 1, the lowest first.
    pub layer: usize,
    /// The layer.
    pub digest: Digest,
    /// The name of the entry in the layer, as far as it can be shown; none when it is about the layer.
    pub entry: Option<String>,
    /// The rule.
    pub rule: String,
}

impl Violation {
    fn entry_text(&self) -> String {
        self.entry.as_ref().map_or_else(String::new, |name| format!(", entry {name}"))
    }
}

/// Why an image can't be had. It is cloned to all who wait for one pull.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ImageError {
    /// Text that is no reference.
    #[error("image reference {text:?} {reason}")]
    Reference {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The source has no such image.
    #[error("no image {reference} in {place}")]
    NotFound {
        /// What was asked for.
        reference: String,
        /// The registry, directory or file.
        place: String,
    },
    /// A digest that isn't in the store.
    #[error("image {0} isn't on this machine")]
    Unknown(Digest),
    /// 401 or 403.
    #[error("{host} doesn't give {repository} {}", if *.had_credentials { "to the credentials found for it" } else { "without credentials" })]
    Unauthorized {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// Whether credentials were found and sent.
        had_credentials: bool,
    },
    /// The registry can't be reached or answers what it shouldn't.
    #[error("registry {host}: {reason}")]
    Registry {
        /// The registry, or the host that it redirected to.
        host: String,
        /// What happened.
        reason: String,
        /// Whether another attempt may go better.
        is_transient: bool,
    },
    /// The other side went silent.
    #[error("registry {host} sent nothing for {} s", seconds(*.idle))]
    Stalled {
        /// The registry, or the host that it redirected to.
        host: String,
        /// For how long.
        idle: std::time::Duration,
    },
    /// Content isn't what its digest says.
    #[error("{what} has the digest {actual} instead of {expected}")]
    WrongDigest {
        /// The content.
        what: String,
        /// Its digest by whoever named it.
        expected: Digest,
        /// Its digest.
        actual: Digest,
    },
    /// Content isn't as long as it should be.
    #[error("{what} is not {expected} bytes long")]
    WrongSize {
        /// The content.
        what: String,
        /// Its length by whoever named it.
        expected: u64,
    },
    /// An index without this machine's architecture.
    #[error("image {reference} has nothing for {wanted}, only {}", .available.join(", "))]
    NoPlatform {
        /// What was asked for.
        reference: String,
        /// This machine's platform.
        wanted: String,
        /// What there is.
        available: Vec<String>,
    },
    /// A document that can't be read, or asks for what isn't done here.
    #[error("{what}: {reason}")]
    Malformed {
        /// The document.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// A rule is broken.
    #[error("image refused: {0}")]
    Refused(Box<Violation>),
    /// An image can't be removed.
    #[error("image {0} is in use")]
    InUse(Digest),
    /// The file system of this machine fails.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: Arc<io::Error>,
    },
    /// A task of this process died.
    #[error("{0} ended before its work was done")]
    Lost(&'static str),
}

fn seconds(duration: std::time::Duration) -> String {
    format!("{}", (duration.as_secs_f64() * 10.0).round() / 10.0)
}

impl ImageError {
    /// An error of this machine's file system at `path`.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source: Arc::new(source) }
    }

    /// A document that can't be read.
    pub(crate) fn malformed(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Malformed { what: what.into(), reason: reason.into() }
    }

    /// A reference that can't be read.
    pub(crate) fn reference(text: &str, reason: impl Into<String>) -> Self {
        Self::Reference { text: text.chars().take(300).collect(), reason: reason.into() }
    }

    /// What kind of problem it is.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Reference { .. } => Problem::Reference,
            Self::NotFound { .. } | Self::Unknown(_) => Problem::NotFound,
            Self::Unauthorized { .. } => Problem::Unauthorized,
            Self::Registry { .. } | Self::Stalled { .. } => Problem::Registry,
            Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::NoPlatform { .. }
            | Self::Malformed { .. }
            | Self::Refused(_) => Problem::Refused,
            Self::InUse(_) => Problem::InUse,
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => Problem::Full,
            Self::File { .. } | Self::Lost(_) => Problem::Host,
        }
    }

    /// A command that may help.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unauthorized { host, .. } => Some(format!("podman login {host}")),
            Self::Unknown(_) => Some("aegis image ls".to_owned()),
            Self::InUse(_) => Some("aegis app ls".to_owned()),
            Self::Registry { reason, .. } if reason.contains("certificate") => {
                Some("sudo apt-get install ca-certificates".to_owned())
            }
            _ if self.problem() == Problem::Full => Some("aegis image prune".to_owned()),
            _ => None,
        }
    }

    /// Whether another attempt may go better.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Stalled { .. } | Self::Registry { is_transient: true, .. })
    }
}
