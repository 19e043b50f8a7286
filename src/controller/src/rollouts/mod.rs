//! Rollouts: a tool call that each host of a target gets once for every spec (1-product.md, "Manifests").
//!
//! Every rollout has a task, `driver`, which looks at what is declared, what is known and how it is steered, and takes the
//! next step, until there is none: it isn't told why it looks. Before a run begins it is written down, so that after
//! a restart the rollout goes on where it was, and no host gets the call twice. `follow` goes along with a run under
//! way, `fold` says what its events mean, `record` is what is known, `rows` what is on the disk.

mod driver;
mod finish;
mod fold;
mod follow;
mod launch;
mod record;
pub(crate) mod rows;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use aegis_store::{Changed, StoreError, Watch};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

pub(crate) use record::Record;
pub(crate) use rows::{Place, Steering};

use crate::{keyspace, lock, state::Controller};
use driver::Driver;

/// How often every rollout looks again, whatever it was told.
const TICK: Duration = Duration::from_secs(30);
/// How long hosts that come are waited for, so that those that come together are caught up with together.
const TOGETHER: Duration = Duration::from_secs(1);

/// What is known of a rollout, shared between its task and whoever asks.
type Shared = Arc<Mutex<Option<Record>>>;

/// The rollouts that have a task.
#[derive(Debug, Default)]
pub(crate) struct Rollouts {
    tasks: Mutex<HashMap<Place, Task>>,
    joined: Notify,
}

#[derive(Debug, Clone, Default)]
struct Task {
    changed: Arc<Notify>,
    record: Shared,
}

impl Rollouts {
    /// A host has connected.
    pub fn joined(&self) {
        self.joined.notify_one();
    }

    /// Something about it changed.
    pub fn poke(&self, place: &Place) {
        if let Some(task) = lock(&self.tasks).get(place) {
            task.changed.notify_one();
        }
    }

    /// What is known of it at the moment; none: its task hasn't looked yet.
    pub fn record(&self, place: &Place) -> Option<Record> {
        let task = lock(&self.tasks).get(place).cloned()?;
        lock(&task.record).clone()
    }

    fn poke_all(&self) {
        lock(&self.tasks).values().for_each(|task| task.changed.notify_one());
    }
}

/// Sees to it that every rollout has a task, and that the tasks look when there may be something to do. Runs until the
/// store is closed.
pub(crate) async fn keep(controller: Arc<Controller>, mut watch: Watch) {
    let mut drivers = JoinSet::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut soon: Option<Instant> = None;
    loop {
        tokio::select! {
            // The first tick comes at once, and finds what a restart left.
            _ = ticks.tick() => look_at_all(&controller, &mut drivers),
            changed = watch.next() => match changed {
                None => return,
                Some(Changed::Everything) => look_at_all(&controller, &mut drivers),
                Some(Changed::Keys(_, keys)) => {
                    for place in keys.iter().filter_map(|key| rows::place_of(key)) {
                        tend(&controller, place, &mut drivers);
                    }
                    // Tags and groups decide who is meant.
                    soon.get_or_insert_with(|| Instant::now() + TOGETHER);
                }
            },
            () = controller.rollouts.joined.notified() => {
                soon.get_or_insert_with(|| Instant::now() + TOGETHER);
            }
            () = until(soon), if soon.is_some() => {
                soon = None;
                controller.rollouts.poke_all();
            }
            Some(ended) = drivers.join_next(), if !drivers.is_empty() => {
                let Ok(place) = ended else { continue };
                lock(&controller.rollouts.tasks).remove(&place);
                // It may be declared again since its task saw that it was gone.
                if matches!(rows::declared(&*controller.store, &place), Ok(Some(_))) {
                    tend(&controller, place, &mut drivers);
                }
            }
        }
    }
}

async fn until(instant: Option<Instant>) {
    if let Some(instant) = instant {
        sleep_until(instant).await;
    }
}

fn look_at_all(controller: &Arc<Controller>, drivers: &mut JoinSet<Place>) {
    match rows::all(&*controller.store) {
        Ok(places) => places.into_iter().for_each(|place| tend(controller, place, drivers)),
        Err(error) => tracing::error!(%error, "can't look at the rollouts; they are looked at again"),
    }
}

/// Lets the rollout look, and gives it a task if it has none.
fn tend(controller: &Arc<Controller>, place: Place, drivers: &mut JoinSet<Place>) {
    let mut tasks = lock(&controller.rollouts.tasks);
    if let Some(task) = tasks.get(&place) {
        return task.changed.notify_one();
    }
    let record = match rows::record(&*controller.store, &place) {
        Ok(record) => record,
        Err(error) => return tracing::error!(rollout = place.name, %error, "can't read where the rollout is"),
    };
    let task = Task { changed: Arc::default(), record: Arc::new(Mutex::new(record)) };
    drivers.spawn(Driver::new(controller.clone(), place.clone(), task.clone()).drive());
    tasks.insert(place, task);
}

/// The status of the rollout; none: it isn't declared.
pub(crate) fn status(
    controller: &Controller,
    place: &Place,
) -> Result<Option<aegis_wire::operator::RolloutStatus>, StoreError> {
    let store = &*controller.store;
    let Some(declared) = rows::declared(store, place)? else { return Ok(None) };
    let steering = rows::steering(store, place)?;
    let known = match controller.rollouts.record(place) {
        Some(record) => Some(record),
        None => rows::record(store, place)?,
    };
    // What is known of another spec says nothing of this one.
    let record = known
        .filter(|record| record.header.digest == declared.digest)
        .unwrap_or_else(|| Record::new(declared.revision, declared.digest.clone()));
    Ok(Some(record.status(&place.name, &steering, &declared.spec)))
}

/// What the rollouts' tasks have to hear of.
pub(crate) fn watch(controller: &Controller) -> Watch {
    controller.store.watch(keyspace::OBJECTS)
}
