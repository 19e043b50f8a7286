//! Which runs are kept, and how they are cut into rows.

use super::*;
use crate::{
    keyspace,
    runs::rows::{self, Place},
    testing::tenant,
};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test(start_paused = true)]
async fn runs_are_kept_for_thirty_days() {
    let mut fleet = Fleet::of(1).await;
    let mut old = fleet.start(facts()).await;
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    old.end().await;
    tokio::time::advance(29 * DAY).await;
    let newer = restart_and_run(&mut fleet).await;
    settle().await;
    assert!(kept(&fleet.operator, &old.id()).await.is_ok());
    tokio::time::advance(2 * DAY).await;
    restart_and_run(&mut fleet).await;
    settle().await;
    assert!(kept(&fleet.operator, &old.id()).await.is_err());
    assert!(fleet.controller.store.list(&format!("run-event/default/{}", old.id())).unwrap().is_empty());
    assert!(kept(&fleet.operator, &newer).await.is_ok());
}

/// Connects the host anew, whose token has ended, and runs something; gives the run's id.
async fn restart_and_run(fleet: &mut Fleet) -> String {
    let mut daemon = fleet.reconnect(0).await;
    fleet.operator = Operator::new(&fleet.controller, "default", Role::Operator);
    let mut run = fleet.start(facts()).await;
    daemon.obey(TargetOutcome::Ok).await;
    run.end().await;
    run.id()
}

#[tokio::test(start_paused = true)]
async fn the_newest_thousand_are_kept_and_no_commit_is_large() {
    let mut fleet = Fleet::of(1).await;
    let first = fleet.start(facts()).await;
    let mut template = first.run();
    // As if there had been many, some with very many events; the oldest is still open.
    let now_ms = fleet.controller.clock.now_ms();
    let mut batch = aegis_store::Batch::new();
    for number in 0..1010_u32 {
        let id = aegis_core::fleet::RunId::at(now_ms - 2000 + i64::from(number), [0; 4]);
        let place = Place { tenant: tenant("default"), id: id.clone() };
        template.run_id = id.clone();
        template.state = if number == 0 { RunState::Running } else { RunState::Ok };
        rows::put_run(&mut batch, &place, &template);
        for first in 0..if number == 1 { 2500 } else { 1 } {
            batch.put(keyspace::run_event(&place.tenant, &id, first), "[]");
        }
    }
    fleet.controller.store.commit(batch).await.unwrap();
    let count = |prefix: &str| fleet.controller.store.list(prefix).unwrap().len();
    assert_eq!(count("run/default/"), 1011);
    let before = count("run-event/");
    super::super::retention::prune(&fleet.controller, &tenant("default"));
    settle().await;
    assert_eq!(before - count("run-event/"), 2000, "of the largest, as much as fits");
    assert_eq!(count("run/default/"), 1011, "it is still there, to be found again");
    super::super::retention::prune(&fleet.controller, &tenant("default"));
    settle().await;
    assert_eq!(count("run/default/"), 1001, "the thousand newest, and the one that is open");
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
}

#[test]
fn a_run_of_many_keeps_less_of_each() {
    let command: CommandId = "r-00000000000000000000.0".parse().unwrap();
    let large = CommandResult {
        stdout: vec![b'x'; 300 * 1024].into(),
        data: format!("\"{}\"", "y".repeat(300 * 1024)).into(),
        ..result(&command, TargetOutcome::Ok)
    };
    let host = aegis_wire::operator::RunTarget {
        node_id: aegis_core::NodeId::of_public_key(&[1; 32]),
        name: "web-1".into(),
    };
    let what = RunChange::Result(TargetResult::of_host(0, host, large));
    let event = RunEvent { sequence: 1, time: jiff::Timestamp::UNIX_EPOCH, what };
    let pieces = rows::pieces(1, vec![event]);
    let place = Place { tenant: tenant("default"), id: "r-00000000000000000000".parse().unwrap() };
    for (targets, bound) in [(100, 256 * 1024), (101, 16 * 1024)] {
        let mut batch = aegis_store::Batch::new();
        rows::put(&mut batch, &place, &pieces[0], targets);
        let aegis_store::Write::Put { value, .. } = &batch.writes[0] else { panic!() };
        let events: Vec<RunEvent> = serde_json::from_slice(value).unwrap();
        let kept = &results(&events)[0];
        assert_eq!((kept.stdout.len(), kept.data.is_some()), (bound, false));
    }
}

#[test]
fn events_are_cut_into_rows_of_bounded_size_without_gaps() {
    let event = |size: usize| RunEvent {
        sequence: 0,
        time: jiff::Timestamp::UNIX_EPOCH,
        what: RunChange::Result(TargetResult::without_host(
            0,
            aegis_wire::operator::RunTarget {
                node_id: aegis_core::NodeId::of_public_key(&[1; 32]),
                name: "web-1".into(),
            },
            TargetOutcome::Error,
            "x".repeat(size),
        )),
    };
    let events: Vec<_> = (0..100).map(|_| event(100 * 1024)).chain([event(3_000_000)]).collect();
    let pieces = rows::pieces(7, events);
    let mut next = 7;
    for piece in &pieces {
        assert_eq!(piece.first, next);
        next += piece.events.len() as u64;
        assert!(piece.bytes <= 1024 * 1024 || piece.events.len() == 1);
    }
    assert_eq!(next, 7 + 101);
}
