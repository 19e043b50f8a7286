//! The controller: it enrols hosts, holds their streams, answers operators, and keeps what is declared.
//!
//! [`run`] is the story of `aegis controller run`: open the store, find or make the identity, listen, write the admin
//! context, say that it is ready, serve, stop. [`serve`] is its second half with everything injected, for tests.

mod assignments;
mod audit;
mod background;
mod backup;
pub mod clock;
mod comings;
pub mod config;
mod context;
mod contexts;
mod edges;
mod enrollment;
mod error;
mod files;
mod greeting;
mod identity;
mod keyspace;
mod live;
mod nodes;
mod nonces;
mod operator;
mod rate;
mod reattestation;
mod rollouts;
mod rotation;
mod run;
mod runs;
mod session;
mod state;
#[cfg(test)]
mod testing;
mod tokens;
mod verifier;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use backup::{BackupError, restore};
pub use clock::{Clock, SystemClock, TokioClock};
pub use config::{ControllerConfig, EnrollmentLimits, TlsFiles};
pub use error::RunError;
pub use run::{Environment, Options, run, serve};

/// Locks. Every change under one of these locks is complete before anything that may panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a caller is told when it is nobody's fault but the controller's.
fn failed(error: impl std::fmt::Display) -> aegis_wire::ApiError {
    aegis_wire::ApiError::internal(error.to_string()).hint("look at the controller's log and its disk")
}
