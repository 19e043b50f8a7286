//! A document's kind and name, read off its lines without a parser. A hint: the decoder checks it.

/// The value of the line `kind: …` that isn't indented, when it is a simple one.
pub(super) fn kind(document: &str) -> Option<&str> {
    document.lines().find_map(|line| line.strip_prefix("kind:")).and_then(simple_value)
}

/// The value of the line `name: …` under `metadata:`, when both are simple ones.
pub(super) fn name(document: &str) -> Option<&str> {
    let mut lines = document.lines().skip_while(|line| {
        line.strip_prefix("metadata:").is_none_or(|rest| !rest.trim_ascii().is_empty() && !is_comment(rest))
    });
    lines.next()?;
    let mut indentation = None;
    for line in lines {
        let rest = line.trim_start_matches(' ');
        if rest.trim_ascii().is_empty() || rest.starts_with('#') {
            continue;
        }
        let depth = line.len() - rest.len();
        if depth == 0 {
            return None;
        }
        if depth == *indentation.get_or_insert(depth)
            && let Some(value) = rest.strip_prefix("name:")
        {
            return simple_value(value);
        }
    }
    None
}

/// What stands behind a colon: plain or in quotes, without escapes, anchors, tags or flow.
fn simple_value(rest: &str) -> Option<&str> {
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let rest = rest.trim_ascii();
    for quote in ['"', '\''] {
        if let Some(quoted) = rest.strip_prefix(quote) {
            let (value, after) = quoted.split_once(quote)?;
            let after_is_nothing = after.is_empty() || is_comment(after);
            return (after_is_nothing && !value.contains('\\')).then_some(value);
        }
    }
    let value = rest.find(" #").map_or(rest, |at| rest[..at].trim_ascii_end());
    let simple = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    (simple && !value.is_empty()).then_some(value)
}

fn is_comment(rest: &str) -> bool {
    rest.starts_with([' ', '\t']) && rest.trim_ascii_start().starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms() {
        let document = "apiVersion: aegis.dev/v1\nkind: EdgeGroup # a group\nmetadata: # of it\n  labels:\n    name: no\n\n  name: \"web\"\nspec: {}\n";
        assert_eq!((kind(document), name(document)), (Some("EdgeGroup"), Some("web")));
        assert_eq!(kind("kind: 'EdgeNode'\r\n"), Some("EdgeNode"));
    }

    #[test]
    fn what_is_not_simple_is_left_to_the_parser() {
        for text in [
            "kind:\n  EdgeNode",
            "kind: &a x",
            "{kind: x}",
            " kind: x",
            "kind:x",
            "kind: \"a\\x41\"",
            "kind: 'a' b",
        ] {
            assert_eq!(kind(text), None, "{text}");
        }
        for text in
            ["metadata: {name: x}", "metadata:\nname: x", "metadata:\n  labels:\n    name: x\nspec: {}"]
        {
            assert_eq!(name(text), None, "{text}");
        }
    }
}
