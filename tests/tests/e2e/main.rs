//! The whole by its real programs: controllers and daemons as processes, on free ports of the loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod apps;
mod bootstrap;
mod contexts;
mod contracts;
mod crash;
mod daemon;
mod declarative;
mod dry_run;
mod envelopes;
mod fleet;
mod hundred;
mod offline;
mod operations;
mod output;
mod ownership;
mod prune;
mod rollouts;
mod rotation;
mod routing;
mod runs_of_tenants;
mod runtime_cli;
mod runtime_crash;
mod runtime_fake;
mod security;
mod shapes;
mod tenants;
mod terminal;
mod trees;
