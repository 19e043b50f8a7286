//! Setting endpoint, CA and tenant in a config that a person wrote, without touching anything else of it.
//!
//! The text is never printed anew: each value is replaced where it stands, or a line is added where it is missing.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::{ConfigError, EdgeConfig, parse};

/// Why a config can't be changed in place.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// It isn't valid to begin with, or wouldn't be afterwards.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    /// It isn't YAML.
    #[error("the config isn't valid yaml: {0}")]
    Scan(#[from] ScanError),
    /// A value can't be set where it stands, such as behind an alias.
    #[error("can't set '{field}' in the config: {why}")]
    Unsupported {
        /// The field that was to be set.
        field: &'static str,
        /// What is in the way.
        why: &'static str,
    },
}

/// `text` with the endpoint, the CA's fingerprint and the tenant of `want`; what `want` doesn't have is left alone.
/// The result is read again before it is returned, and says what `want` says.
pub fn rewrite(text: &str, want: &EdgeConfig) -> Result<String, RewriteError> {
    let fields: [(&'static str, Option<String>); 3] = [
        ("endpoint", want.endpoint.as_ref().map(ToString::to_string)),
        ("caFingerprint", want.ca_fingerprint.as_ref().map(ToString::to_string)),
        ("tenant", want.tenant.as_ref().map(ToString::to_string)),
    ];
    let mut result = text.to_owned();
    // From the last to the first: each that is missing is added at the top of the block, so they end up in order.
    for (field, value) in fields.into_iter().rev() {
        if let Some(value) = value {
            result = set(&result, field, &value)?;
        }
    }
    let read = parse(&result, "aegis-config.yaml")?;
    let agrees = |have: &EdgeConfig| {
        (want.endpoint.is_none() || have.endpoint == want.endpoint)
            && (want.ca_fingerprint.is_none() || have.ca_fingerprint == want.ca_fingerprint)
            && (want.tenant.is_none() || have.tenant == want.tenant)
    };
    if agrees(&read) {
        Ok(result)
    } else {
        Err(RewriteError::Unsupported { field: "endpoint", why: "another part of the file overrides it" })
    }
}

/// A value as YAML: plain where that can't be taken for anything but text, else in double quotes.
pub(super) fn quoted(value: &str) -> String {
    let plain = value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b))
        && !value.ends_with(':')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&value.to_ascii_lowercase().as_str());
    if plain { value.to_owned() } else { format!("{value:?}") }
}

fn set(text: &str, field: &'static str, value: &str) -> Result<String, RewriteError> {
    let root = Tree::read(text)?;
    let mut path = vec!["cluster", "edge", field];
    if root.entry("spec").is_some() || root.entry("kind").is_some() {
        path.insert(0, "spec");
    }
    let mut node = &root;
    for (depth, key) in path.iter().enumerate() {
        match node.entry(key) {
            Some(entry) => node = entry,
            None => return node.insert(text, &path[depth..], value, field),
        }
    }
    match &node.shape {
        Shape::Scalar { value: have, .. } if have == value => Ok(text.to_owned()),
        Shape::Scalar { .. } if node.span.is_empty() => {
            Ok(splice(text, node.span.clone(), &format!(" {}", quoted(value))))
        }
        Shape::Scalar { block: false, .. } => Ok(splice(text, node.span.clone(), &quoted(value))),
        Shape::Scalar { block: true, .. } => {
            Err(RewriteError::Unsupported { field, why: "it is a block of text; write it in one line" })
        }
        Shape::Mapping { .. } | Shape::Other => {
            Err(RewriteError::Unsupported { field, why: "it isn't a plain text" })
        }
    }
}

/// A node of the file with the bytes that it covers.
struct Tree {
    span: Range<usize>,
    shape: Shape,
}

enum Shape {
    Scalar {
        value: String,
        /// Written with `|` or `>`.
        block: bool,
    },
    Mapping {
        /// Written with braces.
        flow: bool,
        entries: Vec<(String, Range<usize>, Tree)>,
    },
    /// A list, an alias: nothing that leads to our fields.
    Other,
}

impl Tree {
    fn read(text: &str) -> Result<Self, ScanError> {
        let bytes = Offsets::of(text);
        let mut events = Parser::new_from_str(text);
        while let Some(event) = events.next() {
            let (event, span) = event?;
            if !matches!(event, Event::StreamStart | Event::DocumentStart(_) | Event::Nothing) {
                return Self::node(&event, span, &mut events, text, &bytes);
            }
        }
        Ok(Self { span: text.len()..text.len(), shape: Shape::Other })
    }

    fn node<'a>(
        event: &Event<'_>,
        span: Span,
        events: &mut Parser<'a, saphyr_parser::StrInput<'a>>,
        text: &str,
        bytes: &Offsets,
    ) -> Result<Self, ScanError> {
        let mut range = bytes.range(span);
        let shape = match event {
            Event::Scalar(value, style, ..) => {
                range.end = range.start + written(&text[range.start..range.end], *style);
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                Shape::Scalar { value: value.to_string(), block }
            }
            Event::MappingStart(..) => {
                let flow = text[range.start..].starts_with('{');
                let mut entries = Vec::new();
                while let Some((key, key_span)) = next(events)? {
                    if matches!(key, Event::MappingEnd) {
                        range.end = bytes.range(key_span).end;
                        break;
                    }
                    let key = Self::node(&key, key_span, events, text, bytes)?;
                    let Some((value, value_span)) = next(events)? else { break };
                    let mut value = Self::node(&value, value_span, events, text, bytes)?;
                    if let Shape::Scalar { value: name, .. } = key.shape {
                        value.behind_colon(text, key.span.end);
                        entries.push((name, key.span, value));
                    }
                }
                Shape::Mapping { flow, entries }
            }
            Event::SequenceStart(..) => {
                while let Some((item, item_span)) = next(events)? {
                    if matches!(item, Event::SequenceEnd) {
                        range.end = bytes.range(item_span).end;
                        break;
                    }
                    Self::node(&item, item_span, events, text, bytes)?;
                }
                Shape::Other
            }
            _ => Shape::Other,
        };
        Ok(Self { span: range, shape })
    }

    /// An empty value has no place of its own: it goes right behind its key's colon.
    fn behind_colon(&mut self, text: &str, key_end: usize) {
        if matches!(&self.shape, Shape::Scalar { value, .. } if value.is_empty() || value == "~")
            && self.span.is_empty()
        {
            let at = text[key_end..].find(':').map_or(key_end, |colon| key_end + colon + 1);
            self.span = at..at;
        }
    }

    fn entry(&self, name: &str) -> Option<&Tree> {
        match &self.shape {
            Shape::Mapping { entries, .. } => {
                entries.iter().find(|(key, ..)| key == name).map(|(_, _, node)| node)
            }
            _ => None,
        }
    }

    /// Adds `path: … value` as the first entry of this node.
    fn insert(
        &self,
        text: &str,
        path: &[&str],
        value: &str,
        field: &'static str,
    ) -> Result<String, RewriteError> {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        match &self.shape {
            Shape::Mapping { flow: false, entries } => {
                let Some((_, first, _)) = entries.first() else {
                    return Err(RewriteError::Unsupported { field, why: "the block around it is empty" });
                };
                let line_start = text[..first.start].rfind('\n').map_or(0, |at| at + 1);
                let indent = &text[line_start..first.start];
                if !indent.bytes().all(|b| b == b' ') {
                    return Err(RewriteError::Unsupported {
                        field,
                        why: "the block around it begins within a line",
                    });
                }
                let block = nested(path, value, indent.len(), newline);
                Ok(splice(text, line_start..line_start, &block))
            }
            Shape::Mapping { flow: true, entries } => {
                let at = self.span.start + 1;
                let comma = if entries.is_empty() { "" } else { ", " };
                Ok(splice(text, at..at, &format!("{}{comma}", inline(path, value))))
            }
            Shape::Scalar { value: have, block: false } if is_null(have) => {
                let space = if self.span.is_empty() { " " } else { "" };
                Ok(splice(text, self.span.clone(), &format!("{space}{{{}}}", inline(path, value))))
            }
            // A file of comments, or an empty one.
            Shape::Other if self.span.start == text.len() => {
                let gap = if text.is_empty() || text.ends_with('\n') { "" } else { newline };
                Ok(format!("{text}{gap}{}", nested(path, value, 0, newline)))
            }
            Shape::Scalar { .. } | Shape::Other => {
                Err(RewriteError::Unsupported { field, why: "what should hold it isn't a mapping" })
            }
        }
    }
}

fn next<'a>(
    events: &mut Parser<'a, saphyr_parser::StrInput<'a>>,
) -> Result<Option<(Event<'a>, Span)>, ScanError> {
    events.next().transpose()
}

/// How many bytes a scalar takes that begins with `text`. The parser's span of it may reach into the white space and
/// the comment behind it.
fn written(text: &str, style: ScalarStyle) -> usize {
    let plain_end = || text.find(" #").or_else(|| text.find("\t#")).unwrap_or(text.len());
    match style {
        ScalarStyle::SingleQuoted => {
            // Two quotes in a row are one in the text: pairs are skipped, the odd one ends it.
            let inner = text.get(1..).unwrap_or_default().replace("''", "..");
            inner.find('\'').map_or(text.len(), |at| at + 2)
        }
        ScalarStyle::DoubleQuoted => {
            let mut escaped = false;
            let end = text.char_indices().skip(1).find(|(_, c)| {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            });
            end.map_or(text.len(), |(at, _)| at + 1)
        }
        ScalarStyle::Plain => text[..plain_end()].trim_end().len(),
        ScalarStyle::Literal | ScalarStyle::Folded => text.trim_end().len(),
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// `a:\n  b: value\n`, indented.
fn nested(path: &[&str], value: &str, indent: usize, newline: &str) -> String {
    let line = |(depth, key): (usize, &&str)| {
        let spaces = " ".repeat(indent + 2 * depth);
        let end = if depth + 1 == path.len() { format!(" {}", quoted(value)) } else { String::new() };
        format!("{spaces}{key}:{end}{newline}")
    };
    path.iter().enumerate().map(line).collect::<Vec<_>>().concat()
}

/// `a: {b: value}`.
fn inline(path: &[&str], value: &str) -> String {
    // Within braces a plain text must not hold what ends it; quotes are safe everywhere.
    let value = format!("{value:?}");
    match path {
        [] => value,
        [key] => format!("{key}: {value}"),
        [key, rest @ ..] => format!("{key}: {{{}}}", inline(rest, &value[1..value.len() - 1])),
    }
}

fn splice(text: &str, range: Range<usize>, with: &str) -> String {
    format!("{}{with}{}", &text[..range.start], &text[range.end..])
}

/// From the parser's positions, which count characters, to bytes.
struct Offsets(Vec<usize>);

impl Offsets {
    fn of(text: &str) -> Self {
        Self(text.char_indices().map(|(at, _)| at).chain([text.len()]).collect())
    }
    fn range(&self, span: Span) -> Range<usize> {
        let at = |index: usize| self.0.get(index).or(self.0.last()).copied().unwrap_or_default();
        let (start, end) = (at(span.start.index()), at(span.end.index()));
        start..end.max(start)
    }
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
