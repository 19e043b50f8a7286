//! Whether a tool can be run on hosts, before anything is sent: it is known, its arguments are as its schema says, and it
//! may be run on that many.

use std::time::Duration;

use aegis_core::{fleet::DEFAULT_DEADLINE, nearest::nearest};
use aegis_kinds::tool::{BUILTINS, ToolClass, ToolDescriptor, check_arguments, find};
use aegis_store::Store;
use aegis_wire::{ApiError, edge::Refusal, operator::RunTarget};
use serde_json::Value;

use crate::{failed, nodes};

/// A target that can't do what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub target: u32,
    pub rule: Refusal,
    pub why: String,
}

/// What is known of a tool on the targets of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tooling {
    pub class: ToolClass,
    /// How long it may take where the caller doesn't say so.
    pub timeout: Duration,
    /// In rising order.
    pub unfit: Vec<Unfit>,
}

/// Checks a call of `tool` on all targets. An error: on none of them could it be run.
pub(crate) fn check(
    store: &dyn Store,
    tool: &str,
    arguments: &Value,
    targets: &[RunTarget],
) -> Result<Tooling, ApiError> {
    let Some(builtin) = find(tool) else { return owners(store, tool, arguments, targets) };
    builtin.check(arguments).map_err(|error| wrong(tool, &error.message))?;
    check_count(tool, builtin.fleet_capable, targets)?;
    let timeout = builtin.timeout.unwrap_or(DEFAULT_DEADLINE);
    Ok(Tooling { class: builtin.class, timeout, unfit: Vec::new() })
}

/// A tool that the owners of hosts declared, each as they like.
fn owners(
    store: &dyn Store,
    tool: &str,
    arguments: &Value,
    targets: &[RunTarget],
) -> Result<Tooling, ApiError> {
    let mut tooling = Tooling { class: ToolClass::ReadOnly, timeout: Duration::ZERO, unfit: Vec::new() };
    // Most hosts declare the same: each declaration is looked at once.
    let mut known: Vec<(ToolDescriptor, Result<(), String>)> = Vec::new();
    let mut first_refusal = None;
    for (target, host) in (0..).zip(targets) {
        let node = nodes::get(store, &host.node_id).map_err(failed)?;
        let tools = node.map(|(node, _)| node.capabilities.tools).unwrap_or_default();
        let Some(declared) = tools.into_iter().find(|declared| declared.name == tool) else {
            let why = format!("{} has no tool '{tool}'; aegis edge tools ls --node {}", host.name, host.name);
            tooling.unfit.push(Unfit { target, rule: Refusal::Tool, why });
            continue;
        };
        let at = known.iter().position(|(seen, _)| *seen == declared).unwrap_or_else(|| {
            let result = check_arguments(&declared.parameters, arguments).map_err(|error| error.message);
            known.push((declared, result));
            known.len() - 1
        });
        let (declared, result) = &known[at];
        check_count(tool, declared.fleet_capable, targets)?;
        if let Err(why) = result {
            first_refusal.get_or_insert_with(|| why.clone());
            tooling.unfit.push(Unfit { target, rule: Refusal::Arguments, why: why.clone() });
            continue;
        }
        tooling.timeout = tooling.timeout.max(declared.timeout.unwrap_or(DEFAULT_DEADLINE));
        if declared.class == ToolClass::StateMutating {
            tooling.class = ToolClass::StateMutating;
        }
    }
    match (tooling.unfit.len() == targets.len(), first_refusal) {
        (true, Some(why)) => Err(wrong(tool, &why)),
        (true, None) => Err(unknown(tool)),
        (false, _) => Ok(tooling),
    }
}

fn check_count(tool: &str, is_fleet_capable: bool, targets: &[RunTarget]) -> Result<(), ApiError> {
    if is_fleet_capable || targets.len() <= 1 {
        return Ok(());
    }
    let message = format!("{tool} is for one host at a time, the target has {}", targets.len());
    Err(ApiError::invalid(message).hint("give one host, as --target @NODE"))
}

fn wrong(tool: &str, why: &str) -> ApiError {
    ApiError::invalid(why).hint(format!("aegis edge tools ls --output json shows what {tool} takes"))
}

fn unknown(tool: &str) -> ApiError {
    let meant = nearest(tool, BUILTINS.iter().map(|tool| tool.name));
    let message = match meant {
        Some(meant) => format!("there is no tool '{tool}' on any of the hosts; did you mean '{meant}'?"),
        None => format!("there is no tool '{tool}' on any of the hosts"),
    };
    ApiError::invalid(message).hint("aegis edge tools ls")
}
