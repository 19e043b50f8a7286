//! One alternative of what an order may do.

use super::{
    domain,
    path::below,
    pattern::{ANY, is_command},
};
use crate::Rate;

/// What one capability of the context and one of the host's own policy allow together. A call is allowed when one grant
/// allows all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// Paths must be beneath one of these: absolute, without `.`, `..` and empty parts, none beneath another.
    pub roots: Vec<String>,
    /// Programs that may be run: names, absolute paths, or `*` for any.
    pub commands: Vec<String>,
    /// Domains that may be reached: `example.com`, `*.example.com`, or `*` for any.
    pub domains: Vec<String>,
    /// How often, each under a key that stays the same as long as the capability and its rate do.
    pub rates: Vec<(String, Rate)>,
    /// How many bytes a call may print.
    pub max_output: Option<u64>,
    /// Every root that was narrowed to get here, normal.
    pub(super) walls: Vec<String>,
}

impl Grant {
    /// Whether this program may be run. One that is granted by its name may be called by this name alone, and is found
    /// on the fixed PATH that tools have; one granted by its path by this path alone.
    pub fn allows_command(&self, program: &str) -> bool {
        let named = |granted: &String| granted == ANY || granted == program;
        is_command(program) && program != ANY && self.commands.iter().any(named)
    }

    /// Whether this host may be reached.
    pub fn allows_domain(&self, host: &str) -> bool {
        domain::canonical(host)
            .is_some_and(|host| self.domains.iter().any(|granted| domain::covers(granted, &host)))
    }

    /// The root that the path is beneath, and what is left of it; empty for the root itself. A relative path, and one
    /// with `..`, is beneath none. That is only the text: the kernel resolves what is left beneath the root.
    pub fn root_of<'a>(&'a self, path: &'a str) -> Option<(&'a str, &'a str)> {
        self.roots.iter().find_map(|root| Some((root.as_str(), below(root, path)?)))
    }

    /// What leads to a root: the roots that it was narrowed from, the outermost first, and itself last. Each is to be
    /// resolved beneath the one before, or a symlink in a pushed root could lead out of it by way of a local root.
    pub fn steps_to<'a>(&'a self, root: &'a str) -> Vec<&'a str> {
        let mut steps: Vec<&str> = self.walls.iter().map(String::as_str).collect();
        steps.retain(|wall| *wall != root && below(wall, root).is_some());
        steps.push(root);
        // Of two that lead to the same root, the shorter is the outer one.
        steps.sort_by_key(|step| step.len());
        steps.dedup();
        steps
    }
}
