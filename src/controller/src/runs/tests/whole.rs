//! A run from its begin to its end.

use aegis_core::fleet::Mode;
use aegis_wire::{
    envelope::open,
    operator::{ListRuns, SkipReason},
};

use super::*;
use crate::testing::with_parts;

#[tokio::test(start_paused = true)]
async fn each_host_gets_one_signed_order_and_its_result_is_kept() {
    let mut fleet = Fleet::of(2).await;
    let mut run = fleet.start(command()).await;
    let id = run.id();
    for number in 0..2 {
        let envelope = fleet.daemons[number].commands.next().await.unwrap().unwrap();
        let now = fleet.controller.clock.now_ms();
        let key = fleet.controller.keys[0].public.clone();
        let verified =
            open::<Command>(envelope.into(), &key, &mut fleet.daemons[number].inbound, now).unwrap();
        let Command::InvokeTool { order, arguments, .. } = verified.body else { panic!("no order") };
        assert_eq!(verified.vouched, Some(order.digest()), "the signature vouches for the order, too");
        let order = order.read().unwrap();
        assert_eq!(order.command.as_str(), format!("{id}.{number}"));
        assert_eq!(order.node, fleet.hosts[number].id);
        assert_eq!((order.tenant.as_str(), order.subject.as_str()), ("default", "tester"));
        assert_eq!((order.role, order.security_context.as_str()), (Role::Operator, "default"));
        assert_eq!(order.tool, "cmd.run");
        assert!(order.is_for(&arguments));
        assert_eq!(arguments, r#"{"command":"true"}"#);
        assert_eq!(order.deadline, Duration::from_mins(1));
        assert_eq!(order.expires_at_ms, now + 60_000);
        let outcome = [TargetOutcome::Ok, TargetOutcome::Error][number];
        fleet.daemons[number].answer(&order.command, outcome).await;
    }
    let (end, results) = run.end().await;
    assert_eq!((end.state, end.targets, end.outcomes.total()), (RunState::Failed, 2, 2));
    assert!(end.finished_at.is_some());
    assert_eq!(results[0].outcome, TargetOutcome::Ok);
    assert_eq!((results[1].outcome, results[1].exit_code), (TargetOutcome::Error, Some(1)));
    assert_eq!((results[0].stdout.as_ref(), results[0].duration_ms), (b"out".as_slice(), 7));
    assert_eq!(results[1].name, fleet.hosts[1].name);

    // What is kept is what was told, in the same order, without gaps.
    assert_eq!(fleet.kept(&id).await, run.kept);
    assert!(run.kept.iter().map(|event| event.sequence).eq(1..=run.kept.len() as u64));
    assert_eq!(fleet.kept(&id[..14]).await, run.kept, "a unique prefix will do");
    let list = fleet.operator.service.list_runs(fleet.operator.call("ListRuns"), ListRuns::default());
    assert_eq!(list.await.unwrap(), [end]);
    let log = fleet.audit();
    assert!(log.contains(&format!("run Ok {id}: cmd.run on 'all', parallel, hosts: 2")), "{log}");
    assert!(
        log.contains(&format!("dispatch Ok {id}: sent to: {} {}", fleet.hosts[0].id, fleet.hosts[1].id)),
        "{log}"
    );
    assert!(log.contains(&format!("result Ok {id}: ok: {}", fleet.hosts[0].id)), "{log}");
    assert!(log.contains(&format!("result Failed {id}: error: {}", fleet.hosts[1].id)), "{log}");
    assert!(log.contains(&format!("run.end Failed {id}: failed")), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_has_sixty_four_runs_under_way_at_most() {
    let mut fleet = Fleet::of(1).await;
    let mut runs = Vec::new();
    for _ in 0..64 {
        runs.push(fleet.start(facts()).await);
        fleet.daemons[0].invoked().await;
    }
    let error = fleet.refused(facts()).await;
    assert_eq!((error.code, error.hint.is_some()), (aegis_wire::Code::Exhausted, true), "{error}");
    fleet.cancel(&runs[0].id()).await.unwrap();
    let command = format!("{}.0", runs[0].id());
    fleet.daemons[0].command().await.unwrap();
    fleet.daemons[0].answer(&CommandId::new(command).unwrap(), TargetOutcome::Cancelled).await;
    runs[0].end().await;
    settle().await;
    fleet.start(facts()).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_is_bounded_and_carries_no_large_arguments() {
    let mut fleet = Fleet::of(1).await;
    let (small, large) = ("x".repeat(900), "x".repeat(1100));
    let with = |text: &str| StartRun {
        arguments: serde_json::json!({"command": "echo", "args": [text]}).to_string().into(),
        ..command()
    };
    let mut running = fleet.start(with(&large)).await;
    let list = async |limit| {
        let list = fleet.operator.service.list_runs(fleet.operator.call("ListRuns"), ListRuns { limit });
        list.await.unwrap()
    };
    assert!(list(None).await[0].arguments.is_empty(), "of one under way, too");
    assert!(!running.run().arguments.is_empty(), "whoever looks at one run has them");
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    running.end().await;
    let id = running.id();
    assert!(list(None).await[0].arguments.is_empty());
    // Ids rise with time.
    settle().await;
    for _ in 0..100 {
        let mut run = fleet.start(with(&small)).await;
        fleet.daemons[0].obey(TargetOutcome::Ok).await;
        run.end().await;
    }
    let newest = list(None).await;
    assert_eq!((newest.len(), list(Some(101)).await.len()), (100, 101));
    assert!(newest.iter().all(|run| run.run_id.as_str() != id && !run.arguments.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn hosts_take_their_turns_and_a_failure_halts_what_has_not_begun() {
    let mut fleet = Fleet::of(3).await;
    let wish = StartRun { mode: Mode::Sequential, on_error: None, ..command() };
    let mut run = fleet.start(wish).await;
    fleet.daemons[1].got_nothing().await;
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    settle().await;
    let list = fleet.operator.service.list_runs(fleet.operator.call("ListRuns"), ListRuns::default());
    let listed = list.await.unwrap().remove(0);
    assert_eq!((listed.state, listed.outcomes.total()), (RunState::Running, 1), "as it is now");
    fleet.daemons[2].got_nothing().await;
    fleet.daemons[1].obey(TargetOutcome::Error).await;
    let (end, results) = run.end().await;
    fleet.daemons[2].got_nothing().await;
    assert_eq!(end.state, RunState::Halted);
    assert_eq!(end.reason, "fail-fast: 1 of 3 targets failed", "cmd.run changes things");
    assert_eq!(results[2].outcome, TargetOutcome::NotStarted);
    assert_eq!(results[2].error, "the run was halted before its turn came");
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_only_looks_goes_on_after_a_failure() {
    let mut fleet = Fleet::of(2).await;
    let mut run = fleet.start(StartRun { mode: Mode::Sequential, ..facts() }).await;
    fleet.daemons[0].obey(TargetOutcome::Error).await;
    settle().await;
    fleet.daemons[1].obey(TargetOutcome::Ok).await;
    assert_eq!(run.outcomes().await.0, RunState::Failed);
    assert_eq!(run.run().on_error, OnError::Continue);
}

#[tokio::test(start_paused = true)]
async fn hosts_that_cant_take_it_are_skipped_and_named() {
    let mut fleet = Fleet::of(4).await;
    // One is gone, one drains by itself, one was revoked, which is none of all hosts any more.
    drop(fleet.daemons.remove(0));
    fleet.daemons[0].send(&Event::Heartbeat { draining: true, in_flight: 0 });
    fleet.daemons[0].command().await.unwrap();
    let revoked = fleet.hosts[2].id.to_string();
    fleet.operator.service.revoke_node(fleet.operator.call("RevokeNode"), revoked).await.unwrap();
    let mut run = fleet.start(facts()).await;
    let RunChange::Started { targets, skipped, .. } = &run.kept[0].what else { panic!() };
    assert_eq!(targets.len(), 1);
    assert_eq!(targets[0].node_id, fleet.hosts[3].id);
    let reasons: Vec<_> = skipped.iter().map(|skipped| skipped.reason).collect();
    assert_eq!(reasons, [SkipReason::Disconnected, SkipReason::Draining]);
    for (host, reason) in [(0, "disconnected"), (1, "draining"), (2, "revoked")] {
        let target = Some(format!("@{}", fleet.hosts[host].id));
        let error = fleet.refused(StartRun { target, ..facts() }).await;
        assert!(error.message.ends_with(&format!("is {reason}")), "{error}");
    }
    fleet.daemons[2].obey(TargetOutcome::Ok).await;
    assert_eq!(run.outcomes().await, (RunState::Ok, vec![TargetOutcome::Ok]));
    fleet.daemons[0].got_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_edge_unavailable_and_nothing_is_kept() {
    let fleet = Fleet::of(0).await;
    let error = fleet.refused(facts()).await;
    assert_eq!(error.code.exit_code(), aegis_core::ExitCode::Unavailable);
    assert!(error.message.starts_with("EdgeUnavailable: no host of 'all'"), "{error}");
    let list = fleet.operator.service.list_runs(fleet.operator.call("ListRuns"), ListRuns::default());
    assert!(list.await.unwrap().is_empty());
    assert!(fleet.audit().contains("run Refused host.facts: EdgeUnavailable"), "{}", fleet.audit());
}

#[tokio::test(start_paused = true)]
async fn without_a_target_the_one_connected_host_is_meant_or_nobody() {
    let mut fleet = Fleet::of(2).await;
    let anywhere = || StartRun { target: None, ..facts() };
    let several = fleet.refused(anywhere()).await;
    assert_eq!(several.code.exit_code(), aegis_core::ExitCode::Unavailable);
    assert!(several.message.contains("2 hosts are connected"), "{several}");
    assert!(several.hint.unwrap().contains("--target"));
    drop(fleet.daemons.remove(0));
    let mut run = fleet.start(anywhere()).await;
    assert_eq!(run.run().target, format!("@{}", fleet.hosts[1].id));
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    assert_eq!(run.outcomes().await.0, RunState::Ok);
    drop(fleet.daemons.remove(0));
    assert!(fleet.refused(anywhere()).await.message.contains("no host is connected"));
}

/// Sees whether a command is on the disk before it is on the bus.
struct CheckingBus {
    inner: aegis_store::LocalBus<crate::state::Order>,
    store: Arc<dyn aegis_store::Store>,
    seen: Arc<std::sync::atomic::AtomicUsize>,
}

impl aegis_store::Bus<crate::state::Order> for CheckingBus {
    fn register(&self, node: &aegis_core::NodeId) -> aegis_store::Registration<crate::state::Order> {
        self.inner.register(node)
    }
    fn send(
        &self,
        node: &aegis_core::NodeId,
        order: crate::state::Order,
    ) -> Result<(), aegis_store::NotRouted> {
        if let crate::state::Order::Invoke(_) = order {
            let rows = self.store.list("run-event/").unwrap();
            let text: String = rows.iter().map(|row| String::from_utf8_lossy(&row.value)).collect();
            assert!(text.contains(r#""event":"dispatched""#), "{text}");
            self.seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        self.inner.send(node, order)
    }
    fn poke(&self, node: &aegis_core::NodeId) {
        self.inner.poke(node);
    }
    fn evict(&self, node: &aegis_core::NodeId) {
        self.inner.evict(node);
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_is_on_the_disk_before_it_is_sent() {
    let seen = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let controller = with_parts(|parts| {
        let (inner, store) = (aegis_store::LocalBus::default(), parts.store.clone());
        parts.bus = Arc::new(CheckingBus { inner, store, seen: seen.clone() });
    })
    .await;
    let mut fleet = Fleet::on(controller, 1).await;
    let mut run = fleet.start(facts()).await;
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    run.end().await;
    assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_and_fifty_hosts_all_end() {
    let mut fleet = Fleet::of(150).await;
    let mut run = fleet.start(facts()).await;
    for daemon in &mut fleet.daemons {
        daemon.obey(TargetOutcome::Ok).await;
    }
    let (state, outcomes) = run.outcomes().await;
    assert_eq!((state, outcomes.len()), (RunState::Ok, 150));
    let log = fleet.audit();
    for host in &fleet.hosts {
        let lines = log.lines().filter(|line| line.contains(host.id.as_str()));
        let of_run = lines.filter(|line| line.starts_with("dispatch Ok") || line.starts_with("result Ok"));
        assert_eq!(of_run.count(), 2, "{}", host.id);
    }
    assert!(!log.contains('…'), "nothing was cut");
}
