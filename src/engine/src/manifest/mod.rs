//! Manifests: from `-f` to typed documents, or to what is wrong with them and where (1-product.md, "Manifests").
//!
//! The way is short: [`Sources::read`] reads and checks the bytes, [`Sources::slices`] cuts them into documents and
//! hashes each, [`load`] decodes. A caller that remembers hashes decodes only the slices that it doesn't know
//! ([`decode`], then [`duplicates`] over all). Positions are looked up afterwards, and only for what is faulty.

mod decode;
mod document;
mod excerpt;
mod fault;
mod found;
mod input;
mod limits;
mod locate;
mod parallel;
mod render;
mod sniff;
mod source;
mod split;
mod syntax;
mod text;
mod walk;

#[cfg(test)]
mod tests;

pub use decode::{Document, Origin, decode, duplicates, load};
pub use document::{API_VERSION, Decoder, Header, Refined, decode_document};
pub use found::Diagnostics;
pub use input::Input;
pub use limits::{DOCUMENT_BYTES, DOCUMENTS, FILE_BYTES, SHOWN, TOTAL_BYTES};
pub use render::render;
pub use source::{ReadOptions, Slice, Source, Sources};
pub use split::{Piece, split};
