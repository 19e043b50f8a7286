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

/// Where the default context lets look. Nothing of anybody's home, and not `/etc`: for a daemon that runs as root that
/// would be password hashes and private keys.
const DEFAULT_PATHS: [&str; 2] = ["/usr", "/var/log"];
/// Tools that only look, but at secrets as well: a container's environment, a cluster's secrets.
const NOT_BY_DEFAULT: [&str; 2] = ["docker.inspect", "kubectl."];

/// The context that a host has before anything is pushed: the built-in tools that only look, but at no secrets.
pub fn default_context() -> SecurityContextSpec {
    let harmless = |tool: &str| !NOT_BY_DEFAULT.iter().any(|not| tool.starts_with(not));
    let looks = BUILTINS.iter().filter(|tool| tool.class == ToolClass::ReadOnly && harmless(tool.name));
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
