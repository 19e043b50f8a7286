//! What a pull tells while it runs.

use std::sync::Arc;

use crate::Digest;

/// One step of a pull. Steps of different layers come in any order, as some are transferred at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The manifest is known: what will be transferred, if nothing of it is here yet.
    Resolved {
        /// The image.
        digest: Digest,
        /// How many layers it has.
        layers: usize,
        /// Their size as transferred, in bytes.
        bytes: u64,
    },
    /// A layer's transfer has come so far. `done == total` is said once for each layer, at its end; for one that was
    /// here already it is the only step.
    Layer {
        /// Its place, from 0, the lowest first.
        index: usize,
        /// The layer.
        digest: Digest,
        /// Bytes transferred.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// Who is told. It is called from async code and mustn't block.
pub type ProgressSink = Arc<dyn Fn(Progress) + Send + Sync>;

/// Tells nobody.
pub fn silent() -> ProgressSink {
    Arc::new(|_| {})
}
