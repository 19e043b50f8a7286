//! The stream between daemon and controller as state machines (2-protocol.md, "Envelopes" and "The stream").
//!
//! They are told what happened and when, and say what to do. Times are monotonic, since any fixed point;
//! only the envelope check compares wall clocks, since that is what an envelope carries.

use std::time::Duration;

mod daemon;
mod registry;
mod sequence;
mod server;
#[cfg(test)]
mod tests;

pub use daemon::{Action, Daemon, DaemonState, Exit, Input, Refused};
pub use registry::{Attached, Generation, Registry};
pub use sequence::{Header, Inbound, Outbound, Rejection};
pub use server::{EndReason, NodeStream, StreamInput, StreamState};

/// The first event, Hello, must come within this time of the stream's begin.
pub const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// A daemon sends a heartbeat at least this often.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);
/// After so long without an event a node counts as disconnected.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(90);
/// How far an envelope's time may be off, in milliseconds, to either side.
pub const CLOCK_TOLERANCE_MS: u64 = 30_000;
/// An attempt to connect that takes longer has failed.
pub const DIAL_WITHIN: Duration = Duration::from_secs(30);
