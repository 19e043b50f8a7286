//! Support for tests with the real programs: each gets its own directory, its own controller on a free port of the
//! loopback, and its own daemons; every process that it starts is killed, by its handle, when the test lets go of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "support for tests: a failure is theirs"
)]

mod controller;
mod daemon;
mod files;
pub mod fleet;
mod notify;
mod output;
mod process;
mod program;
pub mod runtime;
mod terminal;
mod wait;
mod world;

pub use controller::Controller;
pub use daemon::Daemon;
pub use files::{copy_dir, mode, snapshot};
pub use notify::NotifySocket;
pub use output::{Output, is_rfc3339_utc};
pub use process::Process;
pub use program::{Program, binary, words};
pub use terminal::Terminal;
pub use wait::{SOON, eventually, unix_seconds};
pub use world::World;
