//! A controller that stops ends its runs as they are, and says so.

use aegis_core::fleet::Mode;
use aegis_wire::Code;

use super::*;

#[tokio::test(start_paused = true)]
async fn runs_end_with_the_controller_and_are_told_and_kept() {
    let mut fleet = Fleet::of(3).await;
    let mut run = fleet.start(StartRun { mode: Mode::Sequential, ..command() }).await;
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    run.until_results(1).await;
    fleet.controller.runs.stop().await;
    let (end, results) = run.end().await;
    assert_eq!(end.state, RunState::Interrupted);
    let outcomes: Vec<_> = results.iter().map(|result| result.outcome).collect();
    assert_eq!(outcomes, [TargetOutcome::Ok, TargetOutcome::Disconnected, TargetOutcome::NotStarted]);
    assert_eq!(fleet.kept(&run.id()).await, run.kept);
    assert!(fleet.controller.store.list("run-open/").unwrap().is_empty());
    let refused = fleet.refused(facts()).await;
    assert_eq!(refused.code, Code::Unavailable);
    fleet.daemons[2].got_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn without_runs_it_stops_at_once() {
    let fleet = Fleet::of(1).await;
    let mut run = fleet.start(facts()).await;
    fleet.cancel(&run.id()).await.unwrap();
    drop(fleet.daemons);
    run.end().await;
    fleet.controller.runs.stop().await;
}
