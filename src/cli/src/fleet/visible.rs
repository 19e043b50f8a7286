//! What hosts print may not steer the operator's terminal.

use std::borrow::Cow;

/// The text with everything that a terminal would obey made visible: `^[` for ESC, as `cat -v` shows it. New lines and
/// tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !is_obeyed(c) => shown.push(c),
            '\x7f' => shown.push_str("^?"),
            '\0'..='\x1f' => {
                shown.push('^');
                shown.push(char::from(b'@' + c as u8));
            }
            c => shown.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

/// The same, but colours stay: `ESC [ … m` changes nothing but how the text after it looks.
pub fn visible_with_colours(text: &str) -> Cow<'_, str> {
    if !text.contains('\x1b') {
        return visible(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        let (before, sequence) = rest.split_at(at);
        shown += &visible(before);
        let parameters =
            sequence[2..].bytes().take_while(|byte| byte.is_ascii_digit() || b";:".contains(byte));
        let end = 2 + parameters.count();
        if sequence.as_bytes().get(end) == Some(&b'm') {
            shown += &sequence[..=end];
            rest = &sequence[end + 1..];
        } else {
            shown += "^[";
            rest = &sequence[1..];
        }
    }
    shown += &visible(rest);
    Cow::Owned(shown)
}

/// The same for a text of several lines that stands behind something: those after the first are indented.
pub fn visible_lines(text: &str, indent: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.trim_end().lines().map(visible).collect();
    lines.join(&format!("\n{indent}"))
}

/// Control characters, and those that turn the direction of what stands beside them.
fn is_obeyed(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && !matches!(c, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_nothing_else_does() {
        for (printed, shown) in [
            ("plain\x1b]0;x\x07", "plain^[]0;x^G"),
            ("\x1b[1;31mred\x1b[0m\n", "\x1b[1;31mred\x1b[0m\n"),
            ("\x1b[2J\x1b[m\x1b[", "^[[2J\x1b[m^[["),
            ("\x1b[31\u{9b}m", "^[[31\\u{9b}m"),
        ] {
            assert_eq!(visible_with_colours(printed), shown);
        }
    }

    #[test]
    fn a_terminal_obeys_nothing_that_a_host_printed() {
        for (printed, shown) in [
            ("plain, ütf-8\t\n", "plain, ütf-8\t\n"),
            ("\x1b]0;owned\x07", "^[]0;owned^G"),
            ("a\rb\0\x7f", "a^Mb^@^?"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("exe.\u{202e}txt", "exe.\\u{202e}txt"),
        ] {
            assert_eq!(visible(printed), shown);
        }
        assert_eq!(visible_lines("one\n\x1btwo\n\n", "  "), "one\n  ^[two");
    }
}
