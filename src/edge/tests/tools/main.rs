//! Tools on a real host: real processes and real files, in directories of the test's own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod files;
mod fixture;
mod processes;
mod refusals;
