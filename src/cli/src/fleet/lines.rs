//! Output that comes in pieces, as whole lines with the host's name before each.

use super::visible;

/// A line is held back until its end comes, but not more of it than this: a host may print one endless line.
const LONGEST_HELD: usize = 64 * 1024;

/// One stream of one host.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
}

/// How a stream is written.
#[derive(Debug, Clone, Copy)]
pub struct Dress<'a> {
    /// What stands before each line; none: output goes through as it comes.
    pub prefix: Option<&'a str>,
    /// Whether a terminal shows it, which must obey nothing of it; else the bytes stay as they are.
    pub on_terminal: bool,
}

impl Lines {
    /// Takes a piece and appends what can be shown of it.
    pub fn push(&mut self, data: &[u8], dress: Dress<'_>, shown: &mut Vec<u8>) {
        self.held.extend_from_slice(data);
        if dress.prefix.is_none() {
            let whole = if dress.on_terminal { whole_characters(&self.held) } else { self.held.len() };
            write(&self.held[..whole], dress, shown);
            self.held.drain(..whole);
            return;
        }
        let mut begin = 0;
        while let Some(length) = self.held[begin..].iter().position(|byte| *byte == b'\n') {
            line(&self.held[begin..begin + length], dress, shown);
            begin += length + 1;
        }
        self.held.drain(..begin);
        if self.held.len() >= LONGEST_HELD {
            let whole = whole_characters(&self.held);
            line(&self.held[..whole], dress, shown);
            self.held.drain(..whole);
        }
    }

    /// Appends what was held back: nothing more comes.
    pub fn end(&mut self, dress: Dress<'_>, shown: &mut Vec<u8>) {
        if !self.held.is_empty() {
            match dress.prefix {
                Some(_) => line(&self.held, dress, shown),
                None => write(&self.held, dress, shown),
            }
            self.held.clear();
        }
    }
}

fn line(bytes: &[u8], dress: Dress<'_>, shown: &mut Vec<u8>) {
    shown.extend_from_slice(dress.prefix.unwrap_or_default().as_bytes());
    // Some programs end lines with CR LF; a terminal would only show the CR.
    let bytes = if dress.on_terminal { bytes.strip_suffix(b"\r").unwrap_or(bytes) } else { bytes };
    write(bytes, dress, shown);
    shown.push(b'\n');
}

fn write(bytes: &[u8], dress: Dress<'_>, shown: &mut Vec<u8>) {
    if dress.on_terminal {
        shown.extend_from_slice(visible(&String::from_utf8_lossy(bytes)).as_bytes());
    } else {
        shown.extend_from_slice(bytes);
    }
}

/// How many bytes there are up to a character of which only a part has come.
pub fn whole_characters(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(3);
    let begins = |byte: u8| byte & 0b1100_0000 == 0b1100_0000;
    match bytes[tail..].iter().rposition(|byte| begins(*byte)) {
        Some(at) => match std::str::from_utf8(&bytes[tail + at..]) {
            Err(error) if error.error_len().is_none() => tail + at,
            _ => bytes.len(),
        },
        None => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: Dress<'static> = Dress { prefix: Some("web-1 | "), on_terminal: false };
    const TERMINAL: Dress<'static> = Dress { prefix: Some("web-1 | "), on_terminal: true };

    fn all(pieces: &[&[u8]], dress: Dress<'_>) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut shown: Vec<Vec<u8>> = Vec::new();
        for piece in pieces {
            let mut now = Vec::new();
            lines.push(piece, dress, &mut now);
            shown.push(now);
        }
        let mut now = Vec::new();
        lines.end(dress, &mut now);
        shown.push(now);
        shown
    }

    #[test]
    fn a_line_waits_for_its_end() {
        assert_eq!(
            all(&[b"one\ntw", b"o\n\nthree"], PIPE),
            [b"web-1 | one\n".to_vec(), b"web-1 | two\nweb-1 | \n".to_vec(), b"web-1 | three\n".to_vec()]
        );
    }

    #[test]
    fn a_pipe_gets_every_byte_and_a_terminal_none_that_it_would_obey() {
        assert_eq!(all(&[b"\xff\x1b[31m\0\r\n"], PIPE)[0], b"web-1 | \xff\x1b[31m\0\r\n");
        assert_eq!(all(&[b"\xff\x1b[31m\0\r\n"], TERMINAL)[0], "web-1 | \u{fffd}^[[31m^@\n".as_bytes());
    }

    #[test]
    fn an_endless_line_is_shown_in_bounded_pieces() {
        let mut lines = Lines::default();
        let mut shown = Vec::new();
        let piece = vec![b'x'; 32 * 1024];
        for _ in 0..100 {
            lines.push(&piece, PIPE, &mut shown);
            assert!(lines.held.len() < LONGEST_HELD);
        }
        assert_eq!(String::from_utf8(shown).unwrap().lines().count(), 50);
    }

    #[test]
    fn without_a_name_output_goes_through_at_once_and_characters_stay_whole() {
        let raw = Dress { prefix: None, on_terminal: false };
        assert_eq!(all(&[b"10%", b"20%"], raw), [b"10%".to_vec(), b"20%".to_vec(), vec![]]);
        let shown = Dress { prefix: None, on_terminal: true };
        assert_eq!(all(&[b"a\xc3", b"\xa4b"], shown)[..2], [b"a".to_vec(), "äb".as_bytes().to_vec()]);
        assert_eq!(all(&[b"a\xf0\x9f\x98"], shown), [b"a".to_vec(), "\u{fffd}".as_bytes().to_vec()]);
    }

    #[test]
    fn a_part_of_a_character_is_told_from_bytes_that_are_none() {
        for (bytes, whole) in [
            (b"".as_slice(), 0),
            (b"abc", 3),
            (b"abc\xc3", 3),
            (b"\xe2\x82", 0),
            (b"\xf0\x9f\x98", 0),
            (b"\xf0\x9f\x98\x80", 4),
            (b"a\xff\xff", 3),
            (b"\x80\x80\x80\x80", 4),
        ] {
            assert_eq!(whole_characters(bytes), whole, "{bytes:?}");
        }
    }
}
