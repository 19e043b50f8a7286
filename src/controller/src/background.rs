//! What a controller does without being asked: it notices silence, passes on what was declared, and forgets what
//! nobody needs. A few coarse loops for all nodes, instead of a timer each.

use std::{sync::Arc, time::Duration};

use aegis_core::NodeId;
use aegis_store::{Batch, Changed, Order as Direction, StoreError, Watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    enrollment::Spent,
    keyspace,
    nodes::read,
    runs,
    state::{Controller, Order},
};

/// How often silence is looked for: it is noticed at most so much after its limit.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How often spent token ids that have ended are forgotten.
const PURGE_EVERY: Duration = Duration::from_hours(1);
/// How long a spent token id is kept after its end, in seconds: clocks jump.
const KEEP_SPENT: i64 = 24 * 3600;

/// Ends streams that were silent for too long, or whose key was good for long enough. Runs until it is dropped.
pub(crate) async fn sweep(controller: Arc<Controller>) {
    let mut ticks = interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = controller.uptime();
        for node in controller.live.silent(now).into_iter().chain(controller.live.outdated(now)) {
            // A stream that takes no message any more is cut off.
            if controller.bus.send(&node, Order::Tick).is_err() {
                controller.bus.evict(&node);
            }
        }
        controller.forget_old_streams();
        controller.audit_left_out();
    }
}

/// Forgets spent token ids and idempotency keys. Runs until it is dropped.
pub(crate) async fn purge(controller: Arc<Controller>) {
    let mut ticks = interval(PURGE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = purge_once(&controller).await {
            tracing::warn!(%error, "can't forget spent tokens");
        }
        if let Err(error) = runs::forget_keys(&controller).await {
            tracing::warn!(%error, "can't forget old idempotency keys");
        }
    }
}

async fn purge_once(controller: &Controller) -> Result<(), StoreError> {
    let before = controller.now_seconds() - KEEP_SPENT;
    let mut batch = Batch::new();
    controller.store.scan(&keyspace::jti(""), Direction::Rising, &mut |key, value, _| {
        if read::<Spent>(key, value).is_ok_and(|spent| spent.ends < before) {
            batch.delete(key);
        }
        true
    })?;
    if batch.is_empty() {
        return Ok(());
    }
    controller.store.commit(batch).await.map(|_| ()).map_err(|error| StoreError::Engine(error.to_string()))
}

/// Tells the streams of nodes whose declared state changes. Runs until the store is closed.
pub(crate) async fn pass_on(controller: Arc<Controller>, mut watch: Watch) {
    while let Some(changed) = watch.next().await {
        let nodes = match changed {
            Changed::Keys(_, keys) => keys.iter().filter_map(|key| node_of(key)).collect(),
            Changed::Everything => controller.live.connected(),
        };
        for node in nodes {
            // One that is away reads what is declared when it comes; one that takes nothing is cut off and comes back.
            if controller.bus.send(&node, Order::Refresh) == Err(aegis_store::NotRouted::Congested) {
                controller.bus.evict(&node);
            }
        }
    }
}

/// The node that an object's key is about.
fn node_of(key: &str) -> Option<NodeId> {
    let (_tenant, object) = key.strip_prefix(keyspace::OBJECTS)?.split_once('/')?;
    NodeId::new(object.strip_prefix("EdgeNode/")?).ok()
}
