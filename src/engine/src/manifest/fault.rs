//! What the decoder finds wrong with a document, as a diagnostic.

use std::ops::Range;

use aegis_core::{diagnostic::Diagnostic, nearest::nearest};
use serde_saphyr::{Error, Location, budget::BudgetBreach, localizer::ExternalMessageSource};

use super::{document::Refined, excerpt::Excerpt, limits, locate, syntax};

/// The longest piece of an input that a message repeats, in characters.
const QUOTED: usize = 60;
/// The most valid names that a help lists.
const LISTED: usize = 12;

/// What exactly is wrong within the text of the field at a path.
pub(super) type Refine<'a> = dyn Fn(&str, &str) -> Option<Refined> + 'a;

/// The diagnostic for `error`, which decoding the document ended with.
pub(super) fn diagnose(error: &Error, excerpt: Excerpt<'_>, refine: &Refine<'_>) -> Diagnostic {
    let span = error.location().map(|location| span(location, excerpt));
    let inner = match error.without_snippet() {
        Error::AliasError { error, .. } => error.without_snippet(),
        error => error,
    };
    let start = span.as_ref().map_or(0, |span| span.start);
    if let Some(diagnostic) = misplaced(inner, excerpt, start) {
        return diagnostic;
    }
    if let (Error::Message { .. } | Error::ExternalMessage { .. }, Some(diagnostic)) =
        (inner, refined(excerpt, start, refine))
    {
        return diagnostic;
    }
    let (message, help) = explain(inner, excerpt, start);
    let mut diagnostic = Diagnostic::error(message);
    diagnostic.help = help;
    diagnostic.place = span.map(|span| excerpt.place(span));
    diagnostic
}

/// For a scalar with a grammar of its own: the spot within it.
fn refined(excerpt: Excerpt<'_>, start: usize, refine: &Refine<'_>) -> Option<Diagnostic> {
    let here = locate::here(excerpt.text, start)?;
    let spot = locate::find(excerpt.text, &here.path).filter(|spot| spot.exact)?;
    let fault = refine(&here.path, spot.scalar.as_deref()?)?;
    let span = match spot.verbatim {
        Some(begin) => begin + fault.within.start..begin + fault.within.end,
        None => spot.range(),
    };
    let mut diagnostic = Diagnostic::error(fault.message).at(excerpt.place(span));
    diagnostic.help = fault.help;
    Some(diagnostic)
}

/// Those whose place isn't simply where the decoder stopped.
fn misplaced(error: &Error, excerpt: Excerpt<'_>, start: usize) -> Option<Diagnostic> {
    match error {
        Error::SerdeMissingField { field, .. } => {
            let (map, key) = locate::map_at(excerpt.text, start).unwrap_or_default();
            let within = if map.is_empty() { String::new() } else { format!(" in '{map}'") };
            let place = match key {
                Some(key) => excerpt.place(key),
                None if map.is_empty() => excerpt.first(),
                None => excerpt.place(start..start + 1),
            };
            Some(Diagnostic::error(format!("missing field '{field}'{within}")).at(place))
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().map_or_else(String::new, |key| format!(" '{}'", clipped(key)));
            let second = start..start + key.trim().len().saturating_sub(2).max(1);
            let diagnostic = Diagnostic::error(format!("duplicate key{key}"))
                .at(excerpt.place(second))
                .label("again here");
            Some(match locate::earlier_key(excerpt.text, start) {
                Some(first) => diagnostic.related(excerpt.place(first), "first here"),
                None => diagnostic,
            })
        }
        Error::ExternalMessage { source, .. } => match &**source {
            ExternalMessageSource::Parser(error) if syntax::is_tab(error.kind()) => {
                // The parser stops behind the tab.
                let line = excerpt.text[..start].rfind('\n').map_or(0, |at| at + 1);
                let tab = excerpt.text[line..].find('\t').map_or(start, |at| line + at);
                let (message, help) = owned(syntax::explain(error.kind()));
                let mut diagnostic = Diagnostic::error(message).at(excerpt.place(tab..tab + 1));
                diagnostic.help = help;
                Some(diagnostic)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Message and help.
fn explain(error: &Error, excerpt: Excerpt<'_>, start: usize) -> (String, Option<String>) {
    let here = || locate::here(excerpt.text, start).unwrap_or_default();
    let subject = || subject(&here().path);
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown field '{}'", clipped(field)), suggestion(field, expected))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("{}: unknown value '{}'", subject(), clipped(variant)), suggestion(variant, expected))
        }
        Error::Unexpected { expected, .. } => {
            let here = here();
            let subject = if here.is_key { "a key".into() } else { subject() };
            (format!("{subject} must be {}, not {}", wanted(expected), here.what), None)
        }
        Error::InvalidScalar { ty, .. } => (format!("{} must be {}", subject(), wanted(ty)), None),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            (format!("{} must be {}", subject(), clipped(expected)), None)
        }
        Error::NonFiniteFloat { .. } => (format!("{} must be a finite number", subject()), None),
        Error::NullIntoString { .. } => (format!("{} must be a string, not nothing", subject()), None),
        Error::Eof { .. } => ("the document ends too early".into(), None),
        Error::MultipleDocuments { .. } => {
            ("a second document begins here".into(), Some("separate documents by a line '---'".into()))
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => ("an alias within its own anchor".into(), None),
        Error::UnknownAnchor { .. } => {
            owned(syntax::explain(&serde_saphyr::granit_parser::ErrorKind::UnknownAnchor))
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            (format!("aliases expand to more than {} values", limits::REPLAYED), None)
        }
        Error::Budget { breach, .. } => owned(over_budget(breach)),
        Error::ExternalMessage { source, msg, .. } => match &**source {
            ExternalMessageSource::Parser(error) => owned(syntax::explain(error.kind())),
            _ => (clipped_to(msg, 200), None),
        },
        Error::Message { msg, .. } => (clipped_to(msg, 200), None),
        other => {
            // Its text ends with the location, which the place says already.
            let text = other.to_string();
            let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
            (clipped_to(text, 200), None)
        }
    }
}

fn over_budget(breach: &BudgetBreach) -> (String, Option<&'static str>) {
    match breach {
        BudgetBreach::Depth { .. } => syntax::too_deep(),
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::MergeKeys { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. } => {
            ("too many anchors and aliases in one document".into(), Some("write the values out"))
        }
        BudgetBreach::ScalarBytes { .. } => {
            let message =
                format!("more than {} MiB of text, aliases written out", limits::DOCUMENT_BYTES >> 20);
            (message, Some("split it into several objects"))
        }
        _ => (
            format!("more than {} values in one document", limits::VALUES),
            Some("split it into several objects"),
        ),
    }
}

fn owned((message, help): (String, Option<&'static str>)) -> (String, Option<String>) {
    (message, help.map(str::to_owned))
}

/// The bytes that a location covers; parser errors have only a line and a column.
fn span(location: Location, excerpt: Excerpt<'_>) -> Range<usize> {
    let bytes = |bytes: Option<u64>| bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let span = location.span();
    let start =
        bytes(span.byte_offset()).unwrap_or_else(|| excerpt.offset(location.line(), location.column()));
    start..start + bytes(span.byte_len()).unwrap_or(0).max(1)
}

fn subject(path: &str) -> String {
    if path.is_empty() { "a manifest".into() } else { format!("'{}'", clipped(path)) }
}

/// The decoder's names of types, as a person would say them.
fn wanted(expected: &str) -> String {
    match expected {
        // Said of whatever isn't a list or a map.
        "string scalar" => "a single value",
        "sequence start" => "a list",
        "mapping start" => "a map",
        "boolean" | "bool" => "true or false",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "u128" => "a whole number that isn't negative",
        "i8" | "i16" | "i32" | "i64" | "i128" => "a whole number",
        "f32" | "f64" => "a number",
        other => other,
    }
    .into()
}

/// The nearest valid name, or all of them when none is near.
pub(super) fn suggestion(given: &str, valid: &[&str]) -> Option<String> {
    if let Some(near) = nearest(given, valid.iter().copied()) {
        return Some(format!("did you mean '{near}'?"));
    }
    let listed = valid.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
    match valid.len() {
        0 => None,
        1 => Some(format!("the valid one is {listed}")),
        count if count > LISTED => Some(format!("valid ones are {listed} and {} more", count - LISTED)),
        _ => Some(format!("valid ones are {listed}")),
    }
}

/// `text` on one line and no longer than what a message may repeat.
pub(super) fn clipped(text: &str) -> String {
    clipped_to(text, QUOTED)
}

fn clipped_to(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > most || line.len() < text.trim_end().len() {
        line.chars().take(most).chain(['…']).collect()
    } else {
        line.to_owned()
    }
}
