//! One document: from its text to its header and its typed spec, in one pass of the parser.

use std::{cell::Cell, collections::BTreeMap, ops::Range};

use aegis_core::Meta;
use serde::{Deserialize, de::DeserializeOwned};
use serde_saphyr::{Error, Options, budget::BudgetReport};

use super::limits::{self, ALIASES, DEPTH, DOCUMENT_BYTES, REPLAYED, VALUES};

pub use aegis_kinds::API_VERSION;

/// What every document says besides its spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its `apiVersion`, as written.
    pub api_version: String,
    /// Its `kind`, as written.
    pub kind: String,
    /// Its `metadata.name`, as written.
    pub name: String,
    /// Its labels and annotations.
    pub meta: Meta,
}

/// What the manifests' reader has to know of the kinds: their names, and how to decode each.
pub trait Decoder: Sync {
    /// The specs of all kinds.
    type Spec: Send;

    /// The names of all kinds.
    fn kinds(&self) -> &[&'static str];

    /// Decodes `document`, which says that it is a `kind` (one of [`Decoder::kinds`]); usually a table from the kind's
    /// name to [`decode_document`] with the kind's spec.
    fn decode(&self, kind: &'static str, document: &str) -> Result<(Header, Self::Spec), Error>;

    /// What exactly is wrong within the text of a field that couldn't be decoded, for fields with a grammar of their
    /// own. `path` is as in [`super::Sources::place`].
    fn refine(&self, kind: &str, path: &str, text: &str) -> Option<Refined> {
        let _ = (kind, path, text);
        None
    }
}

/// A fault within the text of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refined {
    /// The bytes of the field's text that are at fault.
    pub within: Range<usize>,
    /// What is wrong with them.
    pub message: String,
    /// The way out.
    pub help: Option<String>,
}

/// Decodes the document of a kind whose spec is `S`, within the bounds on depth, size and aliases.
///
/// `S` must say `deny_unknown_fields`, and so must the structs in it; `flatten` and untagged enums lose the positions
/// of faults.
pub fn decode_document<S: DeserializeOwned>(document: &str) -> Result<(Header, S), Error> {
    let Manifest { api_version, kind, metadata, spec } =
        serde_saphyr::from_str_with_options(document, options())?;
    let Metadata { name, labels, annotations } = metadata;
    Ok((Header { api_version, kind, name, meta: Meta { labels, annotations } }, spec))
}

/// Finds only a document's `kind`, for a text from which it can't be sniffed.
pub(super) fn decode_kind(document: &str) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    struct Kind {
        kind: Option<String>,
    }
    Ok(serde_saphyr::from_str_with_options::<Kind>(document, options())?.kind)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Manifest<S> {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: S,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

thread_local! {
    /// What this thread's decoding has cost since [`take_cost`]. The parser's report reaches no further than a plain
    /// function, and a decoder needn't pass through what only this module wants to know.
    static SPENT: Cell<u64> = const { Cell::new(0) };
}

/// What decoding in this thread has cost since this was last asked; see [`limits::cost`].
pub(super) fn take_cost() -> u64 {
    SPENT.take()
}

fn spend(report: &BudgetReport) {
    // An event is a value, the end of a list or map, an alias, or one of the four around the document.
    let collections = report.events.saturating_sub(report.nodes + report.aliases + 4);
    SPENT.set(SPENT.get() + limits::cost(report.nodes as u64, collections as u64));
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 2,
            max_depth: DEPTH,
            // One deeper, so that it is the budget that names the fault.
            flow_nesting_limit: DEPTH + 1,
            max_nodes: VALUES,
            max_events: 3 * VALUES,
            max_aliases: ALIASES,
            max_anchors: ALIASES,
            max_recorded_anchor_events: REPLAYED,
            max_recorded_anchor_bytes: DOCUMENT_BYTES,
            max_total_scalar_bytes: DOCUMENT_BYTES,
            max_merge_keys: ALIASES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPLAYED,
            max_replay_stack_depth: DEPTH,
        },
        with_snippet: false,
        budget_report: Some(spend),
    }
}
