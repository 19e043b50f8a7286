//! The same work over many items, on the cores that there are, with the order kept.

use std::{num::NonZero, thread};

/// Calls `work` with consecutive parts of `items`, one a core, and returns the answers in the order of the items.
/// Less than two times `least` items aren't worth a thread: they are one part, worked on here.
pub(super) fn in_parts<T: Sync, R: Send>(
    items: &[T],
    least: usize,
    work: impl Fn(&[T]) -> R + Sync,
) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let parts = cores.min(items.len() / least.max(1)).max(1);
    if parts == 1 {
        return vec![work(items)];
    }
    thread::scope(|scope| {
        let threads: Vec<_> =
            items.chunks(items.len().div_ceil(parts)).map(|part| scope.spawn(|| work(part))).collect();
        threads
            .into_iter()
            // A panic of a worker is a fault of the program: it goes on here, as if there were no thread.
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept() {
        let items: Vec<u32> = (0..1000).collect();
        for least in [0, 1, 100, 5000] {
            let parts = in_parts(&items, least, <[u32]>::to_vec);
            assert_eq!(parts.concat(), items);
        }
        assert_eq!(in_parts(&[] as &[u32], 1, <[u32]>::len), [0]);
    }
}
