//! Who is connected, since when, and last heard when. It lives in memory; the store keeps what a restart needs, and
//! hears of it only when a node comes or goes.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use aegis_core::{NodeId, session::SILENCE_LIMIT};
use aegis_store::Batch;
use serde::{Deserialize, Serialize};

use crate::{keyspace, lock, nodes::json};

/// What is known of one node's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Presence {
    /// Whether it was connected when this was written.
    pub connected: bool,
    /// The last change of `connected`, in milliseconds since 1970.
    pub since_ms: i64,
    /// The last heartbeat, in milliseconds since 1970; 0: none.
    pub heartbeat_ms: i64,
    /// Whether the daemon itself said that it drains.
    #[serde(skip)]
    pub draining: bool,
    /// When it was last heard, since the controller's start.
    #[serde(skip)]
    heard: Duration,
    /// When the key of its stream isn't good any more, since the controller's start; none: it is the node's.
    #[serde(skip)]
    old_key_ends: Option<Duration>,
    /// Which of the node's streams this is about; a later one has a higher number.
    #[serde(skip)]
    generation: u64,
}

/// The presence of every node that was ever connected.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<HashMap<NodeId, Presence>>);

impl Live {
    /// What the store knew of. Nobody is connected to a controller that has just started.
    pub fn restore(stored: impl IntoIterator<Item = (NodeId, Presence)>, now_ms: i64) -> Self {
        let disconnected = |(id, presence): (NodeId, Presence)| {
            let since_ms = if presence.connected { now_ms } else { presence.since_ms };
            (id, Presence { connected: false, since_ms, ..presence })
        };
        Self(Mutex::new(stored.into_iter().map(disconnected).collect()))
    }

    /// A verified stream is there. Gives what is to be stored.
    pub fn connect(&self, id: &NodeId, generation: u64, now_ms: i64, heard: Duration) -> Presence {
        let mut nodes = lock(&self.0);
        let presence = nodes.entry(id.clone()).or_default();
        if presence.generation > generation {
            // A later stream was faster; this one has been replaced already.
            return *presence;
        }
        presence.generation = generation;
        if !presence.connected {
            presence.since_ms = now_ms;
        }
        presence.connected = true;
        // Hello is as good a sign of life as any heartbeat.
        presence.heartbeat_ms = now_ms;
        presence.draining = false;
        presence.old_key_ends = None;
        presence.heard = heard;
        *presence
    }

    /// Something verified was heard.
    pub fn hear(&self, id: &NodeId, heard: Duration) {
        if let Some(presence) = lock(&self.0).get_mut(id) {
            presence.heard = heard;
        }
    }

    /// A heartbeat came.
    pub fn heartbeat(&self, id: &NodeId, now_ms: i64, draining: bool) {
        if let Some(presence) = lock(&self.0).get_mut(id) {
            presence.heartbeat_ms = now_ms;
            presence.draining = draining;
        }
    }

    /// The daemon has done as it was told: it takes new work, or doesn't.
    pub fn drains(&self, id: &NodeId, draining: bool) {
        if let Some(presence) = lock(&self.0).get_mut(id) {
            presence.draining = draining;
        }
    }

    /// A stream is gone. Gives what is to be stored, unless another stream has replaced it: then the node is there.
    pub fn disconnect(&self, id: &NodeId, generation: u64, now_ms: i64) -> Option<Presence> {
        let mut nodes = lock(&self.0);
        let presence = nodes.get_mut(id).filter(|presence| presence.generation == generation)?;
        if presence.connected {
            presence.since_ms = now_ms;
        }
        presence.connected = false;
        Some(*presence)
    }

    /// What is known of a node at `now`. One that was silent for too long isn't connected, even if its stream's end
    /// hasn't been noticed yet.
    pub fn get(&self, id: &NodeId, now: Duration) -> Presence {
        let presence = lock(&self.0).get(id).copied().unwrap_or_default();
        Presence { connected: presence.connected && !presence.is_silent(now), ..presence }
    }

    /// The node has another key; the one of this stream is good until `ends`.
    pub fn change_over(&self, id: &NodeId, generation: u64, ends: Duration) {
        let mut nodes = lock(&self.0);
        if let Some(presence) = nodes.get_mut(id).filter(|presence| presence.generation == generation) {
            presence.old_key_ends = Some(ends);
        }
    }

    /// Those that count as connected, with a key whose time is over.
    pub fn outdated(&self, now: Duration) -> Vec<NodeId> {
        let nodes = lock(&self.0);
        let outdated = nodes.iter().filter(|(_, presence)| {
            presence.connected && presence.old_key_ends.is_some_and(|ends| ends <= now)
        });
        outdated.map(|(id, _)| id.clone()).collect()
    }

    /// Those that count as connected and weren't heard for too long.
    pub fn silent(&self, now: Duration) -> Vec<NodeId> {
        let nodes = lock(&self.0);
        let silent = nodes.iter().filter(|(_, presence)| presence.connected && presence.is_silent(now));
        silent.map(|(id, _)| id.clone()).collect()
    }

    /// Those that count as connected.
    pub fn connected(&self) -> Vec<NodeId> {
        let nodes = lock(&self.0);
        nodes.iter().filter(|(_, presence)| presence.connected).map(|(id, _)| id.clone()).collect()
    }
}

impl Presence {
    /// Stores it as what is known of the node.
    pub fn put(&self, batch: &mut Batch, id: &NodeId) {
        batch.put(keyspace::live(id), json(self));
    }

    fn is_silent(&self, now: Duration) -> bool {
        now.saturating_sub(self.heard) >= SILENCE_LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_disconnects_and_the_first_streams_end_does_not_evict_the_second() {
        let (live, id) = (Live::default(), NodeId::of_public_key(&[1; 32]));
        assert_eq!(live.get(&id, SECOND), Presence::default());
        live.connect(&id, 1, 1_000, SECOND);
        live.heartbeat(&id, 5_000, true);
        live.connect(&id, 2, 9_000, 9 * SECOND);
        live.connect(&id, 1, 9_500, 9 * SECOND);
        let now = live.get(&id, 10 * SECOND);
        assert_eq!((now.since_ms, now.heartbeat_ms), (1_000, 9_000), "a new stream is a sign of life");
        assert!(live.get(&id, 98 * SECOND).connected);
        assert!(!live.get(&id, 99 * SECOND).connected);
        assert_eq!(live.silent(99 * SECOND), std::slice::from_ref(&id));
        live.hear(&id, 99 * SECOND);
        assert!(live.silent(100 * SECOND).is_empty());
        assert_eq!(live.disconnect(&id, 1, 100_000), None, "the first stream's end doesn't evict the second");
        assert_eq!(live.disconnect(&id, 2, 100_000).map(|gone| gone.since_ms), Some(100_000));
        assert_eq!(live.disconnect(&id, 2, 200_000).map(|gone| gone.since_ms), Some(100_000));
        assert!(live.connected().is_empty());
    }

    #[test]
    fn after_a_restart_nobody_is_connected() {
        let ids = [1, 2].map(|number| NodeId::of_public_key(&[number; 32]));
        let connected = Presence { connected: true, since_ms: 5, heartbeat_ms: 7, ..Presence::default() };
        let gone = Presence { since_ms: 6, ..Presence::default() };
        let live = Live::restore([(ids[0].clone(), connected), (ids[1].clone(), gone)], 100);
        let first = live.get(&ids[0], SECOND);
        assert_eq!((first.connected, first.since_ms, first.heartbeat_ms), (false, 100, 7));
        assert_eq!(live.get(&ids[1], SECOND).since_ms, 6);
    }
}
