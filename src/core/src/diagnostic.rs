//! What is wrong with an input, and exactly where.

use std::{fmt, ops::Range, sync::Arc};

use serde::{Serialize, Serializer};

/// Whether something stops the command or is only worth knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is changed while there is one.
    Error,
    /// The command goes on.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A spot in a source. Its fields say what a person sees in an editor: lines and columns from 1, in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name, or `<stdin>`.
    pub source: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column in the source's line, from 1, in characters.
    pub column: u32,
    /// How many characters it covers, at least 1.
    pub length: u32,
    /// The source's line without its line break; when longer than [`Place::WIDTH`], the part around the column.
    pub text: String,
    /// The column in the source's line at which `text` begins: 1, unless it was clipped.
    pub text_column: u32,
}

impl Place {
    /// The longest `text`, in characters.
    pub const WIDTH: usize = 200;

    /// The place of the bytes `span` of `text`. A span over several lines is cut at the end of its first one; one
    /// that lies beyond the text, or within a character, moves back to where there is one.
    pub fn in_text(source: Arc<str>, text: &str, span: Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let end = text.floor_char_boundary(span.end.clamp(start, text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[..line_start].matches('\n').count() + 1;
        let column = text[line_start..start].chars().count() + 1;
        let length = text[start..end.min(line_end)].chars().count();
        Self::in_line(source, line, column, length, &text[line_start..line_end])
    }

    /// The place at `line` and `column` (both from 1) of a source, given that line of it.
    pub fn in_line(source: Arc<str>, line: usize, column: usize, length: usize, text: &str) -> Self {
        let (text, text_column) = clip(text.trim_end_matches(['\n', '\r']), column);
        Self {
            source,
            line: number(line),
            column: number(column),
            length: number(length),
            text,
            text_column: number(text_column),
        }
    }
}

/// The part of `line` around `column` (from 1) that fits [`Place::WIDTH`], and the column at which it begins.
fn clip(line: &str, column: usize) -> (String, usize) {
    let skip = if line.chars().count() <= Place::WIDTH { 0 } else { column.saturating_sub(Place::WIDTH / 2) };
    (line.chars().skip(skip).take(Place::WIDTH).collect(), skip + 1)
}

/// As a line, column or length: from 1, and never too large for its type.
fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX).max(1)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.line, self.column)
    }
}

/// One finding about an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the command.
    pub severity: Severity,
    /// What is wrong, in one line, lower case, without a full stop.
    pub message: String,
    /// A word or two for under the spot.
    pub label: Option<String>,
    /// Where it is wrong, when it is a matter of one spot.
    pub place: Option<Place>,
    /// What to do about it.
    pub help: Option<String>,
    /// Other spots that belong to it, such as the first of two duplicates, each with what it is.
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// An error that says `message`.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }
    /// A warning that says `message`.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }
    fn new(severity: Severity, message: String) -> Self {
        Self { severity, message, label: None, place: None, help: None, related: Vec::new() }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }
    /// Puts a word or two under the spot.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// Adds another spot that belongs to it.
    #[must_use]
    pub fn related(mut self, place: Place, what: impl Into<String>) -> Self {
        self.related.push((place, what.into()));
        self
    }
    /// Whether it stops the command.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// One line, as compilers write it: `fleet.yaml:3:7: error: unknown field 'tag'`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: {}", self.severity, self.message.lines().collect::<Vec<_>>().join(" "))
    }
}

/// The shape in `--output json`. The source's line isn't in it: it may hold what nobody should read in a log.
#[derive(Serialize)]
struct Shape<'a> {
    severity: Severity,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(flatten)]
    place: Option<PlaceShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related: Vec<RelatedShape<'a>>,
}

#[derive(Serialize)]
struct PlaceShape<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    length: u32,
}

#[derive(Serialize)]
struct RelatedShape<'a> {
    #[serde(flatten)]
    place: PlaceShape<'a>,
    message: &'a str,
}

impl<'a> From<&'a Place> for PlaceShape<'a> {
    fn from(place: &'a Place) -> Self {
        Self { file: &place.source, line: place.line, column: place.column, length: place.length }
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shape {
            severity: self.severity,
            message: &self.message,
            label: self.label.as_deref(),
            place: self.place.as_ref().map(PlaceShape::from),
            help: self.help.as_deref(),
            related: self
                .related
                .iter()
                .map(|(place, m)| RelatedShape { place: place.into(), message: m })
                .collect(),
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    const SOURCE: &str = "kind: EdgeGroup\r\nspec:\n  größe: tägs\n";

    fn place(span: Range<usize>) -> Place {
        Place::in_text("fleet.yaml".into(), SOURCE, span)
    }

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let start = SOURCE.find("tägs").unwrap();
        let found = place(start..start + "tägs".len());
        assert_eq!((found.line, found.column, found.length), (3, 10, 4));
        assert_eq!(found.text, "  größe: tägs");
        let found = place(0..4);
        assert_eq!(
            (found.line, found.column, found.length, found.text.as_str()),
            (1, 1, 4, "kind: EdgeGroup")
        );
    }

    #[test]
    fn a_span_ends_with_its_line_and_is_never_empty() {
        let found = place(0..SOURCE.len());
        assert_eq!((found.line, found.length), (1, 16));
        let end = place(SOURCE.len()..SOURCE.len() + 9);
        assert_eq!((end.line, end.column, end.length, end.text.as_str()), (4, 1, 1, ""));
    }

    #[test]
    fn a_long_line_is_clipped_around_the_column() {
        let line = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let found = Place::in_text("x".into(), &line, 500..504);
        assert_eq!(found.text.chars().count(), Place::WIDTH);
        let indent = (found.column - found.text_column) as usize;
        assert_eq!(&found.text[indent..indent + 4], "HERE");
    }

    #[test]
    fn one_line_as_compilers_write_it() {
        let diagnostic = Diagnostic::error("unknown\nfield").at(place(17..21)).help("did you mean 'tags'?");
        assert_eq!(diagnostic.to_string(), "fleet.yaml:2:1: error: unknown field");
        assert_eq!(Diagnostic::warning("odd").to_string(), "warning: odd");
        assert!(diagnostic.is_error() && !Diagnostic::warning("odd").is_error());
    }

    #[test]
    fn json_has_the_place_but_not_the_line() {
        let diagnostic =
            Diagnostic::error("duplicate key").at(place(17..21)).related(place(0..4), "first here");
        assert_eq!(
            serde_json::to_value(&diagnostic).unwrap(),
            serde_json::json!({
                "severity": "error", "message": "duplicate key", "file": "fleet.yaml", "line": 2, "column": 1, "length": 4,
                "related": [{"file": "fleet.yaml", "line": 1, "column": 1, "length": 4, "message": "first here"}],
            })
        );
        assert_eq!(
            serde_json::to_value(Diagnostic::warning("odd").label("this").help("do that")).unwrap(),
            serde_json::json!({"severity": "warning", "message": "odd", "label": "this", "help": "do that"})
        );
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_has_a_place(text in "(\\PC|[\n\r\t]){0,300}", start in 0_usize..500, length in 0_usize..500) {
            let found = Place::in_text("x".into(), &text, start..start + length);
            prop_assert!(found.line >= 1 && found.length >= 1);
            prop_assert!(found.column >= found.text_column);
            prop_assert!(found.text.chars().count() <= Place::WIDTH && !found.text.contains('\n'));
        }
    }
}
