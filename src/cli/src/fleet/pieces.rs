//! What is to be written where, in order.

use crate::terminal::Stream;

/// Bytes for stdout and stderr, in the order in which they are to be seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pieces(Vec<(Stream, Vec<u8>)>);

impl Pieces {
    /// Adds bytes.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
        match self.0.last_mut() {
            _ if bytes.is_empty() => {}
            Some((last, held)) if *last == stream => held.extend_from_slice(bytes),
            _ => self.0.push((stream, bytes.to_vec())),
        }
    }
    /// Adds a message.
    pub fn say(&mut self, line: &str) {
        self.push(Stream::Stderr, line.as_bytes());
        self.push(Stream::Stderr, b"\n");
    }
    /// Takes all of them out.
    pub fn take(&mut self) -> Vec<(Stream, Vec<u8>)> {
        std::mem::take(&mut self.0)
    }
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// What goes to one stream, as text.
    #[cfg(test)]
    pub fn text(&self, stream: Stream) -> String {
        let of = self.0.iter().filter(|(to, _)| *to == stream);
        of.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect()
    }
}
