//! Which stream of a node is the current one.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// Names one attached stream among all that a registry ever had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(u64);

/// The answer to an attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// The new stream's generation.
    pub generation: Generation,
    /// The stream that was current until now, if there was one: end it.
    pub replaced: Option<Generation>,
}

/// The current stream of each node. Attach only verified streams: a second one of the same node replaces the first.
#[derive(Debug, Clone)]
pub struct Registry<N> {
    current: HashMap<N, Generation>,
    last: u64,
}

impl<N> Default for Registry<N> {
    fn default() -> Self {
        Self { current: HashMap::new(), last: 0 }
    }
}

impl<N: Eq + Hash> Registry<N> {
    /// Makes a new stream the node's current one.
    pub fn attach(&mut self, node: N) -> Attached {
        self.last += 1;
        let generation = Generation(self.last);
        Attached { generation, replaced: self.current.insert(node, generation) }
    }

    /// A stream has ended. Says whether the node is gone with it: not, when another stream has replaced it.
    pub fn detach<Q: Eq + Hash + ?Sized>(&mut self, node: &Q, generation: Generation) -> bool
    where
        N: Borrow<Q>,
    {
        let is_current = self.current(node) == Some(generation);
        if is_current {
            self.current.remove(node);
        }
        is_current
    }

    /// The node's current stream, if it is connected.
    pub fn current<Q: Eq + Hash + ?Sized>(&self, node: &Q) -> Option<Generation>
    where
        N: Borrow<Q>,
    {
        self.current.get(node).copied()
    }

    /// The connected nodes, in no order.
    pub fn nodes(&self) -> impl Iterator<Item = &N> {
        self.current.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_end_of_a_replaced_stream_does_not_evict_its_successor() {
        let mut registry = Registry::<String>::default();
        let first = registry.attach("n-1".into());
        assert_eq!(first.replaced, None);
        let second = registry.attach("n-1".into());
        assert_eq!(second.replaced, Some(first.generation));
        assert!(!registry.detach("n-1", first.generation));
        assert_eq!(registry.current("n-1"), Some(second.generation));
        assert!(registry.detach("n-1", second.generation));
        assert!(!registry.detach("n-1", second.generation));
        assert_eq!((registry.current("n-1"), registry.nodes().count()), (None, 0));
    }

    proptest! {
        /// Streams of three nodes open and close in any order; a model keeps the whole history.
        #[test]
        fn the_latest_attached_that_has_not_ended_is_current(steps in prop::collection::vec((0_u8..3, any::<Option<prop::sample::Index>>()), 0..60)) {
            let mut registry = Registry::<u8>::default();
            let mut opened: Vec<(u8, Generation)> = Vec::new();
            let mut latest: HashMap<u8, Generation> = HashMap::new();
            for (node, end) in steps {
                match end.filter(|_| !opened.is_empty()) {
                    None => {
                        let attached = registry.attach(node);
                        prop_assert!(opened.iter().all(|(_, earlier)| *earlier < attached.generation));
                        prop_assert_eq!(attached.replaced, latest.insert(node, attached.generation));
                        opened.push((node, attached.generation));
                    }
                    Some(index) => {
                        let (node, generation) = opened[index.index(opened.len())];
                        let gone = latest.get(&node) == Some(&generation);
                        prop_assert_eq!(registry.detach(&node, generation), gone);
                        if gone {
                            latest.remove(&node);
                        }
                    }
                }
                prop_assert_eq!(&registry.current, &latest);
            }
        }
    }
}
