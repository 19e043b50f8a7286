//! How often a node's coming and going is recorded: a host that connects in a circle must not fill the disk.

use std::{collections::HashMap, sync::Mutex};

use aegis_core::NodeId;
use tokio::time::Instant;

use crate::{lock, rate::RateLimiter};

/// A record each so many seconds, which is twenty a minute, and so many at once.
const EVERY: u32 = 3;
const BURST: u32 = 20;
/// Of how many nodes that is remembered.
const NODES: usize = 100_000;

/// The records of connects and disconnects.
#[derive(Debug)]
pub(crate) struct Comings {
    rate: RateLimiter<NodeId>,
    /// How many weren't recorded, and whose node it is. Each entry is of a node that is enrolled.
    left_out: Mutex<HashMap<NodeId, LeftOut>>,
}

#[derive(Debug)]
struct LeftOut {
    tenant: String,
    count: u64,
}

impl Default for Comings {
    fn default() -> Self {
        Self { rate: RateLimiter::every(EVERY, BURST, NODES), left_out: Mutex::default() }
    }
}

impl Comings {
    /// Whether it is recorded; then, how many before it weren't and nobody said so yet.
    pub fn admit(&self, node: &NodeId, tenant: &str, now: Instant) -> Option<u64> {
        let is_recorded = self.rate.take(node.clone(), now);
        let mut left_out = lock(&self.left_out);
        if is_recorded {
            return Some(left_out.remove(node).map_or(0, |before| before.count));
        }
        let new = || LeftOut { tenant: tenant.to_owned(), count: 0 };
        left_out.entry(node.clone()).or_insert_with(new).count += 1;
        None
    }

    /// Nodes of which something wasn't recorded and something may be again: each once.
    pub fn rested(&self, now: Instant) -> Vec<(NodeId, String, u64)> {
        let mut left_out = lock(&self.left_out);
        let rested = left_out.extract_if(|node, _| self.rate.take(node.clone(), now));
        rested.map(|(node, left_out)| (node, left_out.tenant, left_out.count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_a_node_that_flaps_twenty_a_minute_are_recorded_and_the_rest_is_counted() {
        let (comings, now) = (Comings::default(), Instant::now());
        let [one, two] = [1, 2].map(|number| NodeId::of_public_key(&[number; 32]));
        assert!((0..20).all(|_| comings.admit(&one, "default", now) == Some(0)));
        assert!((0..7).all(|_| comings.admit(&one, "default", now).is_none()));
        assert_eq!(comings.admit(&two, "default", now), Some(0), "another node has its own");
        assert!(comings.rested(now).is_empty());
        let later = now + Duration::from_secs(3);
        assert_eq!(comings.admit(&one, "default", later), Some(7));
        assert_eq!(comings.admit(&one, "default", later), None);
        let rested = comings.rested(later + Duration::from_secs(3));
        assert_eq!(rested, [(one, "default".to_owned(), 1)], "said also when it doesn't come back");
        assert!(comings.rested(later + Duration::from_mins(1)).is_empty(), "once");
    }
}
