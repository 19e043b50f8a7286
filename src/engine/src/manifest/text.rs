//! From a file's bytes to its text: what can be said to be wrong before anything is parsed.

use std::{ops::Range, sync::Arc};

use aegis_core::diagnostic::{Diagnostic, Place};

/// The text of a file called `name`, or what keeps it from being one: not UTF-8, or NUL bytes in it.
pub(super) fn check(name: &Arc<str>, bytes: Vec<u8>) -> Result<String, Box<Diagnostic>> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let message = format!("'{name}' is UTF-16, not UTF-8");
        let help = format!("convert it: iconv -f UTF-16 -t UTF-8 {name}");
        return Err(Diagnostic::error(message).help(help).into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let message = format!("not UTF-8: byte 0x{:02x}", bytes.get(at).copied().unwrap_or_default());
        Box::new(Diagnostic::error(message).at(place(name, bytes, at..at + 1)).help("save the file as UTF-8"))
    })?;
    match text.find('\0') {
        Some(at) => {
            let diagnostic = Diagnostic::error("NUL byte: this is no text file");
            Err(diagnostic.at(place(name, text.as_bytes(), at..at + 1)).into())
        }
        None => Ok(text),
    }
}

/// The place of `span` in bytes of which only the line has to be shown.
fn place(name: &Arc<str>, bytes: &[u8], span: Range<usize>) -> Place {
    let (before, after) = bytes.split_at(span.start);
    let line = before.split(|&byte| byte == b'\n').count();
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    // A line is clipped around the spot anyway; what is shown behind it needn't be all of it.
    let rest = &after[..after.len().min(4 * Place::WIDTH)];
    let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    let shown = String::from_utf8_lossy(&bytes[start..span.start + end]);
    Place::in_line(Arc::clone(name), line, column, span.len(), &shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_named_where_it_begins_not_to_be() {
        let check = |bytes: &[u8]| check(&"a.yaml".into(), bytes.to_vec());
        assert_eq!(check("ä: 1\n".as_bytes()).unwrap(), "ä: 1\n");
        let error = check(
            "ä: 1\nbö: x".as_bytes().iter().chain(&[0xff, b'\n']).copied().collect::<Vec<_>>().as_slice(),
        );
        assert_eq!(error.unwrap_err().to_string(), "a.yaml:2:6: error: not UTF-8: byte 0xff");
        assert_eq!(check(b"\xff\xfea\0").unwrap_err().to_string(), "error: 'a.yaml' is UTF-16, not UTF-8");
        assert_eq!(
            check(b"a\nb\0c\n").unwrap_err().to_string(),
            "a.yaml:2:2: error: NUL byte: this is no text file"
        );
    }
}
