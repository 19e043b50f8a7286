//! Cancelling: what waits never begins, what runs is ended, what has ended stays.

use aegis_core::fleet::{ENDING_TAKES, Mode};
use aegis_wire::Code;

use super::*;

#[tokio::test(start_paused = true)]
async fn what_runs_is_ended_and_what_waits_never_begins() {
    let mut fleet = Fleet::of(3).await;
    let wish = StartRun { max_concurrency: Some(2), ..command() };
    let mut run = fleet.start(wish).await;
    let commands =
        [fleet.daemons[0].invoked().await.order.command, fleet.daemons[1].invoked().await.order.command];
    let answer = fleet.cancel(&run.id()).await.unwrap();
    assert_eq!((answer.state, answer.reason.as_str()), (RunState::Running, "cancelled by tester"));
    assert!(fleet.audit().contains(&format!("run.cancel Ok {}", run.id())), "it is on the disk by now");
    for (number, command) in commands.iter().enumerate() {
        let told = fleet.daemons[number].command().await.unwrap();
        assert_eq!(told, Command::Cancel { command: command.clone() });
    }
    // One was faster than the cancel: what it says counts.
    fleet.daemons[0].answer(&commands[0], TargetOutcome::Ok).await;
    fleet.daemons[1].answer(&commands[1], TargetOutcome::Cancelled).await;
    let (state, outcomes) = run.outcomes().await;
    assert_eq!(state, RunState::Cancelled);
    assert_eq!(outcomes, [TargetOutcome::Ok, TargetOutcome::Cancelled, TargetOutcome::NotStarted]);
    fleet.daemons[2].got_nothing().await;
    let cancelling = RunChange::Cancelling { subject: "tester".into() };
    assert!(run.kept.iter().any(|event| event.what == cancelling));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_answer_a_cancel_is_not_waited_for() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(facts()).await;
    let command = fleet.daemons[0].invoked().await.order.command;
    fleet.cancel(&run.id()).await.unwrap();
    assert_eq!(fleet.daemons[0].command().await.unwrap(), Command::Cancel { command });
    tokio::time::advance(ENDING_TAKES).await;
    let (end, results) = run.end().await;
    assert_eq!((end.state, results[0].outcome), (RunState::Cancelled, TargetOutcome::Cancelled));
    assert_eq!(results[0].error, "cancelled; the host didn't say how the command ended");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_cancelled_in_its_queue_is_never_sent() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(facts()).await;
    // The stream wasn't read yet: the command lies in its queue.
    fleet.cancel(&run.id()).await.unwrap();
    fleet.daemons[0].got_nothing().await;
    let (end, results) = run.end().await;
    assert_eq!((end.state, results[0].outcome), (RunState::Cancelled, TargetOutcome::Cancelled));
    assert_eq!(results[0].error, "cancelled before the command was sent");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_ended_stays_as_it_is() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(facts()).await;
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    let (end, _) = run.end().await;
    assert_eq!(fleet.cancel(&run.id()).await.unwrap(), end);
    assert!(!fleet.audit().contains("run.cancel"));
}

#[tokio::test(start_paused = true)]
async fn a_second_cancel_changes_nothing() {
    let mut fleet = Fleet::of(2).await;
    let mut run = fleet.start(StartRun { mode: Mode::Sequential, ..facts() }).await;
    let command = fleet.daemons[0].invoked().await.order.command;
    fleet.cancel(&run.id()).await.unwrap();
    fleet.cancel(&run.id()).await.unwrap();
    assert_eq!(fleet.daemons[0].command().await.unwrap(), Command::Cancel { command: command.clone() });
    fleet.daemons[0].answer(&command, TargetOutcome::Cancelled).await;
    let (state, outcomes) = run.outcomes().await;
    assert_eq!(state, RunState::Cancelled);
    assert_eq!(outcomes, [TargetOutcome::Cancelled, TargetOutcome::NotStarted]);
    assert_eq!(fleet.audit().matches("run.cancel").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_tenants_run_looks_unknown() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(facts()).await;
    let theirs = Operator::new(&fleet.controller, "t-other", Role::Admin);
    let unknown = format!("r-{}", "0".repeat(20));
    for running in [true, false] {
        let mut answers = Vec::new();
        for id in [run.id(), unknown.clone()] {
            let cancel = theirs.service.cancel_run(theirs.call("CancelRun"), id.clone()).await.unwrap_err();
            let get = kept(&theirs, &id).await.unwrap_err();
            assert_eq!((cancel.code, &cancel.message), (Code::NotFound, &get.message));
            answers.push(cancel.message.replace(&id, "X"));
        }
        assert_eq!(answers[0], answers[1]);
        let list =
            theirs.service.list_runs(theirs.call("ListRuns"), aegis_wire::operator::ListRuns::default());
        assert!(list.await.unwrap().is_empty());
        if running {
            fleet.daemons[0].obey(TargetOutcome::Ok).await;
            assert_eq!(run.outcomes().await.0, RunState::Ok, "it wasn't cancelled");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_found_by_a_unique_prefix_of_four_digits() {
    let fleet = Fleet::of(1).await;
    let (one, two) = (fleet.start(facts()).await.id(), fleet.start(facts()).await.id());
    let ambiguous = fleet.cancel(&one[..6]).await.unwrap_err();
    assert_eq!(ambiguous.code, Code::Invalid);
    assert!(ambiguous.message.contains("ambiguous"), "{ambiguous}");
    for short in ["", "r-", "r-000", "all"] {
        assert_eq!(fleet.cancel(short).await.unwrap_err().code, Code::NotFound, "{short}");
    }
    assert_eq!(fleet.cancel(&one).await.unwrap().run_id.as_str(), one);
    assert_ne!(one, two);
}
