//! The intersection of what is pushed with what the host's owner allows.

use super::{
    Denied, Grant, Side, domain,
    path::{intersect, normal, outermost},
    pattern::{ANY, names_tool},
};
use crate::{
    Capability, Rate, SecurityContextSpec,
    tool::{DAEMON_FAMILY, family},
};

/// The shell that `shell`, and `cmd.run` with a command line, start.
const SHELL: &str = "sh";

/// What a call of `tool` may do under the pushed context called `context`, narrowed by the host's own policy and mount
/// points where it has them. The grants are alternatives, at least one.
///
/// Tools of the daemon itself (`edge.…`) are granted by no context and need none: the controller asks for an operator. The
/// host's own policy can deny them all the same.
pub fn grants(
    tool: &str,
    context: &str,
    pushed: &SecurityContextSpec,
    local: Option<&SecurityContextSpec>,
    mount_points: Option<&[String]>,
) -> Result<Vec<Grant>, Denied> {
    let own_policy = local.map(|local| (Side::LocalPolicy, local));
    let asked = (Side::Context(context.to_owned()), pushed);
    for (side, policy) in own_policy.iter().chain((family(tool) != DAEMON_FAMILY).then_some(&asked)) {
        if policy.deny.iter().any(|pattern| names_tool(pattern, tool)) {
            return Err(Denied::Refused { tool: tool.to_owned(), side: side.clone() });
        }
    }
    if family(tool) == DAEMON_FAMILY {
        return Ok(vec![Grant::nothing()]);
    }
    let granted = |(side, policy): &(Side, &SecurityContextSpec)| {
        let matching = policy.capabilities.iter().enumerate();
        let matching =
            matching.filter(|(_, capability)| capability.tools.iter().any(|p| names_tool(p, tool)));
        let key = match side {
            Side::Context(name) => format!("SecurityContext/{name}"),
            _ => "localPolicy".to_owned(),
        };
        let grants: Vec<Grant> =
            matching.map(|(index, capability)| Grant::of(capability, &format!("{key}[{index}]"))).collect();
        if grants.is_empty() {
            return Err(Denied::Tool { tool: tool.to_owned(), side: side.clone() });
        }
        Need::of(tool).check(tool, &grants, side)?;
        Ok(grants)
    };
    let mut grants = granted(&asked)?;
    if let Some(own_policy) = &own_policy {
        let own = granted(own_policy)?;
        grants = grants.iter().flat_map(|one| own.iter().map(|other| one.and(other))).collect();
    }
    if let Some(mount_points) = mount_points {
        let mounts = outermost(mount_points.iter().filter_map(|path| normal(path)).collect());
        if mounts.is_empty() && Need::of(tool) == Need::Path {
            return Err(Denied::NoPaths { tool: tool.to_owned(), side: Side::MountPoints });
        }
        for grant in &mut grants {
            grant.narrow(&mounts);
        }
    }
    Need::of(tool).check(tool, &grants, &Side::Together(context.to_owned()))?;
    Ok(grants)
}

/// Without what a tool is of no use at all.
#[derive(Clone, Copy, PartialEq)]
enum Need {
    Nothing,
    Path,
    Shell,
    Command,
}

impl Need {
    fn of(tool: &str) -> Self {
        match tool {
            "shell" => Self::Shell,
            "cmd.run" => Self::Command,
            _ if family(tool) == "fs" => Self::Path,
            _ => Self::Nothing,
        }
    }

    fn check(self, tool: &str, grants: &[Grant], side: &Side) -> Result<(), Denied> {
        let (tool, side) = (tool.to_owned(), side.clone());
        match self {
            Self::Path if grants.iter().all(|grant| grant.roots.is_empty()) => {
                Err(Denied::NoPaths { tool, side })
            }
            Self::Shell if !grants.iter().any(|grant| grant.allows_command(SHELL)) => {
                Err(Denied::NoCommands { tool, side, needed: "the command `sh`" })
            }
            Self::Command if grants.iter().all(|grant| grant.commands.is_empty()) => {
                Err(Denied::NoCommands { tool, side, needed: "a command" })
            }
            _ => Ok(()),
        }
    }
}

impl Grant {
    fn nothing() -> Self {
        let (roots, commands, domains) = (Vec::new(), Vec::new(), Vec::new());
        Self { roots, commands, domains, rates: Vec::new(), max_output: None, walls: Vec::new() }
    }

    fn of(capability: &Capability, key: &str) -> Self {
        let roots = outermost(capability.paths.iter().filter_map(|path| normal(path)).collect());
        let rate = |rate: Rate| (format!("{key} {rate}"), rate);
        Self {
            walls: roots.clone(),
            roots,
            commands: capability.commands.clone(),
            domains: capability.domains.iter().map(|domain| domain.to_ascii_lowercase()).collect(),
            rates: capability.rate_limit.map(rate).into_iter().collect(),
            max_output: capability.max_output.map(|size| size.0),
        }
    }

    /// What both allow.
    fn and(&self, other: &Self) -> Self {
        let mut both = Self {
            roots: self.roots.clone(),
            commands: common(&self.commands, &other.commands, |outer, inner| outer == ANY || outer == inner),
            domains: common(&self.domains, &other.domains, domain::covers),
            rates: [self.rates.as_slice(), &other.rates].concat(),
            max_output: self.max_output.into_iter().chain(other.max_output).min(),
            walls: self.walls.clone(),
        };
        both.narrow(&other.roots);
        both
    }

    fn narrow(&mut self, roots: &[String]) {
        self.roots = intersect(&self.roots, roots);
        self.walls.extend_from_slice(roots);
    }
}

/// Of each pair the one that the other covers.
fn common(these: &[String], those: &[String], covers: fn(&str, &str) -> bool) -> Vec<String> {
    let narrower = |this: &String, that: &String| {
        if covers(this, that) {
            Some(that.clone())
        } else if covers(that, this) {
            Some(this.clone())
        } else {
            None
        }
    };
    let mut common: Vec<String> =
        these.iter().flat_map(|this| those.iter().filter_map(move |that| narrower(this, that))).collect();
    common.sort();
    common.dedup();
    common
}
