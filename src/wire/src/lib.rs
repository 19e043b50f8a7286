//! What travels between the programs: identity, signed envelopes, tokens, TLS with a pinned CA, and the gRPC services.
//!
//! This is the only crate that names protobuf or tonic types. Everyone else sees plain structs, streams and traits:
//! [`edge`] for the daemon's stream, [`enrollment`] for first contact, [`operator`] for the CLI and pipelines,
//! [`runtime`] for `aegisd`, [`server`] and [`dial`] for the two ends of a connection.

mod codec;
pub mod dial;
pub mod edge;
pub mod endpoint;
pub mod enrollment;
pub mod envelope;
pub mod error;
mod first_message;
mod incoming;
pub mod keys;
pub mod operator;
pub mod reason;
pub mod runtime;
pub mod seal;
pub mod server;
pub mod tls;
pub mod token;

pub use endpoint::Endpoint;
pub use envelope::{Envelope, Unverified, Verified};
pub use error::{ApiError, Code};
pub use keys::{PublicKey, ServerKey, ServerSigningKey, SigningKey};
pub use reason::Reason;
pub use tls::CaFingerprint;

/// The protobuf code, made from `proto/` by `tests/generated.rs`.
#[allow(clippy::pedantic, clippy::nursery, missing_docs, reason = "generated code")]
mod proto {
    include!("gen/aegis.v1.rs");
}
