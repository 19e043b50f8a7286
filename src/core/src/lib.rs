//! The pure heart of Aegis: what things are, what a plan is, and every protocol as a state machine.
//!
//! Nothing here does I/O, reads a clock, draws a random number or logs. What needs one of those takes it as a
//! parameter. That is what lets the laws of the system be tested by the million, without a machine in sight.

pub mod backoff;
pub mod diagnostic;
pub mod duration;
pub mod element;
pub mod exit;
pub mod fleet;
pub mod graph;
pub mod id;
pub mod instance;
pub mod kind;
pub mod meta;
pub mod nearest;
pub mod outcome;
pub mod ownership;
pub mod secret;
pub mod selector;
pub mod session;
pub mod word;

pub use duration::HumanDuration;
pub use element::{Effect, Element};
pub use exit::ExitCode;
pub use id::{NodeId, ObjectKey, Owner, Revision, TenantId};
pub use kind::{Kind, Reference, Refusal};
pub use meta::Meta;
pub use outcome::Outcome;
pub use secret::Secret;
