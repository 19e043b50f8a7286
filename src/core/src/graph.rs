//! The order in which things can be done, given what needs what.

use std::{collections::HashMap, fmt, hash::Hash};

/// Things that need each other in a circle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle<K> {
    /// The circle: each needs the next, and the last is the first again.
    pub path: Vec<K>,
}

impl<K: fmt::Display> fmt::Display for Cycle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cycle: ")?;
        for (index, node) in self.path.iter().enumerate() {
            write!(f, "{}{node}", if index == 0 { "" } else { " → " })?;
        }
        Ok(())
    }
}

impl<K: fmt::Debug + fmt::Display> std::error::Error for Cycle<K> {}

/// Sorts `nodes` into phases: all that a node needs is in an earlier phase, and each is in the earliest it can be in.
/// Within a phase the given order stays, so the same input always gives the same plan.
///
/// An edge `(a, b)` says that `a` needs `b`. An edge from or to what isn't among `nodes` says nothing about their
/// order and is left out; so is a node's second occurrence.
pub fn phases<K: Clone + Eq + Hash>(nodes: &[K], edges: &[(K, K)]) -> Result<Vec<Vec<K>>, Cycle<K>> {
    let mut index = HashMap::with_capacity(nodes.len());
    for (position, node) in nodes.iter().enumerate() {
        index.entry(node).or_insert(position);
    }
    let mut needs: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (from, to) in edges {
        if let (Some(&from), Some(&to)) = (index.get(from), index.get(to)) {
            needs[from].push(to);
            needed_by[to].push(from);
        }
    }

    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut placed = vec![false; nodes.len()];
    let is_first = |position: usize| index.get(&nodes[position]) == Some(&position);
    let mut ready: Vec<usize> = (0..nodes.len()).filter(|&n| is_first(n) && open[n] == 0).collect();
    let mut phases = Vec::new();
    let mut count = 0;
    while !ready.is_empty() {
        let mut next = Vec::new();
        for &node in &ready {
            placed[node] = true;
            for &dependent in &needed_by[node] {
                open[dependent] -= 1;
                if open[dependent] == 0 {
                    next.push(dependent);
                }
            }
        }
        count += ready.len();
        phases.push(ready.iter().map(|&n| nodes[n].clone()).collect());
        next.sort_unstable();
        ready = next;
    }
    if count == index.len() {
        return Ok(phases);
    }
    let stuck = (0..nodes.len()).filter(|&n| is_first(n) && !placed[n]);
    Err(Cycle { path: circle(stuck, &needs, &placed).into_iter().map(|n| nodes[n].clone()).collect() })
}

/// Follows needs that weren't met from the first stuck node until one comes a second time.
/// Every stuck node has such a need, or it would have been placed; so the walk ends only in a circle.
fn circle(mut stuck: impl Iterator<Item = usize>, needs: &[Vec<usize>], placed: &[bool]) -> Vec<usize> {
    let mut path = Vec::new();
    let mut seen = vec![None; placed.len()];
    let mut at = stuck.next();
    while let Some(node) = at {
        if let Some(start) = seen[node] {
            path.push(node);
            return path.split_off(start);
        }
        seen[node] = Some(path.len());
        path.push(node);
        at = needs[node].iter().copied().find(|&need| !placed[need]);
    }
    path
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn needs_come_first_and_the_given_order_stays() {
        let edges = [("web", "db"), ("web", "secret"), ("db", "secret"), ("web", "elsewhere"), ("web", "db")];
        let nodes = ["z", "web", "a", "db", "secret", "a"];
        assert_eq!(phases(&nodes, &edges).unwrap(), [vec!["z", "a", "secret"], vec!["db"], vec!["web"]]);
        let crossed = [("w1", "d2"), ("w2", "d1")];
        assert_eq!(phases(&["w1", "w2", "d1", "d2"], &crossed).unwrap(), [["d1", "d2"], ["w1", "w2"]]);
        assert_eq!(phases::<u8>(&[], &[]).unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_cycle_is_shown_without_the_way_to_it() {
        let edges = [("in", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "leaf")];
        let cycle = phases(&["leaf", "in", "a", "b", "c"], &edges).unwrap_err();
        assert_eq!(cycle.path, ["a", "b", "c", "a"]);
        assert_eq!(cycle.to_string(), "a cycle: a → b → c → a");
        assert_eq!(phases(&["a"], &[("a", "a")]).unwrap_err().path, ["a", "a"]);
    }

    #[test]
    fn a_chain_of_many_needs_no_deep_stack() {
        let nodes: Vec<u32> = (0..20_000).collect();
        let edges: Vec<(u32, u32)> = (1..20_000).map(|n| (n, n - 1)).collect();
        assert_eq!(phases(&nodes, &edges).unwrap().len(), 20_000);
    }

    proptest! {
        #[test]
        fn phases_hold_every_need_or_a_real_cycle_is_named(
            count in 0_usize..12,
            edges in prop::collection::vec((0_usize..12, 0_usize..12), 0..20),
        ) {
            let nodes: Vec<usize> = (0..count).collect();
            match phases(&nodes, &edges) {
                Ok(phases) => {
                    let mut sorted = phases.concat();
                    let phase = |n: usize| phases.iter().position(|p| p.contains(&n));
                    for (from, to) in edges.into_iter().filter(|(a, b)| *a < count && *b < count) {
                        prop_assert!(phase(from) > phase(to));
                    }
                    sorted.sort_unstable();
                    prop_assert_eq!(sorted, nodes);
                }
                Err(Cycle { path }) => {
                    prop_assert!(path.len() >= 2 && path.first() == path.last());
                    for step in path.windows(2) {
                        prop_assert!(edges.contains(&(step[0], step[1])));
                    }
                }
            }
        }
    }
}
