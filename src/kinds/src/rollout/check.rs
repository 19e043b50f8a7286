//! What a rollout's types don't say.

use aegis_core::{HumanDuration, Refusal, fleet::LONGEST_DEADLINE, id::ObjectName, nearest::nearest};
use serde_json::{Map, Value};

use super::{RolloutMode, RolloutSpec, RolloutStrategy};
use crate::{
    policy::is_tool_pattern,
    tool::{BUILTINS, DAEMON_FAMILY, family, find},
};

pub(super) fn check(spec: &RolloutSpec) -> Result<(), Refusal> {
    call("", &spec.tool, &spec.args)?;
    let runs_on_many = find(&spec.tool).is_none_or(|tool| tool.fleet_capable);
    if !runs_on_many {
        return Err(Refusal::at("tool", format!("{} is for one host at a time", spec.tool))
            .help(format!("call it with `aegis edge call --tool {}`", spec.tool)));
    }
    ObjectName::new(spec.security_context.as_str())
        .map_err(|error| Refusal::at("securityContext", error.to_string()))?;
    strategy(&spec.strategy)?;
    if let Some(check) = &spec.health_check {
        call("healthCheck.", &check.tool, &check.args)?;
        deadline("healthCheck.deadline", check.deadline)?;
    }
    if let Some(rollback) = &spec.rollback {
        call("rollback.", &rollback.tool, &rollback.args)?;
    }
    Ok(())
}

/// The tool and its arguments, as far as they are known here: what the hosts' owners declare, only they know.
fn call(at: &str, tool: &str, args: &Map<String, Value>) -> Result<(), Refusal> {
    let refuse = |message: String| Refusal::at(format!("{at}tool"), message);
    if tool.contains('*') || !is_tool_pattern(tool) {
        return Err(refuse(format!("'{tool}' is no tool name")).help("write one such as `cmd.run`"));
    }
    // Operators may call `edge.keys.rotate`, but a new key is no version of something: it doesn't roll back.
    if family(tool) == DAEMON_FAMILY {
        return Err(refuse(format!("{tool} is not for rollouts"))
            .help("rotate keys with `aegis edge fleet keys rotate`"));
    }
    if let Some(builtin) = find(tool) {
        return builtin.check(&Value::Object(args.clone())).map_err(|error| {
            let field = error.place.map_or_else(|| format!("{at}args"), |place| format!("{at}args.{place}"));
            Refusal::at(field, error.message)
                .help(format!("`aegis edge tools show {tool}` explains its arguments"))
        });
    }
    if BUILTINS.iter().any(|builtin| family(builtin.name) == family(tool)) {
        let meant = nearest(tool, BUILTINS.iter().map(|tool| tool.name));
        let help =
            meant.map_or("`aegis edge tools ls` lists them".to_owned(), |m| format!("did you mean '{m}'?"));
        return Err(refuse(format!("'{tool}' is no built-in tool")).help(help));
    }
    Ok(())
}

fn strategy(strategy: &RolloutStrategy) -> Result<(), Refusal> {
    let at = |field: &str, message: String| Refusal::at(format!("strategy.{field}"), message);
    let mode = strategy.mode.as_str();
    if strategy.mode != RolloutMode::Rolling {
        for (field, given) in [("batch", strategy.batch.is_some()), ("pause", strategy.pause.is_some())] {
            if given {
                return Err(at(field, format!("{field} is for waves, and the mode {mode} has none"))
                    .help(format!("remove it, or write `mode: {}`", RolloutMode::Rolling.as_str())));
            }
        }
    }
    if strategy.mode == RolloutMode::Sequential && strategy.max_concurrency.is_some_and(|most| most > 1) {
        return Err(at("maxConcurrency", format!("the mode {mode} has one host at a time"))
            .help("remove it, or write `mode: parallel`"));
    }
    for (field, given) in [("maxConcurrency", strategy.max_concurrency), ("requireMin", strategy.require_min)]
    {
        if given == Some(0) {
            return Err(at(field, format!("{field} is 0")).help("leave it out, or write a number above 0"));
        }
    }
    deadline("strategy.deadline", strategy.deadline)
}

fn deadline(field: &str, deadline: Option<HumanDuration>) -> Result<(), Refusal> {
    match deadline {
        Some(given) if given.0.is_zero() || given.0 > LONGEST_DEADLINE => {
            Err(Refusal::at(field, format!("a deadline of {given} is out of bounds"))
                .help(format!("write more than 0s and at most {}", HumanDuration(LONGEST_DEADLINE))))
        }
        _ => Ok(()),
    }
}
