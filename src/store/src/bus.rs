//! Finding the stream of a node. The store says what is wished; the bus carries what has to be said now.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use aegis_core::NodeId;
use tokio::sync::mpsc;

/// How many messages wait for a stream before a sender is refused.
const QUEUE: usize = 32;

/// The message couldn't be handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRouted {
    /// No stream of this node ends anywhere.
    #[error("the node is not connected")]
    Absent,
    /// Its stream takes nothing any more at the moment.
    #[error("the node's stream is congested")]
    Congested,
}

/// Routes messages to a node, wherever its stream ends.
pub trait Bus<M: Send + 'static>: Send + Sync + 'static {
    /// A stream of `node` ends here from now on. The one before it, if any, sees its channel end.
    fn register(&self, node: &NodeId) -> Registration<M>;
    /// Hands `message` to the node's stream. Nothing is queued for one that is away.
    fn send(&self, node: &NodeId, message: M) -> Result<(), NotRouted>;
    /// Ends the node's route, and with it the channel of its stream, however full it is.
    fn evict(&self, node: &NodeId);
}

type Routes<M> = Mutex<HashMap<NodeId, (u64, mpsc::Sender<M>)>>;

/// The bus of a single process.
#[derive(Debug)]
pub struct LocalBus<M> {
    routes: Arc<Routes<M>>,
    next: std::sync::atomic::AtomicU64,
}

impl<M> Default for LocalBus<M> {
    fn default() -> Self {
        Self { routes: Arc::default(), next: std::sync::atomic::AtomicU64::new(1) }
    }
}

/// One stream's end of the bus. When it goes, its route goes, but never the route of a stream that replaced it.
#[derive(Debug)]
pub struct Registration<M> {
    node: NodeId,
    generation: u64,
    receiver: mpsc::Receiver<M>,
    routes: Weak<Routes<M>>,
}

impl<M> Registration<M> {
    /// The next message. `None`: another stream of the node has replaced this one, or the node was evicted.
    pub async fn next(&mut self) -> Option<M> {
        self.receiver.recv().await
    }
    /// Rises with every registration, so that of two streams of a node the later has the higher.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl<M> Drop for Registration<M> {
    fn drop(&mut self) {
        if let Some(routes) = self.routes.upgrade() {
            let mut routes = lock(&routes);
            if routes.get(&self.node).is_some_and(|(generation, _)| *generation == self.generation) {
                routes.remove(&self.node);
            }
        }
    }
}

impl<M: Send + 'static> Bus<M> for LocalBus<M> {
    fn register(&self, node: &NodeId) -> Registration<M> {
        let generation = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel(QUEUE);
        lock(&self.routes).insert(node.clone(), (generation, sender));
        Registration { node: node.clone(), generation, receiver, routes: Arc::downgrade(&self.routes) }
    }
    fn send(&self, node: &NodeId, message: M) -> Result<(), NotRouted> {
        let routes = lock(&self.routes);
        let (_, sender) = routes.get(node).ok_or(NotRouted::Absent)?;
        sender.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotRouted::Congested,
            mpsc::error::TrySendError::Closed(_) => NotRouted::Absent,
        })
    }
    fn evict(&self, node: &NodeId) {
        lock(&self.routes).remove(node);
    }
}

/// A panic elsewhere can't leave the map half-changed: every change of it is one call.
fn lock<M>(routes: &Routes<M>) -> MutexGuard<'_, HashMap<NodeId, (u64, mpsc::Sender<M>)>> {
    routes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId::of_public_key(&[number; 32])
    }

    #[tokio::test]
    async fn the_first_streams_end_does_not_evict_the_second() {
        let bus = LocalBus::default();
        let mut first = bus.register(&node(1));
        bus.send(&node(1), "a").unwrap();
        assert_eq!(first.next().await, Some("a"));
        let mut second = bus.register(&node(1));
        assert_eq!(first.next().await, None, "the first learns that it was replaced");
        assert!(second.generation() > first.generation());
        drop(first);
        bus.send(&node(1), "b").unwrap();
        assert_eq!(second.next().await, Some("b"));
        drop(second);
        assert_eq!(bus.send(&node(1), "c"), Err(NotRouted::Absent));
    }

    #[tokio::test]
    async fn an_evicted_stream_ends_even_when_its_channel_is_full() {
        let bus = LocalBus::default();
        let mut stream = bus.register(&node(1));
        for _ in 0..QUEUE {
            bus.send(&node(1), ()).unwrap();
        }
        bus.evict(&node(1));
        let mut received = 0;
        while stream.next().await.is_some() {
            received += 1;
        }
        assert_eq!(received, QUEUE);
    }

    #[test]
    fn a_stream_that_takes_nothing_refuses_the_sender() {
        let bus = LocalBus::default();
        let _registration = bus.register(&node(1));
        for _ in 0..QUEUE {
            bus.send(&node(1), ()).unwrap();
        }
        assert_eq!(bus.send(&node(1), ()), Err(NotRouted::Congested));
        assert_eq!(bus.send(&node(2), ()), Err(NotRouted::Absent));
    }
}
