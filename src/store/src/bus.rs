//! Finding the stream of a node. The store says what is wished; the bus carries what has to be said now.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use aegis_core::NodeId;
use tokio::sync::{Notify, mpsc};

/// How many messages wait for a stream before a sender is refused.
const QUEUE: usize = 128;

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
    /// Has the node's stream look at what it can see by itself. It takes no room in the queue, and several at once
    /// are one.
    fn poke(&self, node: &NodeId);
    /// Ends the node's route, and with it the channel of its stream, however full it is: what waits there is lost.
    fn evict(&self, node: &NodeId);
}

/// What a stream is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call<M> {
    /// Somebody sent this.
    Message(M),
    /// There may be something to look at.
    Poke,
}

type Routes<M> = Mutex<HashMap<NodeId, Route<M>>>;

/// The way to a stream.
#[derive(Debug)]
struct Route<M> {
    generation: u64,
    sender: mpsc::Sender<M>,
    flags: Arc<Flags>,
}

impl<M> Drop for Route<M> {
    fn drop(&mut self) {
        self.flags.ended.store(true, Ordering::Release);
    }
}

/// What a stream sees before what waits in its queue.
#[derive(Debug, Default)]
struct Flags {
    poked: AtomicBool,
    ended: AtomicBool,
    poke: Notify,
}

/// The bus of a single process.
#[derive(Debug)]
pub struct LocalBus<M> {
    routes: Arc<Routes<M>>,
    next: AtomicU64,
}

impl<M> Default for LocalBus<M> {
    fn default() -> Self {
        Self { routes: Arc::default(), next: AtomicU64::new(1) }
    }
}

/// One stream's end of the bus. When it goes, its route goes, but never the route of a stream that replaced it.
#[derive(Debug)]
pub struct Registration<M> {
    node: NodeId,
    generation: u64,
    receiver: mpsc::Receiver<M>,
    flags: Arc<Flags>,
    routes: Weak<Routes<M>>,
}

impl<M> Registration<M> {
    /// The next call. `None`, whatever waits: another stream of the node has replaced this one, or the node was
    /// evicted.
    pub async fn next(&mut self) -> Option<Call<M>> {
        loop {
            if self.flags.ended.load(Ordering::Acquire) {
                return None;
            }
            if self.flags.poked.swap(false, Ordering::AcqRel) {
                return Some(Call::Poke);
            }
            tokio::select! {
                biased;
                () = self.flags.poke.notified() => {}
                message = self.receiver.recv() => return message.map(Call::Message),
            }
        }
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
            if routes.get(&self.node).is_some_and(|route| route.generation == self.generation) {
                routes.remove(&self.node);
            }
        }
    }
}

impl<M: Send + 'static> Bus<M> for LocalBus<M> {
    fn register(&self, node: &NodeId) -> Registration<M> {
        let generation = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel(QUEUE);
        let flags = Arc::<Flags>::default();
        lock(&self.routes).insert(node.clone(), Route { generation, sender, flags: flags.clone() });
        Registration { node: node.clone(), generation, receiver, flags, routes: Arc::downgrade(&self.routes) }
    }
    fn send(&self, node: &NodeId, message: M) -> Result<(), NotRouted> {
        let routes = lock(&self.routes);
        let route = routes.get(node).ok_or(NotRouted::Absent)?;
        route.sender.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotRouted::Congested,
            mpsc::error::TrySendError::Closed(_) => NotRouted::Absent,
        })
    }
    fn poke(&self, node: &NodeId) {
        if let Some(route) = lock(&self.routes).get(node)
            && !route.flags.poked.swap(true, Ordering::AcqRel)
        {
            route.flags.poke.notify_one();
        }
    }
    fn evict(&self, node: &NodeId) {
        lock(&self.routes).remove(node);
    }
}

/// A panic elsewhere can't leave the map half-changed: every change of it is one call.
fn lock<M>(routes: &Routes<M>) -> MutexGuard<'_, HashMap<NodeId, Route<M>>> {
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
        assert_eq!(first.next().await, Some(Call::Message("a")));
        let mut second = bus.register(&node(1));
        assert_eq!(first.next().await, None, "the first learns that it was replaced");
        assert!(second.generation() > first.generation());
        drop(first);
        bus.send(&node(1), "b").unwrap();
        assert_eq!(second.next().await, Some(Call::Message("b")));
        drop(second);
        assert_eq!(bus.send(&node(1), "c"), Err(NotRouted::Absent));
    }

    #[tokio::test]
    async fn an_evicted_or_replaced_stream_gets_nothing_of_what_waited() {
        let bus = LocalBus::default();
        let mut stream = bus.register(&node(1));
        for _ in 0..QUEUE {
            bus.send(&node(1), ()).unwrap();
        }
        bus.evict(&node(1));
        assert_eq!(stream.next().await, None);
        let mut first = bus.register(&node(1));
        bus.send(&node(1), ()).unwrap();
        let _second = bus.register(&node(1));
        assert_eq!(first.next().await, None);
    }

    #[tokio::test]
    async fn pokes_need_no_room_in_the_queue_and_several_are_one() {
        let bus = LocalBus::default();
        let mut stream = bus.register(&node(1));
        for _ in 0..QUEUE {
            bus.poke(&node(1));
            bus.send(&node(1), ()).unwrap();
        }
        bus.poke(&node(1));
        assert_eq!(stream.next().await, Some(Call::Poke));
        for _ in 0..QUEUE {
            assert_eq!(stream.next().await, Some(Call::Message(())));
        }
        let later = async {
            tokio::task::yield_now().await;
            bus.poke(&node(1));
        };
        assert_eq!(tokio::join!(stream.next(), later).0, Some(Call::Poke), "it wakes one that waits");
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
