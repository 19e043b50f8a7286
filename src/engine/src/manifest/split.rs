//! Cuts a text into its documents without parsing it.
//!
//! A line that begins with `---` or `...`, followed by white space or the line's end, is a marker wherever it stands:
//! YAML forbids one within any scalar (YAML 1.2.2, production `c-forbidden`). So looking at the begin of each line is
//! enough, and right.

use std::ops::Range;

/// One document of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes, from the begin of a line. The marker before it is left out, unless it is a part of the document:
    /// it has content on its line or directives before it.
    pub range: Range<usize>,
    /// The number of its first line, from 1.
    pub first_line: usize,
}

/// The byte order mark in UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Where the reading of a text is.
enum State {
    /// Before a document: at the begin or after `...`; only here a `%` begins a directive.
    Between { directives: Option<(usize, usize)> },
    /// In the document that began there, at that line; `content`: something other than comments was seen.
    Inside { start: usize, line: usize, content: bool },
}

/// The documents of `text` in order. Those that consist only of blank lines and comments are left out.
pub fn split(text: &str) -> Vec<Piece> {
    let bytes = text.as_bytes();
    let mut pieces = Vec::new();
    let mut state = State::Between { directives: None };
    let mut start = 0;
    let mut number = 1;
    while start < bytes.len() {
        let end = bytes[start..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |at| start + at + 1);
        // Before a document a byte order mark is no content: files may have been joined.
        let between = matches!(state, State::Between { .. });
        let mark = if between && bytes[start..].starts_with(MARK) { MARK.len() } else { 0 };
        state = step(state, &bytes[start + mark..end], start + mark, number, &mut pieces);
        start = end;
        number += 1;
    }
    match state {
        State::Inside { start, line, content: true } | State::Between { directives: Some((start, line)) } => {
            pieces.push(Piece { range: start..bytes.len(), first_line: line });
        }
        State::Inside { .. } | State::Between { .. } => {}
    }
    pieces
}

/// Reads the line that begins at `at`.
fn step(state: State, line: &[u8], at: usize, number: usize, pieces: &mut Vec<Piece>) -> State {
    let marker = marker(line);
    let mut close = |start: usize, first_line: usize| pieces.push(Piece { range: start..at, first_line });
    match (state, marker) {
        (State::Inside { start, line: first, content }, Some(marker)) => {
            if content {
                close(start, first);
            }
            match marker {
                Marker::Start { content: true } => State::Inside { start: at, line: number, content: true },
                Marker::Start { content: false } => {
                    State::Inside { start: at + line.len(), line: number + 1, content: false }
                }
                Marker::End => State::Between { directives: None },
            }
        }
        (State::Inside { start, line: first, content }, None) => {
            State::Inside { start, line: first, content: content || !is_blank(line) }
        }
        (State::Between { directives: Some((start, first)) }, Some(Marker::Start { content })) => {
            State::Inside { start, line: first, content }
        }
        (State::Between { directives: None }, Some(Marker::Start { content: true })) => {
            State::Inside { start: at, line: number, content: true }
        }
        (State::Between { directives: None }, Some(Marker::Start { content: false })) => {
            State::Inside { start: at + line.len(), line: number + 1, content: false }
        }
        (State::Between { directives }, Some(Marker::End)) => {
            // Directives without a document are a fault, which the parser is to name.
            if let Some((start, first)) = directives {
                close(start, first);
            }
            State::Between { directives: None }
        }
        (State::Between { directives }, None) if is_blank(line) => State::Between { directives },
        (State::Between { directives }, None) if line.starts_with(b"%") => {
            State::Between { directives: directives.or(Some((at, number))) }
        }
        (State::Between { directives }, None) => {
            let (start, line) = directives.unwrap_or((at, number));
            State::Inside { start, line, content: true }
        }
    }
}

enum Marker {
    /// `---`, with or without content of the document behind it.
    Start { content: bool },
    /// `...`
    End,
}

fn marker(line: &[u8]) -> Option<Marker> {
    let (dots, rest) = match line {
        [b'-', b'-', b'-', rest @ ..] => (false, rest),
        [b'.', b'.', b'.', rest @ ..] => (true, rest),
        _ => return None,
    };
    match rest {
        [] | [b' ' | b'\t' | b'\r' | b'\n', ..] if dots => Some(Marker::End),
        [] | [b' ' | b'\t' | b'\r' | b'\n', ..] => Some(Marker::Start { content: !is_blank(rest) }),
        _ => None,
    }
}

/// Whether there is nothing, or only a comment.
fn is_blank(line: &[u8]) -> bool {
    matches!(line.trim_ascii_start(), [] | [b'#', ..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str) -> Vec<(usize, &str)> {
        split(text).into_iter().map(|piece| (piece.first_line, &text[piece.range])).collect()
    }

    #[test]
    fn markers_comments_and_blank_documents() {
        assert_eq!(texts(""), []);
        assert_eq!(texts("# only\n\n---\n---\n # this\n...\n"), []);
        assert_eq!(texts("a: 1"), [(1, "a: 1")]);
        assert_eq!(texts("---\na: 1\n---\nb: 2\n"), [(2, "a: 1\n"), (4, "b: 2\n")]);
        assert_eq!(texts("a: 1\n--- # second\n# heading\nb: 2\n"), [(1, "a: 1\n"), (3, "# heading\nb: 2\n")]);
        assert_eq!(texts("a: 1\r\n---\r\nb: 2\r\n"), [(1, "a: 1\r\n"), (3, "b: 2\r\n")]);
        assert_eq!(texts("\u{feff}a: 1\n---\nb: 2"), [(1, "a: 1\n"), (3, "b: 2")]);
        assert_eq!(texts("a: 1\n...\n\u{feff}---\nb: 2"), [(1, "a: 1\n"), (4, "b: 2")]);
        assert_eq!(texts("a: 1\n...\n# between\nb: 2\n"), [(1, "a: 1\n"), (4, "b: 2\n")]);
    }

    #[test]
    fn a_marker_with_content_is_a_part_of_its_document() {
        assert_eq!(texts("--- |\ntext\n--- {a: 1}\n"), [(1, "--- |\ntext\n"), (3, "--- {a: 1}\n")]);
        assert_eq!(texts("---\t!tag\na: 1\n"), [(1, "---\t!tag\na: 1\n")]);
    }

    #[test]
    fn only_a_marker_of_its_own_at_the_begin_of_a_line_is_one() {
        for text in ["a: |\n  ---\n  ...\n", "a: 1\n---b: 2\n", "a: 1\n----\n", "a: --- # x\n", "....\n"] {
            assert_eq!(texts(text), [(1, text)]);
        }
    }

    #[test]
    fn directives_belong_to_the_document_after_them() {
        assert_eq!(texts("%YAML 1.2\n---\na: 1\n"), [(1, "%YAML 1.2\n---\na: 1\n")]);
        assert_eq!(
            texts("a: 1\n...\n%YAML 1.2\n---\nb: 2\n"),
            [(1, "a: 1\n"), (3, "%YAML 1.2\n---\nb: 2\n")]
        );
        assert_eq!(texts("%YAML 1.2\n...\na: 1\n"), [(1, "%YAML 1.2\n"), (3, "a: 1\n")]);
        assert_eq!(texts("%YAML 1.2\n"), [(1, "%YAML 1.2\n")]);
    }

    const LINES: &[&str] = &[
        "---\n",
        "--- # c\n",
        "--- |\n",
        "--- a\n",
        "---\r\n",
        "...\n",
        "... # c\n",
        "%YAML 1.2\n",
        "# c\n",
        "\n",
        "  \n",
        "a: 1\n",
        "b: |\n",
        "  --- x\n",
        "  ...\n",
        "c: \"\n",
        "  \"\n",
        "- d\n",
        "---e\n",
        "{f: 1,\n",
        "}\n",
        " g\n",
        "\u{feff}---\n",
        "--- >\n",
    ];

    /// How many documents with content the parser finds; nothing when it finds a fault.
    fn parsed(text: &str) -> Option<usize> {
        use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};
        let mut count = 0;
        let mut next = false;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.ok()?;
            match event {
                Event::DocumentStart(..) => next = true,
                // A document without content is one plain scalar that stands nowhere.
                Event::Scalar(_, ScalarStyle::Plain, ..) if next && span.is_empty() => next = false,
                Event::Scalar(..) | Event::MappingStart(..) | Event::SequenceStart(..) if next => {
                    next = false;
                    count += 1;
                }
                _ => {}
            }
        }
        Some(count)
    }

    proptest! {
        #[test]
        fn what_was_joined_is_split_again(
            documents in prop::collection::vec("[a-z]{1,3}: [ -~]{0,9}\n( {1,2}[#.\\-]{1,4}[ -~]{0,5}\n|\n|[.]{1,2}\n|--x\n){0,4}", 0..6)
        ) {
            let joined = documents.join("---\n");
            let found: Vec<&str> = split(&joined).into_iter().map(|piece| &joined[piece.range]).collect();
            prop_assert_eq!(found, documents);
        }

        #[test]
        fn the_parser_finds_the_same_documents(lines in prop::collection::vec(prop::sample::select(LINES), 0..12)) {
            let text = lines.concat();
            let Some(whole) = parsed(&text) else { return Ok(()) };
            let apart: Vec<_> = split(&text).into_iter().map(|piece| parsed(&text[piece.range])).collect();
            prop_assert_eq!(apart, vec![Some(1); whole], "{:?}", text);
        }

        #[test]
        fn lines_are_counted_right(text in "([a%#\\-. \r\u{feff}]{0,5}\n){0,12}") {
            let mut last = 0;
            for piece in split(&text) {
                prop_assert_eq!(text[..piece.range.start].matches('\n').count() + 1, piece.first_line);
                prop_assert!(last <= piece.range.start && piece.range.start < piece.range.end);
                last = piece.range.end;
            }
        }
    }
}
