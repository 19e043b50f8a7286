//! Security contexts are in force before the next order, whoever wrote them and whenever the host came.

use aegis_core::{ObjectKey, Outcome, Owner, Revision};
use aegis_wire::operator::{BeginPlan, ObjectWrite, Write};

use super::*;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("SecurityContext", name)
}

/// Writes or deletes a context; gives its revision.
async fn write(fleet: &Fleet, name: &str, base: u64, body: Option<&'static str>) -> u64 {
    let (service, operator) = (&fleet.operator.service, &fleet.operator);
    let plan = BeginPlan { owner: Owner::cli(), source: String::new(), owns: vec![] };
    let plan = service.begin_plan(operator.call("BeginPlan"), plan).await.unwrap();
    let write = ObjectWrite {
        key: key(name),
        base: Revision(base),
        write: body.map_or(Write::Delete, |body| Write::Put(Bytes::from_static(body.as_bytes()))),
        steps: vec![],
        outcome: Outcome::Created,
        value: None,
    };
    let results = service.write_objects(operator.call("WriteObjects"), plan, vec![write]).await.unwrap();
    results[0].as_ref().unwrap().0
}

const LOOKS: &str = r#"{"spec":{"capabilities":[{"tools":["host.facts"]}]}}"#;
const RUNS: &str = r#"{"spec":{"capabilities":[{"tools":["cmd.run"],"commands":["true"]}]}}"#;

async fn pushed(daemon: &mut Daemon) -> (u64, Vec<String>, String) {
    match daemon.command().await.unwrap() {
        Command::PushConfig { revision, contexts } => {
            let json = serde_json::to_string(&contexts).unwrap();
            (revision, contexts.into_keys().collect(), json)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn without_contexts_nothing_is_pushed() {
    let mut fleet = Fleet::of(1).await;
    fleet.daemons[0].got_nothing().await;
    let _run = fleet.start(facts()).await;
    fleet.daemons[0].invoked().await;
}

#[tokio::test(start_paused = true)]
async fn a_context_that_was_written_a_moment_ago_comes_before_the_next_order() {
    let mut fleet = Fleet::of(1).await;
    let first = write(&fleet, "ops", 0, Some(LOOKS)).await;
    let wish = || StartRun { security_context: Some("ops".into()), ..facts() };
    let _one = fleet.start(wish()).await;
    let (revision, names, json) = pushed(&mut fleet.daemons[0]).await;
    assert_eq!((revision, names), (first, vec!["ops".to_owned()]));
    assert!(json.contains("host.facts"));
    assert_eq!(fleet.daemons[0].invoked().await.order.security_context, "ops");

    // Changed again, with an order on its way at once.
    let second = write(&fleet, "ops", first, Some(RUNS)).await;
    let _two = fleet.start(wish()).await;
    let (revision, _, json) = pushed(&mut fleet.daemons[0]).await;
    assert!(revision > first && revision == second);
    assert!(json.contains("cmd.run"));
    fleet.daemons[0].invoked().await;

    // And a third time without a change.
    let _three = fleet.start(wish()).await;
    fleet.daemons[0].invoked().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_even_to_a_stream_whose_queue_is_full() {
    let mut fleet = Fleet::of(1).await;
    while fleet.controller.bus.send(&fleet.hosts[0].id, crate::state::Order::Tick).is_ok() {}
    write(&fleet, "ops", 0, Some(LOOKS)).await;
    pushed(&mut fleet.daemons[0]).await;
    fleet.daemons[0].heartbeat().await;
    let _run = fleet.start(facts()).await;
    fleet.daemons[0].invoked().await;
}

#[tokio::test(start_paused = true)]
async fn connected_hosts_are_told_at_once_and_others_when_they_come() {
    let mut fleet = Fleet::of(2).await;
    drop(fleet.daemons.remove(1));
    let first = write(&fleet, "ops", 0, Some(LOOKS)).await;
    assert_eq!(pushed(&mut fleet.daemons[0]).await.0, first);
    let mut late = Daemon::connect(&fleet.controller, &fleet.hosts[1], "s2").await;
    assert_eq!(pushed(&mut late).await.0, first, "right after the welcome");
    late.got_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_context_is_taken_away_also_from_hosts_that_were_away() {
    let mut fleet = Fleet::of(2).await;
    let first = write(&fleet, "default", 0, Some(RUNS)).await;
    pushed(&mut fleet.daemons[0]).await;
    pushed(&mut fleet.daemons[1]).await;
    drop(fleet.daemons.remove(1));
    write(&fleet, "default", first, None).await;
    let (revision, names, _) = pushed(&mut fleet.daemons[0]).await;
    assert!(revision > first && names.is_empty());
    let mut back = Daemon::connect(&fleet.controller, &fleet.hosts[1], "s2").await;
    assert!(pushed(&mut back).await.1.is_empty(), "it remembers what was pushed before");
    // A controller that starts again knows it, too.
    let again = crate::testing::restarted(&fleet.controller);
    let mut back = Daemon::connect(&again, &fleet.hosts[0], "s3").await;
    assert_eq!(pushed(&mut back).await.0, revision);
}

#[tokio::test(start_paused = true)]
async fn another_tenants_contexts_are_not_pushed() {
    let mut fleet = Fleet::of(1).await;
    let theirs = crate::testing::host(&fleet.controller, "t-other", 99, "db-1").await;
    let mut theirs = Daemon::connect(&fleet.controller, &theirs, "s1").await;
    write(&fleet, "ops", 0, Some(LOOKS)).await;
    pushed(&mut fleet.daemons[0]).await;
    theirs.got_nothing().await;
    let operator = Operator::new(&fleet.controller, "t-other", Role::Operator);
    let wish = StartRun { security_context: Some("ops".into()), ..facts() };
    let error = operator.service.start_run(operator.call("StartRun"), wish).await.err().unwrap();
    assert!(error.message.contains("there is default"), "{error}");
}
