//! The three JWTs (2-protocol.md, "Keys and tokens"): enrolment, node, user. `EdDSA`, named by `kid`.
//!
//! No clock in here: who checks a token says what time it is.

mod claims;
mod enrollment;
mod node;
mod user;

pub use claims::TokenError;
pub use enrollment::{EnrollmentClaims, MAX_ENROLLMENT_SECONDS, UnverifiedEnrollment};
pub use node::{Confirmation, NodeClaims, REATTEST_SECONDS, UnverifiedNode};
pub use user::{Role, Scope, UnknownRole, UserClaims};
