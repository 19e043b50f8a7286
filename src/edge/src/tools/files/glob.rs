//! Patterns of paths: `*`, `?` and `[…]` within a name, `**` across directories, `{a,b}` for either.

use regex::bytes::{Regex, RegexBuilder};

/// The most memory that a compiled pattern may take, in bytes.
pub(super) const LARGEST_PATTERN: usize = 1 << 20;

/// Any byte of a name: a name needn't be UTF-8.
const ONE: &str = r"(?-u:[^/])";
/// One character of a name, or a byte that is none.
const CHARACTER: &str = r"(?:[^/]|(?-u:[\x80-\xff]))";

/// The pattern, for a path below the directory that is looked in.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let text = translate(pattern).ok_or_else(|| {
        format!(
            "the pattern '{pattern}' has a bracket or a brace that isn't closed; close it, or write it as [[]"
        )
    })?;
    RegexBuilder::new(&text).dot_matches_new_line(true).size_limit(LARGEST_PATTERN).build().map_err(|_| {
        format!("the pattern '{pattern}' isn't valid, or too long; write it with *, ?, [a-z], ** and {{a,b}}")
    })
}

fn translate(pattern: &str) -> Option<String> {
    let mut text = "^".to_owned();
    let mut rest = pattern;
    let mut braces = 0_u32;
    while let Some(first) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("**/") {
            text.push_str("(?:(?-u:.)*/)?");
            rest = behind;
            continue;
        }
        if let Some(behind) = rest.strip_prefix("**") {
            text.push_str("(?-u:.)*");
            rest = behind;
            continue;
        }
        rest = &rest[first.len_utf8()..];
        match first {
            '*' => {
                text.push_str(ONE);
                text.push('*');
            }
            '?' => text.push_str(CHARACTER),
            '[' => rest = class(rest, &mut text)?,
            '{' => {
                braces += 1;
                text.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                text.push(')');
            }
            ',' if braces > 0 => text.push('|'),
            other => text.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    text.push('$');
    (braces == 0).then_some(text)
}

/// `a-z]` or `!a-z]`. Gives what is behind it.
fn class<'a>(rest: &'a str, text: &mut String) -> Option<&'a str> {
    let (negated, rest) = match rest.strip_prefix(['!', '^']) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    // A bracket that comes first is one of the characters.
    let skip = rest.chars().next()?.len_utf8();
    let end = skip + rest.get(skip..)?.find(']')?;
    let escaped = rest[..end].replace('\\', r"\\").replace('[', r"\[").replace(']', r"\]");
    let escaped = escaped.replace('&', r"\&").replace('~', r"\~").replace('^', r"\^");
    text.push_str(if negated { "[^/" } else { "[" });
    text.push_str(&escaped);
    text.push(']');
    Some(&rest[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_paths() {
        for (pattern, yes, no) in [
            ("*.log", &["a.log", ".log"][..], &["a.log.1", "b/a.log"][..]),
            ("**/*.log", &["a.log", "b/a.log", "b/c/a.log"], &["a.txt"]),
            ("b/**", &["b/a", "b/c/d"], &["a/b", "b"]),
            ("a?c", &["abc", "aüc"], &["ac", "a/c"]),
            ("[a-c]x", &["ax", "cx"], &["dx"]),
            ("[!a-c]x", &["dx"], &["ax", "/x"]),
            ("[]]x", &["]x"], &["x"]),
            ("{a,b*}.c", &["a.c", "bcd.c"], &["c.c"]),
            ("a.b+(c)", &["a.b+(c)"], &["aXb+(c)", "a.bb(c)"]),
            ("a,b", &["a,b"], &["a"]),
        ] {
            let regex = compile(pattern).unwrap();
            for path in yes {
                assert!(regex.is_match(path.as_bytes()), "{pattern} {path}");
            }
            for path in no {
                assert!(!regex.is_match(path.as_bytes()), "{pattern} {path}");
            }
        }
        assert!(compile("*").unwrap().is_match(b"a\xff\nb"));
        for broken in ["[a", "{a", "[", "[z-a]"] {
            assert!(compile(broken).is_err(), "{broken}");
        }
    }
}
