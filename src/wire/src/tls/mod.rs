//! TLS: the controller's CA and certificate, and the client that knows the CA by its fingerprint.

mod authority;
mod config;
mod facts;
mod pin;

pub use authority::{Authority, CertificateError, Issued};
pub(crate) use config::client_config;
pub use config::{ServerIdentity, TlsConfig};
pub use facts::CertificateFacts;
pub use pin::CaFingerprint;
pub(crate) use pin::untrusted_reason;
