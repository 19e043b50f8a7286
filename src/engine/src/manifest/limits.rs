//! The bounds on what is read, so that a hostile manifest costs a second and some memory at most.

/// The largest file, in bytes. A larger one is refused before it is read.
pub const FILE_BYTES: u64 = 32 << 20;
/// The most bytes of all files of one command together.
pub const TOTAL_BYTES: u64 = 128 << 20;
/// The largest document, in bytes: what the parser is given at most in one piece.
pub const DOCUMENT_BYTES: usize = 4 << 20;
/// The most documents of one command.
pub const DOCUMENTS: usize = 200_000;
/// How many diagnostics are kept and shown; the rest is only counted.
pub const SHOWN: usize = 50;
/// The deepest nesting of lists and maps in a document.
pub(super) const DEPTH: usize = 64;
/// The most values (scalars, lists, maps) in a document, aliases expanded.
pub(super) const VALUES: usize = 100_000;
/// The most anchors, and the most aliases, in a document.
pub(super) const ALIASES: usize = 1_000;
/// The most values that aliases may expand to in a document.
pub(super) const REPLAYED: usize = 20_000;
/// The most files that directories may yield.
pub(super) const FILES: usize = 100_000;
/// What all documents of one command may cost together, however few they are; see [`cost`]. About 64 bytes each.
const COST: u64 = 2_000_000;
/// What each document may cost on top of that. A usual one costs 75.
const COST_OF_ONE: u64 = 100;
/// How much dearer than a scalar a list or map is: a map of one entry takes some 700 bytes.
const COST_OF_COLLECTION: u64 = 10;

/// What decoding `documents` documents may cost together.
pub(super) fn allowance(documents: usize) -> u64 {
    COST + COST_OF_ONE * documents as u64
}

/// A measure of the memory that a document takes once it is decoded: its values, aliases written out.
pub(super) fn cost(values: u64, collections: u64) -> u64 {
    values + COST_OF_COLLECTION * collections
}
