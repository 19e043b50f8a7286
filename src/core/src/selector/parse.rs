//! From text to target: one pass, and an error that points at the first thing that is wrong.

use std::{ops::Range, str::FromStr};

use super::{
    Fragment, LabelTest, MAX_FRAGMENTS, MAX_LENGTH, ParseError, Selector, TagTest, Target, canonical_arch,
    canonical_os, error::quoted,
};
use crate::{
    id::{InvalidName, ObjectName},
    nearest::nearest,
};

const KEYS: [&str; 5] = ["os", "arch", "tools", "labels", "tags"];
const LABEL_FUNCTIONS: [&str; 2] = ["Exists", "In"];
const TAG_FUNCTIONS: [&str; 3] = ["AnyOf", "AllOf", "NoneOf"];
const FORMS: &str = "write all, @NODE, group:NAME, or conditions such as os=linux tags=prod";
const LETTERS: &str = "a value is made of A-Z, a-z, 0-9 and . _ : / @ + -";

impl FromStr for Target {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let target = Parser::new(text)?.target()?;
        // The canonical form may be a little longer (`tags=a,b`, `arch=arm64`), and it must be readable again.
        if target.to_string().len() > MAX_LENGTH { Err(too_long(0..text.len())) } else { Ok(target) }
    }
}

impl FromStr for Selector {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.parse()? {
            Target::Selector(selector) => Ok(selector),
            Target::Node(_) | Target::Group(_) | Target::All => {
                let start = text.len() - text.trim_ascii_start().len();
                Err(ParseError::new(start..text.trim_ascii_end().len(), "only conditions can stand here")
                    .help("write conditions such as os=linux tags=prod"))
            }
        }
    }
}

fn too_long(span: Range<usize>) -> ParseError {
    ParseError::new(span, format!("the expression is longer than {MAX_LENGTH} bytes"))
        .help("leave out a part of it")
}

/// A part of the input together with where it stands.
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Word<'a> {
    fn span(self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }
    /// The word in two, without the separator.
    fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let at = self.text.find(separator)?;
        Some((self.to(at), self.from(at + separator.len_utf8())))
    }
    fn to(self, end: usize) -> Self {
        Word { text: &self.text[..end], at: self.at }
    }
    fn from(self, start: usize) -> Self {
        Word { text: &self.text[start..], at: self.at + start }
    }
    fn trimmed(self) -> Self {
        let text = self.text.trim_ascii_start();
        Word { text: text.trim_ascii_end(), at: self.at + (self.text.len() - text.len()) }
    }
    fn parts(self) -> impl Iterator<Item = Word<'a>> {
        let mut at = self.at;
        self.text.split(',').map(move |text| {
            let word = Word { text, at };
            at += text.len() + 1;
            word.trimmed()
        })
    }
}

struct Parser<'a> {
    words: Vec<Word<'a>>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, ParseError> {
        if text.len() > MAX_LENGTH {
            return Err(too_long(text.floor_char_boundary(MAX_LENGTH)..text.len()));
        }
        let words = words(text)?;
        match words.get(MAX_FRAGMENTS) {
            _ if words.is_empty() => {
                Err(ParseError::new(0..text.len(), "the expression is empty").help(FORMS))
            }
            Some(word) => Err(ParseError::new(word.span(), format!("more than {MAX_FRAGMENTS} conditions"))
                .help("leave out a part of them")),
            None => Ok(Self { words }),
        }
    }

    fn target(self) -> Result<Target, ParseError> {
        if let [word] = self.words[..]
            && let Some(target) = alone(word)
        {
            return target;
        }
        let mut fragments = Vec::with_capacity(self.words.len());
        let (mut os, mut arch) = (false, false);
        for word in self.words {
            if alone(word).is_some() {
                return Err(ParseError::new(word.span(), format!("{} must stand alone", quoted(word.text)))
                    .help("write only this, or only conditions such as os=linux tags=prod"));
            }
            let fragment = fragment(word)?;
            let again = match fragment {
                Fragment::Os(_) => std::mem::replace(&mut os, true),
                Fragment::Arch(_) => std::mem::replace(&mut arch, true),
                Fragment::Tools(_) | Fragment::Label(_) | Fragment::Tags(_) => false,
            };
            if again {
                let key = if matches!(fragment, Fragment::Os(_)) { "os" } else { "arch" };
                return Err(ParseError::new(word.span(), format!("{key} is given twice"))
                    .help(format!("a host has one {key}; leave one of the two out")));
            }
            fragments.push(fragment);
        }
        Ok(Target::Selector(Selector { fragments }))
    }
}

/// Cuts at white space that isn't in parentheses, and checks that these are balanced.
fn words(text: &str) -> Result<Vec<Word<'_>>, ParseError> {
    let mut words = Vec::new();
    let (mut start, mut open) = (None, None);
    for (at, letter) in text.char_indices() {
        match (letter, open) {
            ('(', Some(_)) => return Err(ParseError::new(at..at + 1, "functions can't be nested")),
            ('(', None) => open = Some(at),
            (')', Some(_)) => open = None,
            (')', None) => return Err(ParseError::new(at..at + 1, "this ')' has no '('")),
            (_, None) if letter.is_ascii_whitespace() => {
                if let Some(start) = start.take() {
                    words.push(Word { text: &text[start..at], at: start });
                }
                continue;
            }
            _ => {}
        }
        start.get_or_insert(at);
    }
    if let Some(at) = open {
        return Err(ParseError::new(at..at + 1, "this '(' is never closed").help("add a ')'"));
    }
    if let Some(start) = start {
        words.push(Word { text: &text[start..], at: start });
    }
    Ok(words)
}

/// What can't be combined with anything: a node, a group, or all; none, when the word is something else.
fn alone(word: Word<'_>) -> Option<Result<Target, ParseError>> {
    if word.text == "all" {
        return Some(Ok(Target::All));
    }
    if word.text.starts_with('@') {
        return Some(name(word.from(1), "a node").map(Target::Node));
    }
    word.text.starts_with("group:").then(|| name(word.from("group:".len()), "a group").map(Target::Group))
}

fn name(word: Word<'_>, of: &str) -> Result<String, ParseError> {
    if word.text.is_empty() {
        return Err(ParseError::new(word.span(), format!("the name of {of} is missing")));
    }
    match ObjectName::new(word.text) {
        Ok(name) => Ok(name.into()),
        Err(InvalidName { rule, .. }) => {
            Err(ParseError::new(word.span(), format!("{} can't be the name of {of}", quoted(word.text)))
                .help(rule))
        }
    }
}

fn fragment(word: Word<'_>) -> Result<Fragment, ParseError> {
    let Some((key, value)) = word.split_once('=') else {
        return Err(no_fragment(word));
    };
    match key.text {
        "os" => one(value, key).map(|os| Fragment::Os(canonical_os(&os))),
        "arch" => one(value, key).map(|arch| Fragment::Arch(canonical_arch(&arch))),
        "tools" => many(value, "tools").map(Fragment::Tools),
        "labels" => label(value).map(Fragment::Label),
        "tags" => tags(value).map(Fragment::Tags),
        other => {
            let help = match nearest(other, KEYS) {
                _ if other == "group" => {
                    format!("did you mean {}?", quoted(&format!("group:{}", value.text)))
                }
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("the keys are {}", KEYS.join(", ")),
            };
            Err(ParseError::new(key.span(), format!("unknown key {}", quoted(other))).help(help))
        }
    }
}

/// The word has no `=`: most likely a node without its `@`, or `all` or a key misspelt.
fn no_fragment(word: Word<'_>) -> ParseError {
    let error = ParseError::new(word.span(), format!("{} is no condition", quoted(word.text)));
    if KEYS.contains(&word.text) {
        return error.help(format!("write {}=VALUE", word.text));
    }
    if word.text.starts_with("n-") && ObjectName::new(word.text).is_ok() {
        return error.help(format!("did you mean '@{}'?", word.text));
    }
    match nearest(word.text, ["all"]) {
        Some(all) => error.help(format!("did you mean '{all}'?")),
        None => error.help(FORMS),
    }
}

/// One value.
fn one(word: Word<'_>, key: Word<'_>) -> Result<String, ParseError> {
    if let Some(at) = word.text.find(',') {
        return Err(ParseError::new(word.at + at..word.span().end, format!("{} takes one value", key.text)));
    }
    value(word, key.text)
}

/// A list of values, none of them empty.
fn many(word: Word<'_>, of: &str) -> Result<Vec<String>, ParseError> {
    word.parts()
        .map(|part| {
            value(part, of).map_err(|error| match part.text {
                "" if !word.text.is_empty() => error.help("separate values by one ',' without spaces"),
                _ => error,
            })
        })
        .collect()
}

fn value(word: Word<'_>, of: &str) -> Result<String, ParseError> {
    if word.text.is_empty() {
        return Err(ParseError::new(word.span(), format!("{of} needs a value here")));
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._:/@+-".contains(c);
    match word.text.char_indices().find(|(_, c)| !is_allowed(*c)) {
        None => Ok(word.text.to_owned()),
        Some((at, letter)) => {
            let span = word.at + at..word.at + at + letter.len_utf8();
            let letter = quoted(letter.encode_utf8(&mut [0; 4]));
            Err(ParseError::new(span, format!("{letter} can't be in a value")).help(LETTERS))
        }
    }
}

/// A function's name and its arguments, when the word is a call. Parentheses are known to be balanced.
fn call<'a>(
    word: Word<'a>,
    key: &str,
    functions: &'static [&'static str],
) -> Result<Option<(&'static str, Word<'a>)>, ParseError> {
    let known = |name: Word<'_>| functions.iter().copied().find(|f| *f == name.text);
    let Some((name, rest)) = word.split_once('(') else {
        return match known(word) {
            Some(f) => Err(ParseError::new(word.span(), format!("{f} needs arguments"))
                .help(format!("write {key}={f}(…)"))),
            None => Ok(None),
        };
    };
    let Some(function) = known(name) else {
        let help = match nearest(name.text, functions.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("the functions of {key} are {}", functions.join(", ")),
        };
        return Err(
            ParseError::new(name.span(), format!("{key} has no function {}", quoted(name.text))).help(help)
        );
    };
    let end = rest.text.find(')').unwrap_or(rest.text.len());
    let after = rest.from((end + 1).min(rest.text.len()));
    if !after.text.is_empty() {
        return Err(ParseError::new(after.span(), format!("{} can't follow a ')'", quoted(after.text)))
            .help("separate conditions by spaces"));
    }
    let arguments = rest.to(end);
    if arguments.trimmed().text.is_empty() {
        return Err(ParseError::new(name.at..word.span().end, format!("{function} needs arguments")));
    }
    Ok(Some((function, arguments)))
}

fn tags(word: Word<'_>) -> Result<TagTest, ParseError> {
    let (test, values): (fn(Vec<String>) -> TagTest, _) = match call(word, "tags", &TAG_FUNCTIONS)? {
        Some(("AnyOf", values)) => (TagTest::AnyOf, values),
        Some(("NoneOf", values)) => (TagTest::NoneOf, values),
        Some((_, values)) => (TagTest::AllOf, values),
        None => (TagTest::AllOf, word),
    };
    many(values, "tags").map(test)
}

fn label(word: Word<'_>) -> Result<LabelTest, ParseError> {
    match call(word, "labels", &LABEL_FUNCTIONS)? {
        Some(("Exists", argument)) => match argument.text.find(',') {
            Some(at) => Err(ParseError::new(argument.at + at..argument.span().end, "Exists takes one label")
                .help("write one labels=Exists(…) for each")),
            None => value(argument.trimmed(), "Exists").map(LabelTest::Exists),
        },
        Some((_, arguments)) => match arguments.split_once(',') {
            Some((key, values)) => Ok(LabelTest::In(value(key.trimmed(), "In")?, many(values, "In")?)),
            None => Err(ParseError::new(arguments.span(), "In needs a label and at least one value")
                .help("write labels=In(KEY,VALUE,…)")),
        },
        None => equals(word),
    }
}

fn equals(word: Word<'_>) -> Result<LabelTest, ParseError> {
    let Some((key, wanted)) = word.split_once('=') else {
        return Err(ParseError::new(word.span(), "labels needs a key and a value")
            .help("write labels=KEY=VALUE, or labels=Exists(KEY) for any value"));
    };
    if let Some(at) = wanted.text.find(',') {
        return Err(ParseError::new(wanted.at + at..wanted.span().end, "only one label can stand here")
            .help("write one labels=KEY=VALUE for each, or labels=In(KEY,VALUE,…)"));
    }
    Ok(LabelTest::Equals(value(key, "labels")?, value(wanted, "labels")?))
}
