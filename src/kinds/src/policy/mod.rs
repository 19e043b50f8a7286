//! What an order may do on a host: what the pushed context, the host's own policy and its mount points grant together.
//! Whatever none of them grants is refused (1-product.md, decision 7; 2-protocol.md, "Envelopes").

mod combine;
mod denied;
mod domain;
mod grant;
mod path;
mod pattern;
#[cfg(test)]
mod tests;

pub use combine::grants;
pub use denied::{Denied, Side};
pub use grant::Grant;

pub(crate) use domain::is_domain_pattern;
pub(crate) use pattern::{is_command, is_tool_pattern};

use crate::{
    Capability, SecurityContextSpec, UniqueSet,
    tool::{BUILTINS, ToolClass},
};

/// The name of the context that hosts have before anything is pushed.
pub const DEFAULT_CONTEXT: &str = "default";

/// Where the default context lets look: the system's own files. Nothing of anybody's home: that is no matter of looking.
const DEFAULT_PATHS: [&str; 3] = ["/etc", "/usr", "/var/log"];

/// The context that a host has before anything is pushed: every built-in tool that only looks.
pub fn default_context() -> SecurityContextSpec {
    let looks = BUILTINS.iter().filter(|tool| tool.class == ToolClass::ReadOnly);
    SecurityContextSpec {
        capabilities: vec![Capability {
            tools: looks.map(|tool| tool.name.to_owned()).collect(),
            paths: DEFAULT_PATHS.map(str::to_owned).to_vec(),
            commands: Vec::new(),
            domains: Vec::new(),
            rate_limit: None,
            max_output: None,
        }],
        deny: UniqueSet::default(),
    }
}
