//! The text of one document, which knows where it stands in its file.

use std::{ops::Range, sync::Arc};

use aegis_core::diagnostic::Place;

use super::locate;

/// A document's text for the finding of places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Excerpt<'a> {
    /// The file's name.
    pub name: &'a Arc<str>,
    /// The document; it begins at the begin of a line.
    pub text: &'a str,
    /// The number of its first line in the file.
    pub first_line: usize,
}

impl Excerpt<'_> {
    /// The place of some bytes of the document. What lies in the blank end of it is moved to the last thing before.
    pub fn place(&self, span: Range<usize>) -> Place {
        let start = self.text.floor_char_boundary(span.start.min(self.text.len()));
        let span = if self.text[start..].trim_ascii().is_empty() {
            let end = self.text.trim_ascii_end().len();
            end.min(start)..end.min(start)
        } else {
            start..span.end
        };
        let mut place = Place::in_text(Arc::clone(self.name), self.text, span);
        place.line =
            place.line.saturating_add(u32::try_from(self.first_line).unwrap_or(u32::MAX).saturating_sub(1));
        place
    }

    /// The place of a field, or of what is nearest above it.
    pub fn field(&self, path: &str) -> Place {
        match locate::find(self.text, path) {
            Some(spot) if spot.exact || spot.key.is_some() => self.place(spot.range()),
            _ => self.first(),
        }
    }

    /// The place of its first line that isn't blank and no comment: for what is wrong with it as a whole.
    pub fn first(&self) -> Place {
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            let content = line.trim_ascii();
            if !content.is_empty() && !content.starts_with('#') {
                let indentation = line.len() - line.trim_ascii_start().len();
                return self.place(start + indentation..start + indentation + content.len());
            }
            start += line.len();
        }
        self.place(0..1)
    }

    /// Where the bytes at a line and a column begin, both from 1, the column in characters.
    pub fn offset(&self, line: u64, column: u64) -> usize {
        let (line, column) = (usize::try_from(line).unwrap_or(1), usize::try_from(column).unwrap_or(1));
        let mut start = 0;
        for _ in 1..line {
            match self.text[start..].find('\n') {
                Some(at) => start += at + 1,
                None => return self.text.len(),
            }
        }
        let rest = &self.text[start..];
        let line = rest.find('\n').map_or(rest, |end| &rest[..end]);
        start + line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_from_the_file() {
        let name = Arc::from("a.yaml");
        let excerpt = Excerpt { name: &name, text: "ä: 1\nbc: d\n\n\n", first_line: 8 };
        assert_eq!(excerpt.place(3..4).to_string(), "a.yaml:8:3");
        assert_eq!(excerpt.place(6..8).to_string(), "a.yaml:9:1");
        assert_eq!(excerpt.place(14..14).to_string(), "a.yaml:9:6");
        let commented = Excerpt { text: "# a\n\n  b: c # d\n", ..excerpt };
        assert_eq!((commented.first().to_string(), commented.first().length), ("a.yaml:10:3".into(), 8));
        assert_eq!(excerpt.offset(2, 2), 7);
        assert_eq!(excerpt.offset(1, 2), 2);
        assert_eq!(excerpt.offset(9, 9), excerpt.text.len());
    }
}
