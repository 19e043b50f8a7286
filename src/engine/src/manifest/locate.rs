//! Finds spots in a document by reading its events again. Only for what is faulty: decoding doesn't need it.
//!
//! A path is written as fields are written in messages: `spec.pinned[2]`, `metadata.labels[aegis.dev/team]`,
//! `spec.tags[prod]`. What is in brackets is an index or an entry of a list, or a key of a map.
//! Memory is bounded by the document's depth; a syntax error just ends the search.

use std::{borrow::Cow, ops::Range};

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};

/// Where something stands in a document, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    /// The key that leads to it, or what there is of it when it is an item of a list.
    pub key: Option<Range<usize>>,
    /// Its value.
    pub value: Range<usize>,
    /// The value, when it is a scalar on one line whose text is its value as it stands: where that text begins.
    pub verbatim: Option<usize>,
    /// The value itself, when it is a scalar: no list, no map, no alias.
    pub scalar: Option<String>,
    /// Whether it is what was looked for, and not only the last thing on the path to it.
    pub exact: bool,
}

impl Spot {
    /// What to underline: a scalar itself, but the key of a list or map.
    pub fn range(&self) -> Range<usize> {
        match &self.key {
            Some(key) if !self.exact || self.scalar.is_none() => key.clone(),
            _ => self.value.clone(),
        }
    }
}

/// The spot of `path`, or of the last thing on the way to it that is there.
pub(super) fn find(text: &str, path: &str) -> Option<Spot> {
    let path = segments(path);
    let mut best: Option<(usize, Spot)> = None;
    walk(text, |node, frames| {
        if node.is_key {
            return true;
        }
        // The node is on the path when each frame above it stands at the path's segment of its level.
        let depth = frames.len();
        let on_path = depth <= path.len()
            && frames.iter().zip(&path).all(|(frame, segment)| frame.is_at(segment, &node));
        if on_path && best.as_ref().is_none_or(|(found, _)| *found < depth) {
            let key = frames.last().and_then(|frame| frame.key.as_ref()).map(|(_, range)| range.clone());
            let exact = depth == path.len();
            let verbatim = node.verbatim(text);
            let scalar = node.scalar.map(|(value, _)| value.into_owned());
            best = Some((depth, Spot { key, value: node.range, verbatim, scalar, exact }));
            return !exact;
        }
        true
    });
    best.map(|(_, spot)| spot)
}

/// What begins at some byte of a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Here {
    /// The path of the value; of a key: the path of its map.
    pub path: String,
    /// "a string", "a list", "a map", "an alias".
    pub what: &'static str,
    /// Whether it is a key.
    pub is_key: bool,
}

/// What begins at `offset`.
pub(super) fn here(text: &str, offset: usize) -> Option<Here> {
    let mut found = None;
    walk(text, |node, frames| {
        if node.range.start == offset {
            let frames = if node.is_key { &frames[..frames.len().saturating_sub(1)] } else { frames };
            found = Some(Here { path: path_of(frames), what: node.what, is_key: node.is_key });
        }
        node.range.start < offset
    });
    found
}

/// The map that begins, or has a key, at `offset`: its path, and the key that leads to it.
pub(super) fn map_at(text: &str, offset: usize) -> Option<(String, Option<Range<usize>>)> {
    let mut found = None;
    walk(text, |node, frames| {
        if node.range.start == offset {
            let around = if node.is_key { &frames[..frames.len().saturating_sub(1)] } else { frames };
            let key = around.last().and_then(|frame| frame.key.as_ref()).map(|(_, range)| range.clone());
            found = Some((path_of(around), key));
        }
        // A map may begin where its first key does, so this offset is read to its end.
        node.range.start <= offset
    });
    found
}

/// Where the key that stands at `offset` stands first in its map, when that is before.
pub(super) fn earlier_key(text: &str, offset: usize) -> Option<Range<usize>> {
    let mut second = None;
    walk(text, |node, frames| {
        if node.is_key && node.range.start == offset {
            second = frames.last().and_then(|frame| Some((frame.ordinal, frame.key.as_ref()?.0.clone())));
        }
        node.range.start <= offset
    });
    let (ordinal, name) = second?;
    let mut first = None;
    walk(text, |node, frames| {
        let same = |frame: &Frame| {
            frame.ordinal == ordinal && frame.key.as_ref().is_some_and(|(key, _)| *key == name)
        };
        if node.is_key && frames.last().is_some_and(same) {
            first = Some(node.range);
        }
        first.is_none()
    });
    first.filter(|range| range.start < offset)
}

/// A list or map that is being read.
struct Frame {
    map: bool,
    /// In a map: the key whose value comes or is being read.
    key: Option<(String, Range<usize>)>,
    /// In a list: the index of the item that is being read.
    index: usize,
    /// In a map: whether what comes next is a value.
    value_next: bool,
    /// Which list or map of the document it is, counted from its begin.
    ordinal: usize,
}

impl Frame {
    fn is_at(&self, segment: &str, node: &Node<'_>) -> bool {
        if self.map {
            return self.key.as_ref().is_some_and(|(key, _)| key == segment);
        }
        segment.parse() == Ok(self.index) || node.scalar.as_ref().is_some_and(|(value, _)| value == segment)
    }
}

/// A key or a value.
struct Node<'a> {
    is_key: bool,
    range: Range<usize>,
    scalar: Option<(Cow<'a, str>, ScalarStyle)>,
    what: &'static str,
}

impl Node<'_> {
    fn verbatim(&self, text: &str) -> Option<usize> {
        let (value, style) = self.scalar.as_ref()?;
        let start = match style {
            ScalarStyle::Plain => self.range.start,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => self.range.start + 1,
            _ => return None,
        };
        text.get(start..)?.starts_with(&**value).then_some(start)
    }
}

/// Calls `visit` for each key and value with the lists and maps around it, until it says `false`.
fn walk<'a>(text: &'a str, mut visit: impl FnMut(Node<'a>, &[Frame]) -> bool) {
    let mut frames: Vec<Frame> = Vec::new();
    let mut ordinal = 0;
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { return };
        let range = span.byte_range().unwrap_or(0..0);
        let (scalar, what, map) = match event {
            Event::Scalar(value, style, ..) => (Some((value, style)), "a string", None),
            Event::Alias(_) => (None, "an alias", None),
            Event::SequenceStart(..) => (None, "a list", Some(false)),
            Event::MappingStart(..) => (None, "a map", Some(true)),
            Event::SequenceEnd | Event::MappingEnd => {
                frames.pop();
                if let Some(frame) = frames.last_mut() {
                    frame.after_value();
                }
                continue;
            }
            _ => continue,
        };
        let is_key = frames.last_mut().is_some_and(|frame| frame.before(scalar.as_ref(), &range));
        if !visit(Node { is_key, range, scalar, what }, &frames) {
            return;
        }
        match map {
            Some(map) => {
                ordinal += 1;
                frames.push(Frame { map, key: None, index: 0, value_next: false, ordinal });
            }
            None => {
                if let Some(frame) = frames.last_mut() {
                    frame.after_value();
                }
            }
        }
    }
}

impl Frame {
    /// Takes note of a node that comes directly in it; whether it is a key.
    fn before(&mut self, scalar: Option<&(Cow<'_, str>, ScalarStyle)>, range: &Range<usize>) -> bool {
        if !self.map || self.value_next {
            return false;
        }
        let name = scalar.map_or_else(String::new, |(value, _)| value.to_string());
        self.key = Some((name, range.clone()));
        true
    }

    /// A key or a value has been read.
    fn after_value(&mut self) {
        if self.map {
            self.value_next = !self.value_next;
        } else {
            self.index += 1;
        }
    }
}

/// `spec.pinned[2]` as `spec`, `pinned`, `2`.
fn segments(path: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (segment, after) = match rest.strip_prefix('[') {
            Some(entry) => entry.split_once(']').unwrap_or((entry, "")),
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        segments.push(segment);
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    segments
}

fn path_of(frames: &[Frame]) -> String {
    let mut path = String::new();
    for frame in frames {
        match &frame.key {
            _ if !frame.map => path = format!("{path}[{}]", frame.index),
            Some((key, _)) if path.is_empty() => path.clone_from(key),
            Some((key, _)) if key.contains(['.', '[']) => path = format!("{path}[{key}]"),
            Some((key, _)) => path = format!("{path}.{key}"),
            None => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "metadata:\n  name: web\n  labels: {aegis.dev/team: \"a b\"}\nspec:\n  selector: 'tags=a'\n  pinned:\n  - n-1\n  - {x: 1, y: [2, 3]}\n  - prod\n  text: |\n    many\n  name: web\n";

    fn show(path: &str) -> Option<(&'static str, bool)> {
        find(TEXT, path).map(|spot| (&TEXT[spot.range()], spot.exact))
    }

    #[test]
    fn a_path_leads_to_its_value_or_as_near_as_there_is_something() {
        assert_eq!(show("metadata.name"), Some(("web", true)));
        assert_eq!(show("metadata.labels[aegis.dev/team]"), Some(("\"a b\"", true)));
        assert_eq!(show("spec.selector"), Some(("'tags=a'", true)));
        assert_eq!(show("spec.pinned"), Some(("pinned", true)));
        assert_eq!(show("spec.pinned[0]"), Some(("n-1", true)));
        assert_eq!(show("spec.pinned[1].y[1]"), Some(("3", true)));
        assert_eq!(show("spec.pinned[prod]"), Some(("prod", true)));
        assert_eq!(show("spec.pinned[7]"), Some(("pinned", false)));
        assert_eq!(show("spec.drain"), Some(("spec", false)));
        assert!(!find(TEXT, "nowhere").unwrap().exact);
        assert_eq!(find("a: [", "b"), find("a: [", "c"));
        assert_eq!(find("", "a"), None);
    }

    #[test]
    fn a_scalar_on_one_line_may_be_pointed_into() {
        let into = |path: &str| find(TEXT, path).unwrap().verbatim.map(|at| &TEXT[at..at + 3]);
        assert_eq!(into("spec.selector"), Some("tag"));
        assert_eq!(into("spec.pinned[0]"), Some("n-1"));
        assert_eq!(into("spec.text"), None);
        assert_eq!(find("a: \"x\\ty\"", "a").unwrap().verbatim, None);
    }

    #[test]
    fn what_stands_at_an_offset() {
        let offset = |text: &str| TEXT.find(text).unwrap();
        let stands = |offset| here(TEXT, offset).map(|here| (here.path, here.what, here.is_key));
        assert_eq!(stands(offset("3]")), Some(("spec.pinned[1].y[1]".into(), "a string", false)));
        assert_eq!(stands(offset("{aegis")), Some(("metadata.labels".into(), "a map", false)));
        assert_eq!(
            stands(offset("\"a b")),
            Some(("metadata.labels[aegis.dev/team]".into(), "a string", false))
        );
        assert_eq!(stands(offset("selector")), Some(("spec".into(), "a map", false)));
        assert_eq!(stands(offset("pinned")), Some(("spec".into(), "a string", true)));
        assert_eq!(stands(3), None);
        let map =
            |text: &str| map_at(TEXT, offset(text)).map(|(path, key)| (path, key.map(|key| &TEXT[key])));
        assert_eq!(map("name"), Some(("metadata".into(), Some("metadata"))));
        assert_eq!(map("labels"), Some(("metadata".into(), Some("metadata"))));
        assert_eq!(map("{x"), Some(("spec.pinned[1]".into(), None)));
        assert_eq!(map("spec"), Some((String::new(), None)));
    }

    #[test]
    fn the_first_of_two_keys() {
        let text = "a: {k: 1}\nb:\n  k: 1\n  c: {k: 2}\n  k: 3\n";
        assert_eq!(earlier_key(text, text.rfind('k').unwrap()), Some(15..16));
        assert_eq!(earlier_key(text, 15), None);
    }
}
