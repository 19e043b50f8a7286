//! From slices to documents, on all cores, with everything that is wrong collected.

use std::{
    collections::HashMap,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use aegis_core::{
    Meta, ObjectKey,
    diagnostic::{Diagnostic, Place},
    id::{InvalidName, ObjectName},
};

use super::{
    API_VERSION, Decoder, Diagnostics, Header, Slice, Sources,
    document::{decode_kind, take_cost},
    excerpt::Excerpt,
    fault::{clipped, diagnose, suggestion},
    limits::{DOCUMENT_BYTES, allowance},
    locate,
    parallel::in_parts,
    sniff,
};

/// One object as declared.
#[derive(Debug, Clone)]
pub struct Document<S> {
    /// Which object.
    pub key: ObjectKey,
    /// Its labels and annotations.
    pub meta: Meta,
    /// Its wish.
    pub spec: S,
    /// Where it stands.
    pub origin: Origin,
    /// The digest of its text.
    pub hash: blake3::Hash,
}

/// Where a document stands in the sources, for diagnostics later on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Which of [`Sources::sources`].
    pub source: usize,
    /// The number of its first line there, from 1.
    pub first_line: usize,
    /// Its bytes there.
    pub range: Range<usize>,
}

impl From<&Slice> for Origin {
    fn from(slice: &Slice) -> Self {
        Self { source: slice.source, first_line: slice.first_line, range: slice.range.clone() }
    }
}

/// All documents of `sources`, or everything that is wrong with them: with a single fault there is no document.
pub fn load<D: Decoder>(sources: &Sources, decoder: &D) -> Result<Vec<Document<D::Spec>>, Diagnostics> {
    let (documents, mut found) = decode(sources, &sources.slices()?, decoder);
    found.append(duplicates(sources, documents.iter().map(|document| (&document.key, &document.origin))));
    if found.is_empty() { Ok(documents) } else { Err(found) }
}

/// Decodes `slices` of `sources`: the documents without fault in the order of the slices, and the faults of the others.
///
/// Whether two are the same object isn't looked at: see [`duplicates`].
pub fn decode<D: Decoder>(
    sources: &Sources,
    slices: &[Slice],
    decoder: &D,
) -> (Vec<Document<D::Spec>>, Diagnostics) {
    let allowed = allowance(slices.len());
    let spent = AtomicU64::new(0);
    take_cost();
    // Decoding a document takes twenty microseconds or more, a thread fifty.
    let parts = in_parts(slices, 50, |part| {
        let mut documents = Vec::with_capacity(part.len());
        let mut found = Diagnostics::default();
        for slice in part {
            // What is spent only grows, so all parts together stop, or none does, whatever their order.
            if spent.load(Ordering::Relaxed) > allowed {
                break;
            }
            match decode_one(sources, slice, decoder) {
                Ok(document) => documents.push(document),
                Err(fault) => found.add(|| fault.diagnose(sources.excerpt(&slice.into()), decoder)),
            }
            spent.fetch_add(take_cost(), Ordering::Relaxed);
        }
        (documents, found)
    });
    if spent.into_inner() > allowed {
        let diagnostic = Diagnostic::error("too many values in all documents together, aliases written out");
        return (Vec::new(), diagnostic.help("apply them in several parts").into());
    }
    let mut documents = Vec::with_capacity(slices.len());
    let mut found = Diagnostics::default();
    for (part, faults) in parts {
        documents.extend(part);
        found.append(faults);
    }
    (documents, found)
}

/// The objects that are declared twice, each with both places. Objects are to come in the order of the sources.
pub fn duplicates<'a>(
    sources: &Sources,
    objects: impl IntoIterator<Item = (&'a ObjectKey, &'a Origin)>,
) -> Diagnostics {
    let mut first = HashMap::new();
    let mut found = Diagnostics::default();
    for (key, origin) in objects {
        let Some(before) = first.get(key).copied() else {
            first.insert(key, origin);
            continue;
        };
        found.add(|| {
            Diagnostic::error(format!("'{key}' is declared twice"))
                .at(sources.place(origin, "metadata.name"))
                .label("again here")
                .related(sources.place(before, "metadata.name"), "first here")
        });
    }
    found
}

impl Sources {
    /// The place of a field of a document: `metadata.name`, `spec.pinned[2]`, `spec.tags[prod]`. When there is no such
    /// field: of what is nearest above it.
    pub fn place(&self, origin: &Origin, path: &str) -> Place {
        self.excerpt(origin).field(path)
    }

    /// The place of the bytes `within` of a field's text, such as a part of a selector. When the text doesn't stand
    /// there as it is (it has escapes, or several lines): of the field.
    pub fn place_within(&self, origin: &Origin, path: &str, within: Range<usize>) -> Place {
        let excerpt = self.excerpt(origin);
        match locate::find(excerpt.text, path) {
            Some(locate::Spot { verbatim: Some(start), exact: true, .. }) => {
                excerpt.place(start + within.start..start + within.end)
            }
            _ => excerpt.field(path),
        }
    }

    fn excerpt(&self, origin: &Origin) -> Excerpt<'_> {
        let source = &self.sources()[origin.source];
        Excerpt {
            name: &source.name,
            text: &source.text[origin.range.clone()],
            first_line: origin.first_line,
        }
    }
}

/// Why a document can't be decoded. What is cheap to know; the rest is found out when it is shown.
enum Fault {
    TooLarge,
    NoKind,
    UnknownKind(String),
    Decode(Box<serde_saphyr::Error>),
    ApiVersion(String),
    Name(InvalidName),
}

fn decode_one<D: Decoder>(sources: &Sources, slice: &Slice, decoder: &D) -> Result<Document<D::Spec>, Fault> {
    let text = sources.text(slice);
    if text.len() > DOCUMENT_BYTES {
        return Err(Fault::TooLarge);
    }
    let kind = match sniff::kind(text).and_then(|kind| known(decoder, kind)) {
        Some(kind) => kind,
        None => parsed_kind(text, decoder)?,
    };
    let (kind, result) = match decoder.decode(kind, text) {
        Ok((header, spec)) if header.kind == kind => (kind, Ok((header, spec))),
        // Perhaps what looked like the kind was a line within a text; when it wasn't, this is the fault.
        other => match parsed_kind(text, decoder) {
            Ok(parsed) if parsed != kind => (parsed, decoder.decode(parsed, text)),
            Ok(_) | Err(Fault::Decode(_)) => (kind, other),
            Err(fault) => return Err(fault),
        },
    };
    let (header, spec) = result.map_err(|error| Fault::Decode(error.into()))?;
    let Header { api_version, kind: _, name, meta } = header;
    if api_version != API_VERSION {
        return Err(Fault::ApiVersion(api_version));
    }
    if let Err(error) = ObjectName::new(name.as_str()) {
        return Err(Fault::Name(error));
    }
    Ok(Document { key: ObjectKey::new(kind, name), meta, spec, origin: slice.into(), hash: slice.hash })
}

fn known<D: Decoder>(decoder: &D, kind: &str) -> Option<&'static str> {
    decoder.kinds().iter().find(|known| **known == kind).copied()
}

fn parsed_kind<D: Decoder>(text: &str, decoder: &D) -> Result<&'static str, Fault> {
    let kind = decode_kind(text).map_err(|error| Fault::Decode(error.into()))?.ok_or(Fault::NoKind)?;
    known(decoder, &kind).ok_or(Fault::UnknownKind(kind))
}

impl Fault {
    fn diagnose<D: Decoder>(self, excerpt: Excerpt<'_>, decoder: &D) -> Diagnostic {
        let kinds = decoder.kinds();
        let version = || locate::find(excerpt.text, "apiVersion").filter(|spot| spot.exact)?.scalar;
        match self {
            Self::TooLarge => {
                Diagnostic::error(format!("a document has at most {} MiB", DOCUMENT_BYTES >> 20))
                    .at(excerpt.first())
                    .help("split it into several objects")
            }
            Self::ApiVersion(version) => unknown_version(&version, excerpt),
            // In another version anything may be called otherwise; so the version is what is wrong.
            Self::Decode(_) | Self::UnknownKind(_) | Self::NoKind | Self::Name(_)
                if let Some(version) = version().filter(|version| version != API_VERSION) =>
            {
                unknown_version(&version, excerpt)
            }
            Self::NoKind => Diagnostic::error("missing field 'kind'")
                .at(excerpt.first())
                .help(format!("kinds are {}", kinds.join(", "))),
            Self::UnknownKind(kind) => {
                let mut diagnostic = Diagnostic::error(format!("unknown kind '{}'", clipped(&kind)));
                diagnostic.help = suggestion(&kind, kinds);
                diagnostic.at(excerpt.field("kind"))
            }
            Self::Decode(error) => diagnose(&error, excerpt, &|path, text| {
                let kind = locate::find(excerpt.text, "kind")?.scalar?;
                decoder.refine(&kind, path, text)
            }),
            Self::Name(error) => {
                Diagnostic::error(format!("'{}' is not a valid name", clipped(&error.given)))
                    .at(excerpt.field("metadata.name"))
                    .help(error.rule)
            }
        }
    }
}

fn unknown_version(version: &str, excerpt: Excerpt<'_>) -> Diagnostic {
    Diagnostic::error(format!("unknown apiVersion '{}'", clipped(version)))
        .at(excerpt.field("apiVersion"))
        .help(format!("write apiVersion: {API_VERSION}"))
}
