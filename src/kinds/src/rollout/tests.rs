//! What a rollout may say, and what it means.

use aegis_core::fleet::{Mode, OnError, WaveSize};
use serde_json::json;

use super::*;
use crate::tool::ToolClass;

fn read(spec: &Value) -> Result<RolloutSpec, serde_json::Error> {
    serde_json::from_value(spec.clone())
}

fn with(field: &str, value: Value) -> RolloutSpec {
    let mut spec = json!({"target": "all", "tool": "cmd.run", "args": {"command": "true"}});
    spec[field] = value;
    read(&spec).unwrap()
}

fn refusal(field: &str, value: Value) -> (String, String) {
    let refusal = Rollout::check("app", &with(field, value)).unwrap_err();
    (refusal.field.unwrap_or_default(), refusal.message)
}

#[test]
fn what_is_not_said_is_as_it_is_by_default() {
    let spec = read(&json!({"target": "all", "tool": "cmd.run"})).unwrap();
    assert_eq!(spec, RolloutSpec::new(Target::All, "cmd.run"));
    assert_eq!(serde_json::to_value(&spec).unwrap(), json!({"target": "all", "tool": "cmd.run"}));
    let strategy = spec.strategy(ToolClass::StateMutating);
    assert_eq!(strategy.mode, Mode::Rolling(WaveSize::Hosts(1)));
    assert_eq!((strategy.on_error, strategy.max_concurrency), (OnError::FailFast, None));
    assert_eq!((strategy.deadline.as_secs(), strategy.pause.as_secs(), strategy.gated), (60, 0, false));
    assert_eq!(spec.strategy(ToolClass::ReadOnly).on_error, OnError::Continue);
    let slow = RolloutSpec::new(Target::All, "docker.pull").strategy(ToolClass::StateMutating);
    assert_eq!(slow.deadline.as_secs(), 600);
}

#[test]
fn what_is_said_is_what_the_run_does() {
    let strategy = json!({"mode": "rolling", "batch": "25%", "maxConcurrency": 3, "onError": "stop-after=2",
        "requireMin": 4, "deadline": "5m", "pause": "10s"});
    let mut spec = with("strategy", strategy.clone());
    assert_eq!(serde_json::to_value(&spec).unwrap()["strategy"]["batch"], "25%");
    spec.health_check =
        Some(Box::new(HealthCheck { tool: "service.status".into(), args: Map::new(), deadline: None }));
    let run = spec.strategy(ToolClass::ReadOnly);
    assert_eq!(run.mode, Mode::Rolling(WaveSize::Percent(25)));
    assert_eq!((run.on_error, run.max_concurrency), (OnError::StopAfter(2), Some(3)));
    assert_eq!((run.deadline.as_secs(), run.pause.as_secs(), run.gated), (300, 10, true));
    assert_eq!(spec.strategy.require_min, Some(4));
    for (mode, meant) in [("parallel", Mode::Parallel), ("sequential", Mode::Sequential)] {
        assert_eq!(with("strategy", json!({"mode": mode})).strategy(ToolClass::ReadOnly).mode, meant);
    }
}

#[test]
fn what_is_unknown_is_refused_and_never_taken_for_a_default() {
    for (field, value) in [
        ("strategy", json!({"mode": "rolling=2"})),
        ("strategy", json!({"mode": "Parallel"})),
        ("strategy", json!({"onError": "stop"})),
        ("strategy", json!({"batch": 0})),
        ("strategy", json!({"batch": -1})),
        ("strategy", json!({"batch": "0%"})),
        ("strategy", json!({"batch": "101%"})),
        ("strategy", json!({"batch": "10"})),
        ("strategy", json!({"batch": 1.5})),
        ("strategy", json!({"pause": "-1s"})),
        ("strategy", json!({"wave": 1})),
        ("paused", json!(true)),
        ("target", json!("")),
        ("healthCheck", json!({"args": {}})),
        ("rollback", json!({"tool": "shell", "deadline": "1s"})),
    ] {
        let mut spec = json!({"target": "all", "tool": "cmd.run"});
        spec[field] = value.clone();
        assert!(read(&spec).is_err(), "{field}: {value}");
    }
}

#[test]
fn the_strategy_fits_its_mode() {
    for (strategy, field) in [
        (json!({"mode": "parallel", "batch": 2}), "strategy.batch"),
        (json!({"mode": "sequential", "pause": "1s"}), "strategy.pause"),
        (json!({"mode": "sequential", "maxConcurrency": 2}), "strategy.maxConcurrency"),
        (json!({"maxConcurrency": 0}), "strategy.maxConcurrency"),
        (json!({"requireMin": 0}), "strategy.requireMin"),
        (json!({"deadline": "0s"}), "strategy.deadline"),
        (json!({"deadline": "25h"}), "strategy.deadline"),
    ] {
        assert_eq!(refusal("strategy", strategy).0, field);
    }
    Rollout::check("app", &with("strategy", json!({"mode": "parallel", "maxConcurrency": 2}))).unwrap();
    Rollout::check("app", &with("strategy", json!({"mode": "sequential", "maxConcurrency": 1}))).unwrap();
}

#[test]
fn calls_of_built_in_tools_are_checked_and_others_are_left_to_the_hosts() {
    for (field, value, place, message) in [
        ("args", json!({"comand": "true"}), "args.comand", "'comand' is no argument of cmd.run"),
        ("args", json!({"command": "a", "args": ["b", 1]}), "args.args[1]", "'args[1]' must be text"),
        ("args", json!({}), "args", "'command' or 'cmd' is missing"),
        ("tool", json!("cmd.rnu"), "tool", "'cmd.rnu' is no built-in tool"),
        ("tool", json!("fs.*"), "tool", "'fs.*' is no tool name"),
        ("tool", json!(""), "tool", "'' is no tool name"),
        ("tool", json!("edge.keys.rotate"), "tool", "edge.keys.rotate is not for rollouts"),
        ("securityContext", json!("../x"), "securityContext", "'../x' is not a valid name"),
        ("healthCheck", json!({"tool": "service.status"}), "healthCheck.args.name", "'name' is missing"),
        ("healthCheck", json!({"tool": "edge.keys.rotate"}), "healthCheck.tool", "edge.keys.rotate is not"),
        (
            "healthCheck",
            json!({"tool": "host.facts", "deadline": "0s"}),
            "healthCheck.deadline",
            "a deadline",
        ),
        ("rollback", json!({"tool": "shell"}), "rollback.args.script", "'script' is missing"),
        ("rollback", json!({"tool": "fs.raed"}), "rollback.tool", "'fs.raed' is no built-in tool"),
    ] {
        let (found, said) = refusal(field, value);
        assert_eq!(found, place);
        assert!(said.starts_with(message), "{said}");
    }
    let exec = json!({"target": "all", "tool": "docker.exec", "args": {"container": "a", "command": ["b"]}});
    let refusal = Rollout::check("app", &read(&exec).unwrap()).unwrap_err();
    assert_eq!(refusal.message, "docker.exec is for one host at a time");
    Rollout::check("app", &with("tool", json!("backup.start"))).unwrap();
    Rollout::check("a/b", &with("catchUp", json!(true))).unwrap_err();
}

#[test]
fn wrong_arguments_lead_to_what_explains_them() {
    let refusal = Rollout::check("app", &with("args", json!({"comand": "true"}))).unwrap_err();
    assert_eq!(refusal.help.unwrap(), "`aegis edge tools show cmd.run` explains its arguments");
}

#[test]
fn it_names_its_group_its_host_and_its_context() {
    let names = |spec: &RolloutSpec| -> Vec<(&str, String)> {
        Rollout::references(spec).into_iter().map(|reference| (reference.kind, reference.name)).collect()
    };
    assert_eq!(names(&with("target", json!("tags=prod"))), []);
    assert_eq!(names(&with("securityContext", json!("default"))), []);
    let mut spec = with("target", json!("group:web"));
    spec.security_context = "deploy".into();
    assert_eq!(names(&spec), [("EdgeGroup", "web".into()), ("SecurityContext", "deploy".into())]);
    let spec = with("target", json!("@web-1"));
    assert_eq!(names(&spec), [("EdgeNode", "web-1".into())]);
    let id = "n-00000000000000000001";
    let resolved = Rollout::resolve(spec, &|reference| (reference.name == "web-1").then(|| id.to_owned()));
    assert_eq!(resolved.target, Target::Node(id.into()));
}

#[test]
fn a_plan_shows_each_argument_and_what_it_was() {
    let (one, other) = (with("args", json!({"command": "a"})), with("args", json!({"cmd": "b"})));
    let text = |want, have| -> Vec<String> {
        Rollout::diff(Some(want), have).unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(text(&one, None), ["target all", "tool cmd.run", "args[command] \"a\""]);
    assert_eq!(text(&other, Some(&one)), ["args[cmd] \"b\"", "args[command] \"a\""]);
    let waves = with("strategy", json!({"batch": 2}));
    let then = RolloutSpec { args: one.args.clone(), ..waves };
    assert_eq!(text(&then, Some(&one)), [r#"strategy {"batch":2}"#]);
}
