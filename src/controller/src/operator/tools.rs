//! Tools in lists: what is built in, and what a host offers.

use aegis_kinds::tool::{BUILTINS, ToolDescriptor};
use aegis_wire::operator::{ListTools, Tool};

use super::{Reply, auth::Caller};
use crate::{nodes, state::Controller};

/// What is built in; of a host also whether it offers it, and its owner's tools.
pub(super) fn list(controller: &Controller, caller: &Caller, which: &ListTools) -> Reply<Vec<Tool>> {
    let node = match &which.node {
        Some(reference) => Some(nodes::find(&*controller.store, &caller.tenant, reference)?),
        None => None,
    };
    let mut tools = Vec::with_capacity(BUILTINS.len());
    for builtin in BUILTINS {
        let have = node.as_ref().map(|node| &node.capabilities.local_tools);
        let is_missing =
            have.is_some_and(|have| !builtin.needs.iter().any(|need| have.iter().any(|tool| tool == need)));
        let unavailable = (is_missing && !builtin.needs.is_empty())
            .then(|| format!("the host doesn't offer {}", builtin.needs.join(" or ")));
        tools.push(Tool { unavailable, ..tool(builtin.descriptor(), false) });
    }
    if let Some(node) = node {
        tools.extend(node.capabilities.tools.into_iter().map(|declared| tool(declared, true)));
    }
    tools.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(tools)
}

fn tool(descriptor: ToolDescriptor, custom: bool) -> Tool {
    let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Tool {
        name: descriptor.name,
        summary: descriptor.summary,
        class: descriptor.class,
        fleet_capable: descriptor.fleet_capable,
        timeout_ms: descriptor.timeout.map(milliseconds),
        parameters: descriptor.parameters,
        custom,
        unavailable: None,
    }
}
