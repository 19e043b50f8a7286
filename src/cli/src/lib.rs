//! The `aegis` command: one file a command, renderers, and nothing else.
//!
//! A command's file holds an args struct whose doc comment is its help, and one function. What a command does is the
//! engine's business; what went wrong is mapped once, in [`failure`], to a message, a hint and an exit code.

#![allow(clippy::doc_markdown, reason = "the comments of commands are their help, shown without backticks")]
#![allow(clippy::struct_excessive_bools, reason = "flags are booleans")]
#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "text for people, a few lines at a time"
)]

mod assigned;
mod cli;
mod command;
mod context;
mod declared;
mod deliveries;
mod doctor;
mod environment;
mod exit;
mod failure;
mod fleet;
mod interrupt;
mod local;
mod manifests;
mod output;
mod past;
mod paths;
mod plan_cache;
mod realm;
mod realms;
mod reconcile;
mod reference;
mod render;
mod rollouts;
mod runtime_realm;
mod schema;
mod secret_values;
mod settle;
mod terminal;
mod tool_args;

use std::process::ExitCode;

use clap::Parser;

pub use cli::Cli;
pub use reference::{cli_reference, completions, environment_reference, kinds_reference, man_pages};
pub use schema::{all_schemas, document_schema};

/// Reads the arguments, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run() {
        Ok(code) => code.into(),
        Err(failure) => {
            failure.print();
            failure.exit.code().into()
        }
    }
}
