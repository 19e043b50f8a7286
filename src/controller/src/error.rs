//! Why a controller doesn't start, or stops.

use std::{
    fmt::Display,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use aegis_store::StoreError;
use aegis_wire::{Endpoint, tls::CertificateError};

/// Why a controller doesn't start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file couldn't be read or written.
    #[error("{path}: {reason}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The config file is wrong.
    #[error("{path}: {reason}")]
    Config {
        /// Which.
        path: PathBuf,
        /// What is wrong, with its place.
        reason: String,
    },
    /// A file of the data directory isn't what it should be.
    #[error("{path} is damaged: {reason}; restore a backup with 'aegis controller restore FILE'")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The public endpoint is one that nobody can connect to.
    #[error("nobody can connect to '{0}'; give --public-endpoint the host name and port that daemons use")]
    WildcardEndpoint(Endpoint),
    /// Without TLS, nobody but this machine may connect.
    #[error("plain text on {0} is refused, it isn't loopback; listen on 127.0.0.1, or leave 'plaintext' out")]
    Plaintext(SocketAddr),
    /// The address is taken, or not this machine's.
    #[error("can't listen on {address}: {reason}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificates.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Serving ended with an error.
    #[error("the server failed: {0}")]
    Serve(String),
}

impl RunError {
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io { path: path.to_owned(), reason: error.to_string() }
    }
    pub(crate) fn damaged(path: &Path, reason: &dyn Display) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.to_string() }
    }
}
