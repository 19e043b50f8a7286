//! Runs: a tool on hosts, each of which ends in exactly one result (1-product.md, decision 5).
//!
//! `driver` is a run's task, `turn` what it does with what it is told, `journal` what others see of it, `rows` what is on
//! the disk. `flight` and `carried` are the way of one command through the bus and a host's stream, and back.

mod carried;
mod driver;
mod flight;
mod gathered;
mod journal;
mod key;
mod live;
mod notes;
mod recover;
mod retention;
pub(crate) mod rows;
mod spec;
#[cfg(test)]
mod tests;
mod tooling;
mod turn;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use aegis_core::fleet::{FleetRun, Input, RunId};
use aegis_store::{Batch, CommitError, Revision};
use aegis_wire::{
    ApiError,
    operator::{Run, RunChange},
};
use tokio::{sync::oneshot, time::Instant};

pub(crate) use carried::{Carried, NotCarried, TooMuch, Waiting};
pub(crate) use flight::Ticket;
pub(crate) use journal::Watcher;
pub(crate) use key::{Found, Key};
pub(crate) use recover::recover;
pub(crate) use retention::forget_keys;
pub(crate) use rows::Place;
pub(crate) use spec::{RunSpec, new_id};

use crate::{failed, keyspace, lock, state::Controller};
use driver::{Begin, Driver};
use flight::Aloft;
use journal::Journal;
use live::{LiveRun, Room, Said};
use spec::Planned;

/// How many runs of a tenant are under way at most. Each holds its targets and its output in memory.
const UNDER_WAY: usize = 64;

/// The runs under way.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    live: Mutex<BTreeMap<RunId, Arc<LiveRun>>>,
    stopping: AtomicBool,
    aloft: Aloft,
    room: Room,
}

/// A run that was begun here.
#[derive(Debug, Clone)]
pub(crate) struct RunHandle {
    controller: Arc<Controller>,
    run: Arc<LiveRun>,
}

impl RunHandle {
    /// Everything that happens in it, from its begin to its end.
    pub fn watch(&self) -> Watcher {
        Watcher::live(self.controller.store.clone(), self.run.clone(), true)
    }
    /// A word on how to go on: `Proceed`, `Halt`, `Pause` or `Resume`. A run that is over doesn't hear it.
    pub fn steer(&self, input: Input) {
        self.run.say(Said::Steer(input));
    }
    /// Cancels it. When this returns that is on the disk, or the run is over.
    pub async fn cancel(&self, subject: &str) {
        let (done, is_done) = oneshot::channel();
        if self.run.say(Said::Cancel { subject: subject.to_owned(), done }) {
            // It ended before it heard.
            let _ = is_done.await;
        }
    }
}

/// What became of the wish to begin a run.
pub(crate) enum Begun {
    New(RunHandle),
    /// Somebody used the idempotency key a moment earlier: look it up.
    KeyTaken,
}

impl Runs {
    pub(super) fn aloft(&self) -> &Aloft {
        &self.aloft
    }

    fn enter(&self, run: &Arc<LiveRun>, is_bounded: bool) -> Result<(), ApiError> {
        let mut live = lock(&self.live);
        let theirs = live.values().filter(|other| other.wanted.tenant == run.wanted.tenant).count();
        if is_bounded && theirs >= UNDER_WAY {
            let message = format!("{theirs} runs are under way, and no more than {UNDER_WAY} may be");
            return Err(ApiError::exhausted(message)
                .hint("wait until one ends, or end one with 'aegis edge fleet cancel RUN'"));
        }
        live.insert(run.id.clone(), run.clone());
        Ok(())
    }

    /// The task of the run has ended.
    fn leave(&self, id: &RunId) {
        lock(&self.live).remove(id);
    }

    fn find(&self, place: &Place) -> Option<Arc<LiveRun>> {
        let live = lock(&self.live);
        live.get(&place.id).filter(|run| run.wanted.tenant == place.tenant).cloned()
    }

    /// Begins a run. When this returns its begin is on the disk, and the first commands are on their way.
    pub async fn start(controller: &Arc<Controller>, spec: RunSpec) -> Result<RunHandle, ApiError> {
        match Self::begin(controller, spec, None).await? {
            Begun::New(run) => Ok(run),
            Begun::KeyTaken => Err(failed("a run without a key found one taken")),
        }
    }

    /// As [`Self::start`], unless its idempotency key is taken.
    pub async fn begin(
        controller: &Arc<Controller>,
        spec: RunSpec,
        key: Option<Key>,
    ) -> Result<Begun, ApiError> {
        let Planned { header, wanted, targets, skipped, strategy, unfit } = spec.plan(controller)?;
        let place = Place { tenant: wanted.tenant.clone(), id: header.run_id.clone() };
        let count = u32::try_from(targets.len()).map_err(failed)?;
        // A rollout's run is bounded by its rollout, which must be able to go on.
        let is_bounded = header.rollout.is_none();
        let change = RunChange::Started { run: header.clone(), targets: targets.to_vec(), skipped };

        let mut batch = Batch::new();
        batch.check(keyspace::run(&place.tenant, &place.id), Revision(0));
        let detail = format!("{} on '{}', {}, hosts: {count}", header.tool, header.target, header.mode);
        let (tenant, id) = (place.tenant.as_str(), place.id.as_str());
        controller.audit(&mut batch, controller.event(&header.subject, tenant, "run", id, &detail));
        let key_row = key.map(|key| key.claim(&mut batch, &place, controller.clock.now_ms()));

        let journal = Journal::new(header.clone());
        let (run, said) = LiveRun::new(
            place.id,
            wanted,
            targets,
            journal,
            controller.bus.clone(),
            controller.runs.room.clone(),
        );
        controller.runs.enter(&run, is_bounded)?;
        let driver = Driver {
            controller: controller.clone(),
            run: run.clone(),
            machine: FleetRun::new(count, strategy),
            header,
            flights: vec![None; count as usize],
            unfit,
            started: Instant::now(),
            next: 1,
        };
        if controller.runs.stopping.load(Ordering::SeqCst) {
            return Err(ApiError::unavailable("the controller is stopping").hint("try again in a moment"));
        }
        let (begun, is_begun) = oneshot::channel();
        let checks = std::mem::take(&mut batch.checks);
        // A task of its own: whoever asked may hang up at any moment, and that ends nothing.
        tokio::spawn(driver.drive(Begin { change, checks, batch, begun }, said));
        match is_begun.await {
            Ok(Ok(())) => Ok(Begun::New(RunHandle { controller: controller.clone(), run })),
            Ok(Err(CommitError::Stale { key, .. })) if Some(&key) == key_row.as_ref() => Ok(Begun::KeyTaken),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(failed("the run ended before it began")),
        }
    }

    /// Follows a run, or tells what is kept of it by now.
    pub fn watch(controller: &Controller, place: &Place, follow: bool) -> Watcher {
        let store = controller.store.clone();
        match controller.runs.find(place) {
            Some(run) => Watcher::live(store, run, follow),
            None => Watcher::stored(store, place.clone()),
        }
    }

    /// The run as it is at the moment.
    pub fn get(controller: &Controller, place: &Place) -> Result<Run, ApiError> {
        if let Some(run) = controller.runs.find(place) {
            return Ok(run.journal.run());
        }
        let stored = rows::get_run(&*controller.store, place).map_err(failed)?;
        stored.ok_or_else(|| rows::unknown(place.id.as_str()))
    }

    /// Cancels a run. One that has ended stays as it is.
    pub async fn cancel(controller: &Arc<Controller>, place: &Place, subject: &str) -> Result<Run, ApiError> {
        if let Some(run) = controller.runs.find(place) {
            RunHandle { controller: controller.clone(), run }.cancel(subject).await;
        }
        Self::get(controller, place)
    }

    /// The tenant's newest runs, newest first, without arguments that are large.
    pub fn list(
        controller: &Controller,
        place: &aegis_core::TenantId,
        limit: usize,
    ) -> Result<Vec<Run>, ApiError> {
        let mut runs = rows::list(&*controller.store, place, limit).map_err(failed)?;
        let live = lock(&controller.runs.live);
        for run in &mut runs {
            if let Some(live) = live.get(&run.run_id) {
                *run = rows::listed(live.journal.run());
            }
        }
        Ok(runs)
    }

    /// Whether the controller stops: what ends now ends by that.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Ends all runs as they are, and lets none begin. When this returns that is on the disk.
    pub async fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let live: Vec<_> = lock(&self.live).values().cloned().collect();
        for run in &live {
            run.say(Said::Stop);
        }
        for run in &live {
            run.ended().await;
        }
    }
}
