//! Idempotency keys.

use aegis_wire::{Code, operator::ListRuns};

use super::*;
use crate::{runs::forget_keys, testing::restarted};

fn keyed(key: &str) -> StartRun {
    StartRun { idempotency_key: Some(key.to_owned()), ..facts() }
}

async fn runs(fleet: &Fleet) -> usize {
    let list = fleet.operator.service.list_runs(fleet.operator.call("ListRuns"), ListRuns::default());
    list.await.unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn the_same_request_again_is_the_same_run() {
    let mut fleet = Fleet::of(1).await;
    let mut one = fleet.start(keyed("deploy-7")).await;
    let mut two = fleet.start(keyed("deploy-7")).await;
    assert_eq!(one.id(), two.id());
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    assert_eq!(one.end().await, two.end().await);
    fleet.daemons[0].got_nothing().await;
    // Also when it has ended, when no host is there, and after a restart.
    drop(fleet.daemons.remove(0));
    let mut three = fleet.start(keyed("deploy-7")).await;
    assert_eq!(three.end().await, one.end().await);
    fleet.controller = restarted(&fleet.controller);
    fleet.operator = Operator::new(&fleet.controller, "default", Role::Operator);
    assert_eq!(fleet.start(keyed("deploy-7")).await.id(), one.id());
    assert_eq!(runs(&fleet).await, 1);
}

#[tokio::test(start_paused = true)]
async fn two_at_the_same_moment_are_one_run() {
    let mut fleet = Fleet::of(1).await;
    let (one, two) = tokio::join!(fleet.start(keyed("k")), fleet.start(keyed("k")));
    assert_eq!(one.id(), two.id());
    assert_eq!(runs(&fleet).await, 1);
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    fleet.daemons[0].got_nothing().await;
    assert!(lock_is_empty(&fleet).await, "the one that lost the race left nothing behind");
}

async fn lock_is_empty(fleet: &Fleet) -> bool {
    settle().await;
    crate::lock(&fleet.controller.runs.live).is_empty()
}

#[tokio::test(start_paused = true)]
async fn the_same_key_with_another_request_is_refused() {
    let fleet = Fleet::of(1).await;
    let run = fleet.start(keyed("k")).await;
    for other in [
        StartRun { deadline_ms: Some(1000), ..keyed("k") },
        StartRun { target: Some("os=linux".into()), ..keyed("k") },
        StartRun { arguments: Bytes::from_static(b"{}"), tool: "docker.images".into(), ..keyed("k") },
    ] {
        let error = fleet.refused(other).await;
        assert_eq!(error.code, Code::Conflict);
        assert!(error.message.contains(&run.id()), "{error}");
    }
    let same = StartRun { arguments: Bytes::from_static(b" { } "), ..keyed("k") };
    assert_eq!(fleet.start(same).await.id(), run.id(), "the same arguments, written otherwise");
    assert_ne!(fleet.start(keyed("l")).await.id(), run.id());
}

#[tokio::test(start_paused = true)]
async fn a_key_is_a_tenants_own_and_lasts_a_day() {
    let mut fleet = Fleet::of(1).await;
    let run = fleet.start(keyed("k")).await;
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    let theirs = crate::testing::host(&fleet.controller, "t-other", 99, "db-1").await;
    let _theirs = Daemon::connect(&fleet.controller, &theirs, "s1").await;
    let operator = Operator::new(&fleet.controller, "t-other", Role::Operator);
    let events = operator.service.start_run(operator.call("StartRun"), keyed("k")).await.unwrap();
    let mut other = Following::of(events);
    other.started().await;
    assert_ne!(other.id(), run.id());

    let store = fleet.controller.store.clone();
    let rows = || store.list("run-key/").unwrap().len();
    tokio::time::advance(Duration::from_hours(23)).await;
    forget_keys(&fleet.controller).await.unwrap();
    assert_eq!(rows(), 2);
    tokio::time::advance(Duration::from_hours(1)).await;
    let _daemon = fleet.reconnect(0).await;
    let operator = Operator::new(&fleet.controller, "default", Role::Operator);
    let events = operator.service.start_run(operator.call("StartRun"), keyed("k")).await.unwrap();
    let mut later = Following::of(events);
    later.started().await;
    assert_ne!(later.id(), run.id());
    forget_keys(&fleet.controller).await.unwrap();
    assert_eq!(rows(), 1, "the one that was taken again");
}

#[tokio::test(start_paused = true)]
async fn the_key_of_a_run_that_is_forgotten_is_free() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(keyed("k")).await;
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    run.end().await;
    let mut batch = aegis_store::Batch::new();
    batch.delete(format!("run/default/{}", run.id()));
    fleet.controller.store.commit(batch).await.unwrap();
    assert_ne!(fleet.start(keyed("k")).await.id(), run.id());
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_takes_no_key() {
    let mut fleet = Fleet::of(0).await;
    assert_eq!(fleet.refused(keyed("k")).await.code, Code::NotFound);
    let host = host(&fleet.controller, "default", 1, "web-1").await;
    fleet.daemons.push(Daemon::connect(&fleet.controller, &host, "s1").await);
    fleet.start(keyed("k")).await;
    let long = fleet.refused(keyed(&"k".repeat(300))).await;
    assert_eq!(long.code, Code::Invalid);
}
