//! Rollouts over real streams of hosts that play a part. One test a rule.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod catch_up;
mod failures;
mod health;
mod once;
mod restart;
mod stage;
mod steering;

use std::time::Duration;

use aegis_wire::operator::{RolloutPhase, RolloutStatus};
use serde_json::{Value, json};

use stage::{Act, Stage};

/// A rollout of `cmd.run` to all hosts, one after the other.
fn deploy() -> Value {
    json!({"target": "all", "tool": "cmd.run", "args": {"command": "deploy"}})
}

/// As [`deploy`], with this field.
fn with(field: &str, value: Value) -> Value {
    let mut spec = deploy();
    spec[field] = value;
    spec
}

/// A call that hosts tell from the others.
fn call(command: &str) -> Value {
    json!({"tool": "cmd.run", "args": {"command": command}})
}

/// A rollout of a tool that hosts' owners declare, or don't.
fn owners() -> Value {
    json!({"target": "all", "tool": "app.deploy", "args": {"name": "deploy"}})
}

/// The states of the hosts, in the order of the ids.
fn states(status: &RolloutStatus) -> Vec<&str> {
    status.hosts.iter().map(|host| host.state.as_str()).collect()
}
