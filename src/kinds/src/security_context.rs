//! `SecurityContext`: what a caller may do on a host. It denies by default: what no capability grants is refused.

use std::fmt;

use aegis_core::{Effect, Element, Kind, Reference, Refusal, id::ObjectName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteSize, Rate, UniqueSet,
    policy::{is_command, is_domain_pattern, is_tool_pattern},
};

/// A named set of capabilities that orders run under. A host's own `localPolicy` can narrow it, never widen it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecurityContextSpec {
    /// What is granted. An empty list grants nothing.
    pub capabilities: Vec<Capability>,
    /// Tools that are refused whatever the capabilities grant: `shell`, `fs.*`.
    #[serde(default, skip_serializing_if = "UniqueSet::is_empty")]
    pub deny: UniqueSet<String>,
}

/// Tools, and within which bounds they may be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capability {
    /// Tool names, or a family as `fs.*`.
    #[schemars(length(min = 1))]
    pub tools: Vec<String>,
    /// Absolute paths beneath which files may be touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Programs that may be run, by name or absolute path; `*` is any. `sh` is what command lines need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Domains that may be reached: `example.com`, `*.example.com`; `*` is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// How often, such as `10/m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Rate>,
    /// How much a call may print, such as `1MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<ByteSize>,
}

/// The kind.
#[derive(Debug)]
pub struct SecurityContext;

/// The smallest steps.
#[derive(Debug, Clone, PartialEq)]
pub enum SecurityContextChange {
    /// The capabilities: how many there were (none: the context is new), and all there are to be.
    Capabilities(Option<Vec<Capability>>, Vec<Capability>),
    /// A tool is denied.
    Deny(String),
    /// A denial goes.
    Allow(String),
    /// The context goes.
    Delete,
}

impl fmt::Display for SecurityContextChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capabilities(have, want) => {
                let text = |list: &[Capability]| serde_json::to_string(list).unwrap_or_default();
                let have = have.as_deref().map(text);
                crate::erased::write_step(f, "capabilities", have.as_deref(), Some(&text(want)))
            }
            Self::Deny(tool) | Self::Allow(tool) => write!(f, "deny {tool}"),
            Self::Delete => f.write_str("the security context"),
        }
    }
}

impl Kind for SecurityContext {
    const NAME: &'static str = "SecurityContext";
    type Spec = SecurityContextSpec;
    type Observed = SecurityContextSpec;
    type Change = SecurityContextChange;
    type Edit = std::convert::Infallible;

    fn check(name: &str, spec: &SecurityContextSpec) -> Result<(), Refusal> {
        ObjectName::new(name).map_err(|error| Refusal::new(error.to_string()))?;
        let tool = |field: String, tool: &str| {
            if is_tool_pattern(tool) {
                return Ok(());
            }
            Err(Refusal::at(field, format!("'{tool}' is no tool name"))
                .help("write a name as `fs.read`, a family as `fs.*`, or `*`"))
        };
        for (index, capability) in spec.capabilities.iter().enumerate() {
            let at = |field: &str| format!("capabilities[{index}].{field}");
            if capability.tools.is_empty() {
                return Err(Refusal::at(at("tools"), "a capability without tools grants nothing")
                    .help("name a tool, or remove the capability"));
            }
            for (i, name) in capability.tools.iter().enumerate() {
                tool(format!("{}[{i}]", at("tools")), name)?;
            }
            for (i, path) in capability.paths.iter().enumerate() {
                let climbs = path.split('/').any(|part| part == "..");
                if !path.starts_with('/') || climbs || path.contains('\0') {
                    return Err(Refusal::at(
                        format!("{}[{i}]", at("paths")),
                        format!("'{path}' is no absolute path without '..'"),
                    ));
                }
            }
            for (i, command) in capability.commands.iter().enumerate() {
                if !is_command(command) {
                    return Err(Refusal::at(
                        format!("{}[{i}]", at("commands")),
                        format!("'{}' is no command", command.escape_debug()),
                    )
                    .help("write a program's name as `ls`, its absolute path, or `*`; arguments aren't part of it"));
                }
            }
            for (i, domain) in capability.domains.iter().enumerate() {
                if !is_domain_pattern(domain) {
                    return Err(Refusal::at(
                        format!("{}[{i}]", at("domains")),
                        format!("'{}' is no domain", domain.escape_debug()),
                    )
                    .help("write `example.com`, `*.example.com` for what is below it, or `*`"));
                }
            }
        }
        spec.deny.iter().try_for_each(|name| tool(format!("deny[{name}]"), name))
    }

    fn edit(_: Option<&SecurityContextSpec>, edit: &Self::Edit) -> Result<SecurityContextSpec, Refusal> {
        match *edit {}
    }

    fn diff(
        want: Option<&SecurityContextSpec>,
        have: Option<&SecurityContextSpec>,
    ) -> Result<Vec<SecurityContextChange>, Refusal> {
        let Some(want) = want else {
            return Ok(have.map(|_| SecurityContextChange::Delete).into_iter().collect());
        };
        let mut steps = Vec::new();
        if have.is_none_or(|have| have.capabilities != want.capabilities) {
            let have = have.map(|h| h.capabilities.clone());
            steps.push(SecurityContextChange::Capabilities(have, want.capabilities.clone()));
        }
        let nothing = std::collections::BTreeSet::new();
        let denied = have.map_or(&nothing, |have| &have.deny.0);
        steps.extend(want.deny.0.difference(denied).cloned().map(SecurityContextChange::Deny));
        steps.extend(denied.difference(&want.deny.0).cloned().map(SecurityContextChange::Allow));
        Ok(steps)
    }

    fn replay(
        have: Option<SecurityContextSpec>,
        change: &SecurityContextChange,
    ) -> Option<SecurityContextSpec> {
        match (have, change) {
            (have, SecurityContextChange::Capabilities(_, capabilities)) => Some(SecurityContextSpec {
                capabilities: capabilities.clone(),
                deny: have.map(|h| h.deny).unwrap_or_default(),
            }),
            (Some(mut have), SecurityContextChange::Deny(tool)) => {
                have.deny.0.insert(tool.clone());
                Some(have)
            }
            (Some(mut have), SecurityContextChange::Allow(tool)) => {
                have.deny.0.remove(tool);
                Some(have)
            }
            // A plan for a new context begins with its capabilities: there is no denial without a context.
            (_, SecurityContextChange::Delete)
            | (None, SecurityContextChange::Deny(_) | SecurityContextChange::Allow(_)) => None,
        }
    }

    fn export(have: &SecurityContextSpec) -> SecurityContextSpec {
        have.clone()
    }

    fn bare(have: &SecurityContextSpec) -> SecurityContextSpec {
        SecurityContextSpec { capabilities: have.capabilities.clone(), deny: UniqueSet::default() }
    }

    fn declares(spec: &SecurityContextSpec) -> Vec<Element> {
        let denied = spec.deny.iter().map(|tool| Element::entry("deny", tool));
        std::iter::once(Element::field("capabilities")).chain(denied).collect()
    }

    fn touches(change: &SecurityContextChange) -> Option<(Element, Effect)> {
        match change {
            SecurityContextChange::Capabilities(..) => Some((Element::field("capabilities"), Effect::Set)),
            SecurityContextChange::Deny(tool) => Some((Element::entry("deny", tool), Effect::Set)),
            SecurityContextChange::Allow(tool) => Some((Element::entry("deny", tool), Effect::Remove)),
            SecurityContextChange::Delete => None,
        }
    }

    fn references(_: &SecurityContextSpec) -> Vec<Reference> {
        Vec::new()
    }

    fn resolve(spec: SecurityContextSpec, _: &dyn Fn(&Reference) -> Option<String>) -> SecurityContextSpec {
        spec
    }
}
