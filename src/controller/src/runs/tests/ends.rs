//! Every command has exactly one end, whatever happens to its host, its stream or its result.

use aegis_core::{NodeId, fleet::ENDING_TAKES};
use aegis_wire::Code;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_result_counts_only_from_the_host_that_was_asked() {
    let mut fleet = Fleet::of(2).await;
    let mut run = fleet.start(facts()).await;
    let command = fleet.daemons[0].invoked().await.order.command;
    let others = fleet.daemons[1].invoked().await.order.command;
    // The other host says how the first one's command ended.
    fleet.daemons[1].answer(&command, TargetOutcome::Error).await;
    settle().await;
    assert!(run.results().is_empty());
    fleet.daemons[0].answer(&command, TargetOutcome::Ok).await;
    fleet.daemons[1].answer(&others, TargetOutcome::Ok).await;
    assert_eq!(run.outcomes().await, (RunState::Ok, vec![TargetOutcome::Ok; 2]));
    let log = fleet.audit();
    assert!(
        log.contains(&format!("result Refused {command}: a result for a command that this stream")),
        "{log}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_result_changes_nothing() {
    let mut fleet = Fleet::of(2).await;
    let mut run = fleet.start(facts()).await;
    let command = fleet.daemons[0].obey(TargetOutcome::Ok).await;
    fleet.daemons[0].answer(&command, TargetOutcome::Error).await;
    fleet.daemons[1].obey(TargetOutcome::Ok).await;
    assert_eq!(run.outcomes().await.0, RunState::Ok);
    // Nor does one that comes when all is over.
    fleet.daemons[0].answer(&command, TargetOutcome::Error).await;
    settle().await;
    let refused = format!("result Refused {command}");
    assert_eq!(fleet.audit().matches(&refused).count(), 2);
    assert_eq!(results(&fleet.kept(&run.id()).await).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_result_for_a_command_that_never_was_changes_nothing() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(facts()).await;
    let unknown: CommandId = format!("{}.7", run.id()).parse().unwrap();
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    fleet.daemons[0].answer(&unknown, TargetOutcome::Error).await;
    assert_eq!(run.outcomes().await.0, RunState::Ok);
    settle().await;
    assert!(fleet.audit().contains(&format!("result Refused {unknown}")));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_says_nothing_times_out_and_its_late_result_does_not_count() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(StartRun { deadline_ms: Some(500), ..facts() }).await;
    let invoked = fleet.daemons[0].invoked().await;
    assert_eq!(invoked.order.deadline, Duration::from_millis(500));
    tokio::time::advance(Duration::from_millis(499) + ENDING_TAKES).await;
    assert!(run.results().is_empty());
    let since = tokio::time::Instant::now();
    let (end, results) = run.end().await;
    assert!(since.elapsed() <= Duration::from_millis(10), "{:?}", since.elapsed());
    assert_eq!((end.state, results[0].outcome), (RunState::TimedOut, TargetOutcome::TimedOut));
    // The host is told, in case that it is still at it.
    let command = invoked.order.command;
    assert_eq!(fleet.daemons[0].command().await.unwrap(), Command::Cancel { command: command.clone() });
    fleet.daemons[0].got_nothing().await;
    let aloft = fleet.controller.runs.aloft().load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(aloft, 0, "the stream has forgotten it, too");
    fleet.daemons[0].answer(&command, TargetOutcome::Ok).await;
    settle().await;
    assert!(fleet.audit().contains(&format!("result Refused {command}")));
    assert_eq!(super::results(&fleet.kept(&run.id()).await).len(), 1);
}

/// What becomes of a command whose host is gone by `how`.
async fn gone(how: impl AsyncFnOnce(&mut Fleet)) {
    let mut fleet = Fleet::of(2).await;
    let mut run = fleet.start(command()).await;
    let command = fleet.daemons[0].invoked().await.order.command;
    fleet.daemons[1].obey(TargetOutcome::Ok).await;
    how(&mut fleet).await;
    let (end, results) = run.end().await;
    assert_eq!(end.state, RunState::Failed);
    assert_eq!(results[0].outcome, TargetOutcome::Disconnected);
    assert!(results[0].error.starts_with("edge_disconnected: "), "{}", results[0].error);
    assert_eq!(results[1].outcome, TargetOutcome::Ok);
    // On whatever stream it comes, its result is one of nothing.
    if let Some(daemon) = fleet.daemons.get_mut(2) {
        daemon.answer(&command, TargetOutcome::Ok).await;
        assert!(fleet.audit().contains(&format!("result Refused {command}")));
    }
    let log = fleet.audit();
    assert!(
        log.contains(&format!("result Failed {}: disconnected: {}", run.id(), fleet.hosts[0].id)),
        "{log}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_ends_its_commands() {
    gone(async |fleet| drop(fleet.daemons.remove(0))).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_stream_of_the_host_ends_the_commands_of_the_first() {
    gone(async |fleet| {
        let again = Daemon::connect(&fleet.controller, &fleet.hosts[0], "s2").await;
        fleet.daemons.push(again);
        assert_eq!(fleet.daemons[0].end().await.unwrap().code, Code::Conflict);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_revoke_ends_the_commands_of_the_host() {
    gone(async |fleet| {
        let id = fleet.hosts[0].id.to_string();
        fleet.operator.service.revoke_node(fleet.operator.call("RevokeNode"), id).await.unwrap();
        fleet.daemons[0].end().await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_envelope_that_breaks_a_rule_ends_the_commands_of_the_stream() {
    gone(async |fleet| {
        let event = fleet.daemons[0].sealed(&Event::Ack { sequence: 1 });
        fleet.daemons[0].deliver(event.clone());
        fleet.daemons[0].deliver(event);
        fleet.daemons[0].end().await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_finds_no_stream_ends_at_once() {
    let mut fleet = Fleet::of(2).await;
    let mut run = fleet.start(StartRun { mode: aegis_core::fleet::Mode::Sequential, ..command() }).await;
    // The second host goes while the first has its turn.
    let command = fleet.daemons[0].invoked().await.order.command;
    drop(fleet.daemons.remove(1));
    fleet.daemons[0].answer(&command, TargetOutcome::Ok).await;
    let (_, results) = run.end().await;
    assert_eq!(results[1].outcome, TargetOutcome::Disconnected);
    assert!(results[1].error.contains("before the command was sent"), "{}", results[1].error);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_no_more_orders_refuses_the_next_as_busy() {
    let mut fleet = Fleet::of(1).await;
    let mut first = fleet.start(facts()).await;
    // Nobody reads the stream, so orders pile up in its queue until it is full.
    while fleet.controller.bus.send(&fleet.hosts[0].id, crate::state::Order::Tick).is_ok() {}
    let mut last = fleet.start(facts()).await;
    let (_, results) = last.end().await;
    assert_eq!(results[0].outcome, TargetOutcome::Error, "it isn't gone");
    assert_eq!(results[0].refusal, Some(aegis_wire::edge::Refusal::Busy));
    assert_eq!(results[0].error, "web-1 takes no orders at the moment; run it again");
    let invoked = fleet.daemons[0].invoked().await;
    assert_eq!(invoked.order.command.as_str(), format!("{}.0", first.id()));
    drop(fleet.daemons.remove(0));
    assert_eq!(first.outcomes().await.1, [TargetOutcome::Disconnected]);
}

#[tokio::test(start_paused = true)]
async fn a_hosts_refusal_is_its_result_and_is_in_the_log() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(facts()).await;
    let command = fleet.daemons[0].invoked().await.order.command;
    let refused = CommandResult {
        refusal: Some(aegis_wire::edge::Refusal::Tool),
        error: "localPolicy denies host.facts ".repeat(1000),
        ..result(&command, TargetOutcome::Error)
    };
    fleet.daemons[0].send(&Event::CommandResult(refused));
    fleet.daemons[0].heartbeat().await;
    let (_, results) = run.end().await;
    assert_eq!(results[0].refusal, Some(aegis_wire::edge::Refusal::Tool));
    assert!(results[0].error.len() <= 4096, "a host may not fill the disk");
    let log = fleet.audit();
    assert!(
        log.contains(&format!("result Refused {}: refused (tool): {}", run.id(), fleet.hosts[0].id)),
        "{log}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_tenants_hosts_cant_be_begun() {
    let fleet = Fleet::of(1).await;
    let theirs = Operator::new(&fleet.controller, "t-other", Role::Operator);
    let wish = StartRun { target: Some(format!("@{}", fleet.hosts[0].id)), ..facts() };
    let unknown = NodeId::of_public_key(&[99; 32]);
    let nobody = StartRun { target: Some(format!("@{unknown}")), ..facts() };
    let mut answers = Vec::new();
    for wish in [wish, nobody] {
        let answer = theirs.service.start_run(theirs.call("StartRun"), wish.clone()).await.err().unwrap();
        answers.push(answer.message.replace(wish.target.unwrap().trim_start_matches('@'), "X"));
    }
    assert_eq!(answers[0], answers[1]);
}
