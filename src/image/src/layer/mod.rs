//! Layers: how they are compressed, and what their entries do to the tree.

mod apply;
mod decode;
#[cfg(test)]
pub mod tests;

pub use apply::{LayerRef, Merge};
pub use decode::{Compression, open};
