//! Tools: what a host can be asked to do, with which arguments, and whether that changes anything.

pub mod arguments;
mod builtin;
mod check;
mod class;
mod descriptor;
mod pairs;
#[cfg(test)]
mod tests;

pub use builtin::{BUILTINS, Builtin, find};
pub use check::{ArgumentError, Checker, check_arguments};
pub use class::ToolClass;
pub use descriptor::{ToolDescriptor, check_descriptor};
pub use pairs::from_pairs;

/// The local tool that `shell` needs, and `cmd.run` where it is given `cmd`.
pub const SHELL: &str = "shell";
/// The family of tools that concern the daemon itself. No context grants them; the controller asks for an operator.
pub const DAEMON_FAMILY: &str = "edge";

/// The family of a tool: what stands before its first dot.
pub fn family(tool: &str) -> &str {
    tool.split_once('.').map_or(tool, |(family, _)| family)
}
