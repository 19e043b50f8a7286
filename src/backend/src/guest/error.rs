//! What goes wrong between the host and a guest.

use std::{io, sync::Arc, time::Duration};

/// Why a guest didn't do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// Its first line wasn't the one with its token, or what followed wasn't its hello.
    #[error("the guest isn't the one that was started: {0}")]
    Greeting(&'static str),
    /// It speaks another version.
    #[error(
        "the guest's harness speaks version {0} of the protocol, {expected} is needed",
        expected = aegis_harness::VERSION
    )]
    Version(u32),
    /// It couldn't become what the setup said.
    #[error("the guest couldn't be set up: {0}")]
    Setup(String),
    /// A process couldn't be started.
    #[error("{reason}")]
    NotStarted {
        /// 127: no such program; 126: it can't be executed.
        code: i32,
        /// As the harness says it.
        reason: String,
    },
    /// Nobody listens on a port.
    #[error("port {port} of the guest: {reason}")]
    Refused {
        /// Which.
        port: u16,
        /// As the harness says it.
        reason: String,
    },
    /// It wasn't ready in time.
    #[error("the guest wasn't ready after {} s", .0.as_secs())]
    TimedOut(Duration),
    /// A message is larger than a frame may be.
    #[error("the command and its environment are {size} bytes long, {most} is the most", most = aegis_harness::frame::MAX_CONTROL)]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The channel is gone.
    #[error("the guest is gone: {0}")]
    Closed(Arc<str>),
}

impl From<GuestError> for io::Error {
    fn from(error: GuestError) -> Self {
        let kind = match &error {
            GuestError::Refused { .. } => io::ErrorKind::ConnectionRefused,
            GuestError::TimedOut(_) => io::ErrorKind::TimedOut,
            GuestError::Closed(_) => io::ErrorKind::BrokenPipe,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
