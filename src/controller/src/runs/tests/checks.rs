//! What can't be right is refused before anything is sent, and the audit log has it.

use aegis_core::ExitCode;
use aegis_kinds::tool::{ToolClass, ToolDescriptor};
use aegis_wire::{
    Code,
    edge::{Capabilities, Refusal},
    operator::{ListTools, Tool},
};

use super::*;
use crate::testing::{capabilities, owners_tool};

/// Refused with these words, before any host heard of it.
async fn refused_with(wish: StartRun, code: Code, words: &str) {
    let mut fleet = Fleet::of(2).await;
    let tool = wish.tool.clone();
    let error = fleet.refused(wish).await;
    assert_eq!(error.code, code, "{error}");
    assert!(error.message.contains(words), "{error}");
    for daemon in &mut fleet.daemons {
        daemon.got_nothing().await;
    }
    settle().await;
    let log = fleet.audit();
    assert!(log.contains(&format!("run Refused {tool}: ")), "{log}");
    assert!(fleet.controller.store.list("run").unwrap().is_empty(), "nothing is kept");
}

fn with_arguments(arguments: &'static str) -> StartRun {
    StartRun { arguments: Bytes::from_static(arguments.as_bytes()), ..command() }
}

#[tokio::test(start_paused = true)]
async fn arguments_that_the_tool_does_not_take_are_refused() {
    refused_with(with_arguments(r#"{"comand":"ls"}"#), Code::Invalid, "did you mean 'command'?").await;
    refused_with(with_arguments(r#"{"command":7}"#), Code::Invalid, "'command'").await;
    refused_with(with_arguments("{}"), Code::Invalid, "missing").await;
    refused_with(with_arguments("[1]"), Code::Invalid, "no object").await;
    refused_with(with_arguments("{"), Code::Invalid, "no JSON").await;
}

#[tokio::test(start_paused = true)]
async fn arguments_that_are_too_large_are_refused() {
    let large = serde_json::json!({"command": "x".repeat(1024 * 1024)}).to_string();
    refused_with(StartRun { arguments: large.into(), ..command() }, Code::Invalid, "bytes").await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_tool_is_refused() {
    let wish = StartRun { tool: "host.fact".into(), ..facts() };
    refused_with(
        wish,
        Code::Invalid,
        "there is no tool 'host.fact' on any of the hosts; did you mean 'host.facts'?",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_for_one_host_is_refused_for_two() {
    let arguments = Bytes::from_static(br#"{"container":"db","command":["ls"]}"#);
    let wish = StartRun { tool: "docker.exec".into(), arguments, ..facts() };
    refused_with(wish, Code::Invalid, "docker.exec is for one host at a time, the target has 2").await;
}

#[tokio::test(start_paused = true)]
async fn deadlines_out_of_bounds_are_refused() {
    for deadline in [0, 24 * 3600 * 1000 + 1, u64::MAX] {
        let wish = StartRun { deadline_ms: Some(deadline), ..facts() };
        refused_with(wish, Code::Invalid, "out of bounds").await;
    }
}

#[tokio::test(start_paused = true)]
async fn too_few_targets_are_refused_with_zero_dispatches() {
    let wish = StartRun { require_min: Some(3), ..facts() };
    refused_with(wish, Code::TooFew, "'all' has 2 of the 3 hosts that --require-min asks for (0 skipped)")
        .await;
    assert_eq!(Code::TooFew.exit_code(), ExitCode::RequireMin);
    let mut fleet = Fleet::of(2).await;
    let mut run = fleet.start(StartRun { require_min: Some(2), ..facts() }).await;
    for daemon in &mut fleet.daemons {
        daemon.obey(TargetOutcome::Ok).await;
    }
    assert_eq!(run.outcomes().await.0, RunState::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_security_context_that_is_not_there_is_refused() {
    let wish = StartRun { security_context: Some("ops".into()), ..facts() };
    refused_with(wish, Code::Invalid, "SecurityContext/ops not found; there is default").await;
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_of_nothing_is_refused() {
    refused_with(StartRun { max_concurrency: Some(0), ..facts() }, Code::Invalid, "never begin").await;
}

/// Two hosts, of which the first's owner declared these tools.
async fn with_tools(tools: Vec<ToolDescriptor>) -> Fleet {
    let mut fleet = Fleet::of(2).await;
    let told = Capabilities { tools, ..capabilities(&fleet.hosts[0].name) };
    fleet.daemons[0].send(&Event::CapabilityUpdate(told));
    fleet.daemons[0].heartbeat().await;
    fleet
}

fn owners(arguments: &'static str) -> StartRun {
    let arguments = Bytes::from_static(arguments.as_bytes());
    StartRun { tool: "app.restart".into(), arguments, ..facts() }
}

#[tokio::test(start_paused = true)]
async fn a_host_without_the_owners_tool_ends_in_an_error_and_gets_nothing() {
    let mut fleet = with_tools(vec![owners_tool("app.restart")]).await;
    let mut run = fleet.start(owners(r#"{"name":"a"}"#)).await;
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    let (end, results) = run.end().await;
    assert_eq!((end.state, end.on_error), (RunState::Failed, OnError::Continue));
    assert_eq!((results[0].outcome, results[1].outcome), (TargetOutcome::Ok, TargetOutcome::Error));
    assert_eq!(results[1].refusal, Some(Refusal::Tool));
    assert!(results[1].error.contains("has no tool 'app.restart'; aegis edge tools ls --node"));
    fleet.daemons[1].got_nothing().await;
    let dispatched = run.kept.iter().any(|event| event.what == RunChange::Dispatched { targets: vec![0] });
    assert!(dispatched, "{:?}", run.kept);
    assert!(fleet.audit().contains(&format!("refused (tool): {}", fleet.hosts[1].id)));
}

#[tokio::test(start_paused = true)]
async fn an_owners_tool_is_checked_by_its_own_schema_class_and_time() {
    let fleet = with_tools(vec![owners_tool("app.restart")]).await;
    let error = fleet.refused(owners(r#"{"nam":"a"}"#)).await;
    assert_eq!(error.code, Code::Invalid);
    assert!(error.message.contains("'nam'"), "{error}");

    let mutating = ToolDescriptor {
        class: ToolClass::StateMutating,
        timeout: Some(Duration::from_secs(5)),
        ..owners_tool("app.restart")
    };
    let fleet = with_tools(vec![mutating]).await;
    let run = fleet.start(owners("{}")).await.run();
    assert_eq!((run.on_error, run.deadline_ms), (OnError::FailFast, 5_000));

    let single = ToolDescriptor { fleet_capable: false, ..owners_tool("app.restart") };
    let fleet = with_tools(vec![single]).await;
    let error = fleet.refused(owners("{}")).await;
    assert!(error.message.contains("one host at a time"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn tools_are_listed_with_what_a_host_offers() {
    let fleet = with_tools(vec![owners_tool("app.restart")]).await;
    let list = async |node: Option<&str>| -> Vec<Tool> {
        let which = ListTools { node: node.map(str::to_owned) };
        fleet.operator.service.list_tools(fleet.operator.call("ListTools"), which).await.unwrap()
    };
    let find = |tools: &[Tool], name: &str| tools.iter().find(|tool| tool.name == name).cloned();
    let builtin = list(None).await;
    assert!(builtin.iter().all(|tool| tool.unavailable.is_none() && !tool.custom));
    assert!(find(&builtin, "fs.read").is_some() && find(&builtin, "app.restart").is_none());
    let of_host = list(Some(fleet.hosts[0].id.as_str())).await;
    assert!(find(&of_host, "app.restart").unwrap().custom);
    assert_eq!(find(&of_host, "docker.ps").unwrap().unavailable, None);
    assert_eq!(find(&of_host, "fs.read").unwrap().unavailable, None);
    let missing = find(&of_host, "kubectl.get").unwrap().unavailable;
    assert_eq!(missing.as_deref(), Some("the host doesn't offer kubectl"));
    let theirs = Operator::new(&fleet.controller, "t-other", Role::Viewer);
    let which = ListTools { node: Some(fleet.hosts[0].id.to_string()) };
    let foreign = theirs.service.list_tools(theirs.call("ListTools"), which).await.unwrap_err();
    assert_eq!(foreign.code, Code::NotFound);
}
