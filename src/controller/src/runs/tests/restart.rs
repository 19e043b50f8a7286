//! A controller that ended in the middle of runs finishes them honestly when it starts again.

use std::sync::atomic::{AtomicBool, Ordering};

use aegis_core::{Revision, fleet::Mode};
use aegis_store::{Batch, Entry, MemoryStore, Order as Direction, Pending, Record, Store, StoreError, Watch};

use super::*;
use crate::{
    runs::recover,
    testing::{restarted, with_parts},
};

/// A store whose machine can lose its power: from then on nothing is written.
#[derive(Default)]
struct Mortal {
    inner: MemoryStore,
    dead: AtomicBool,
}

impl Store for Mortal {
    fn revision(&self) -> Revision {
        self.inner.revision()
    }
    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key)
    }
    fn scan(
        &self,
        prefix: &str,
        order: Direction,
        visit: &mut dyn FnMut(&str, &[u8], Revision) -> bool,
    ) -> Result<(), StoreError> {
        self.inner.scan(prefix, order, visit)
    }
    fn log(&self, log: &str, after: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.inner.log(log, after, limit)
    }
    fn commit(&self, mut batch: Batch) -> Pending {
        if self.dead.load(Ordering::SeqCst) {
            batch.check("no such key", Revision(u64::MAX));
        }
        self.inner.commit(batch)
    }
    fn changes(
        &self,
        since: Revision,
        prefix: &str,
    ) -> Result<Option<std::collections::BTreeSet<String>>, StoreError> {
        self.inner.changes(since, prefix)
    }
    fn watch(&self, prefix: &str) -> Watch {
        self.inner.watch(prefix)
    }
    fn backup(&self, path: &std::path::Path) -> Result<(), StoreError> {
        self.inner.backup(path)
    }
}

/// Hosts of a controller whose store can die.
async fn mortal(count: u8) -> (Fleet, Arc<Mortal>) {
    let store = Arc::new(Mortal::default());
    let controller = with_parts(|parts| parts.store = store.clone()).await;
    (Fleet::on(controller, count).await, store)
}

/// The next controller on the same store, once the first is gone.
async fn next(fleet: &Fleet, store: &Mortal) -> (Arc<Controller>, Operator) {
    settle().await;
    store.dead.store(false, Ordering::SeqCst);
    let controller = restarted(&fleet.controller);
    recover(&controller).await.unwrap();
    let operator = Operator::new(&controller, "default", Role::Operator);
    (controller, operator)
}

#[tokio::test(start_paused = true)]
async fn what_is_known_stays_and_the_rest_is_disconnected_or_not_started() {
    let (mut fleet, store) = mortal(3).await;
    let wish = StartRun { max_concurrency: Some(2), ..command() };
    let mut run = fleet.start(wish).await;
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    run.until_results(1).await;
    // Two and three have it by now.
    store.dead.store(true, Ordering::SeqCst);
    drop(fleet.daemons.drain(..));
    let (again, operator) = next(&fleet, &store).await;

    let id = run.id();
    let events = kept(&operator, &id).await.unwrap();
    let outcomes: Vec<_> = results(&events).iter().map(|result| (result.target, result.outcome)).collect();
    assert_eq!(
        outcomes,
        [(0, TargetOutcome::Ok), (1, TargetOutcome::Disconnected), (2, TargetOutcome::Disconnected)]
    );
    assert!(results(&events)[1].error.starts_with("the controller ended before the result came"));
    let RunChange::Finished { run } = &events.last().unwrap().what else { panic!("{events:?}") };
    assert_eq!(
        (run.state, run.reason.as_str()),
        (RunState::Interrupted, "the controller ended in the middle of it")
    );
    assert_eq!((run.outcomes.total(), run.finished_at.is_some()), (3, true));
    assert!(events.iter().map(|event| event.sequence).eq(1..=events.len() as u64));
    let list =
        operator.service.list_runs(operator.call("ListRuns"), aegis_wire::operator::ListRuns::default());
    assert_eq!(list.await.unwrap(), std::slice::from_ref(run));
    let log = audit_lines(&again).join("\n");
    assert!(
        log.contains(&format!(
            "result Failed {id}: disconnected: {} {}",
            fleet.hosts[1].id, fleet.hosts[2].id
        )),
        "{log}"
    );
    assert!(log.contains(&format!("run.end Failed {id}: interrupted")), "{log}");
    // Once, not with every start.
    let once = again.store.revision();
    recover(&again).await.unwrap();
    assert_eq!(again.store.revision(), once);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_dispatched_is_not_started() {
    let (mut fleet, store) = mortal(2).await;
    let run = fleet.start(StartRun { mode: Mode::Sequential, ..command() }).await;
    store.dead.store(true, Ordering::SeqCst);
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    // It couldn't be written down, so the second host got nothing.
    settle().await;
    fleet.daemons[1].got_nothing().await;
    let (_, operator) = next(&fleet, &store).await;
    let outcomes: Vec<_> =
        results(&kept(&operator, &run.id()).await.unwrap()).iter().map(|result| result.outcome).collect();
    assert_eq!(outcomes, [TargetOutcome::Disconnected, TargetOutcome::NotStarted]);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_on_the_disk_before_it_is_told() {
    let (mut fleet, store) = mortal(1).await;
    let mut run = fleet.start(facts()).await;
    store.dead.store(true, Ordering::SeqCst);
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    let mut failure = None;
    while let Some(piece) = run.next().await {
        failure = piece.err();
    }
    assert_eq!(failure.unwrap().code, aegis_wire::Code::Internal);
    assert!(run.results().is_empty());
    assert!(crate::lock(&fleet.controller.runs.live).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cant_be_written_down_does_not_begin() {
    let (mut fleet, store) = mortal(1).await;
    store.dead.store(true, Ordering::SeqCst);
    assert_eq!(fleet.refused(facts()).await.code, aegis_wire::Code::Internal);
    fleet.daemons[0].got_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn runs_that_have_ended_are_left_alone() {
    let (mut fleet, store) = mortal(1).await;
    let mut run = fleet.start(facts()).await;
    fleet.daemons[0].obey(TargetOutcome::Ok).await;
    let (end, _) = run.end().await;
    let (_, operator) = next(&fleet, &store).await;
    let events = kept(&operator, &run.id()).await.unwrap();
    assert_eq!(events, run.kept);
    let which = GetRun { run: end.run_id.to_string(), follow: true };
    let stream = operator.service.get_run(operator.call("GetRun"), which).await.unwrap();
    let mut followed = Following::of(stream);
    assert_eq!(followed.end().await.0, end, "following one that has ended ends, too");
}
