//! What is wrong with an expression, and the picture of where.

use std::{fmt, ops::Range};

use crate::diagnostic::Place;

/// Why a text is no target or selector. Exit code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong, in one line.
    pub message: String,
    /// Which bytes of the text are meant. Empty at its end when something is missing there.
    pub span: Range<usize>,
    /// What to write instead.
    pub help: Option<String>,
}

impl ParseError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), span, help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The text with `^^^` under the spot, on two lines. `input` is the text that was parsed; a very long one is
    /// shown around the spot only.
    pub fn caret(&self, input: &str) -> String {
        // Line breaks and escape codes would move the spot away from its caret.
        let line: String = input.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        // One control character is one or two bytes, a space is one: the span must count in the original.
        let start = input.floor_char_boundary(self.span.start.min(input.len()));
        let end = input.floor_char_boundary(self.span.end.clamp(start, input.len()));
        let column = input[..start].chars().count() + 1;
        let length = input[start..end].chars().count();
        let place = Place::in_line("".into(), 1, column, length, &line);
        let indent = (place.column - place.text_column) as usize;
        let shown = place.text.chars().count().saturating_sub(indent).max(1);
        let carets = (place.length as usize).min(shown);
        format!("{}\n{}{}", place.text, " ".repeat(indent), "^".repeat(carets))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

/// A part of the input for a message: in quotes, short, and without what a terminal would obey.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().count() > LONGEST {
        shown.push('…');
    }
    format!("'{shown}'")
}
