//! What every backend does, with the real programs and real guests: the same scenarios over each backend that works on
//! this machine. Those that don't are named with the reason, and count nothing as passed.
//!
//! `cargo test -p aegis-tests --test conformance -- qemu::exit` runs those whose name has this in it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "tests, with a main of their own"
)]

mod apps;
mod commands;
mod crash;
mod declared;
mod execs;
mod fleet;
mod guests;
mod hostile;
mod images;
mod lifecycle;
mod limits;
mod network;
mod router;
mod secrets;
mod stage;
mod suite;

/// Names the scenarios of a module.
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        pub const SCENARIOS: &[$crate::suite::Scenario] =
            &[$($crate::suite::Scenario { name: stringify!($name), run: $name }),+];
    };
}
use scenarios;

fn main() -> std::process::ExitCode {
    suite::main(&[
        // The longest first: what is left at the end is short.
        crash::SCENARIOS,
        lifecycle::SCENARIOS,
        declared::SCENARIOS,
        fleet::SCENARIOS,
        commands::SCENARIOS,
        apps::SCENARIOS,
        execs::SCENARIOS,
        guests::SCENARIOS,
        limits::SCENARIOS,
        network::SCENARIOS,
        router::SCENARIOS,
        secrets::SCENARIOS,
        images::SCENARIOS,
        hostile::SCENARIOS,
    ])
}
