//! Frames: `u32 length (of all that follows) · u8 kind · u32 stream · body`, little-endian.

/// The most bytes that the body of a data frame has.
pub const MAX_DATA: usize = 64 * 1024;
/// The most bytes that the body of a control frame has: environments and command lines are bounded by it.
pub const MAX_CONTROL: usize = 4 * 1024 * 1024;
/// Length, kind and stream.
pub const HEADER: usize = 9;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A message; the stream is 0.
    Control = 0,
    /// Bytes of a stream, or one packet of [`crate::stream::NETWORK`].
    Data = 1,
    /// The receiver of a stream has taken so many bytes (`u32`) more: as many more may be sent.
    Credit = 2,
    /// The sender has no more bytes for this stream.
    End = 3,
    /// The sender has given this stream up, in both directions.
    Reset = 4,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Which stream it belongs to.
    pub stream: u32,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// What can't be a frame. The stream can't go on after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The kind isn't known.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    /// The length is out of bounds.
    #[error("a frame of {length} bytes")]
    Length {
        /// As the header says.
        length: usize,
    },
}

impl Frame {
    /// A frame of a stream.
    pub fn new(kind: Kind, stream: u32, body: impl Into<Vec<u8>>) -> Self {
        Self { kind, stream, body: body.into() }
    }

    /// Its bytes on the wire, appended to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        write(self.kind, self.stream, &self.body, out);
    }
}

/// A frame's bytes on the wire, appended to `out`.
pub fn write(kind: Kind, stream: u32, body: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(body.len() + HEADER - 4).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(&stream.to_le_bytes());
    out.extend_from_slice(body);
}

/// Frames out of bytes as they come.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    taken: usize,
}

impl Decoder {
    /// Takes more bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None`: more bytes are needed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Malformed> {
        let rest = &self.buffer[self.taken..];
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let Some((kind, after)) = after.split_first() else { return Ok(None) };
        let Some((stream, _)) = after.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        let kind = match *kind {
            0 => Kind::Control,
            1 => Kind::Data,
            2 => Kind::Credit,
            3 => Kind::End,
            4 => Kind::Reset,
            other => return Err(Malformed::Kind(other)),
        };
        let most = if kind == Kind::Control { MAX_CONTROL } else { MAX_DATA };
        if length < HEADER - 4 || length - (HEADER - 4) > most {
            return Err(Malformed::Length { length });
        }
        let Some(body) = rest.get(HEADER..length + 4) else { return Ok(None) };
        let frame = Frame { kind, stream: u32::from_le_bytes(*stream), body: body.to_vec() };
        self.taken += length + 4;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn frames_come_whole_however_the_bytes_come() {
        let frames = [
            Frame::new(Kind::Control, 0, b"{}".to_vec()),
            Frame::new(Kind::Data, 7, vec![0xff; MAX_DATA]),
            Frame::new(Kind::End, 7, Vec::new()),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write_to(&mut bytes);
        }
        for size in [1, 5, 9, 4096, bytes.len()] {
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                decoder.push(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    found.push(frame);
                }
            }
            assert_eq!(found, frames, "in pieces of {size}");
        }
    }

    #[test]
    fn what_cannot_be_a_frame_is_refused_before_its_bytes_are_waited_for() {
        let mut decoder = Decoder::default();
        decoder.push(&[5, 0, 0, 0, 9, 0, 0, 0, 0]);
        assert_eq!(decoder.next_frame(), Err(Malformed::Kind(9)));
        let mut decoder = Decoder::default();
        decoder.push(&[0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0]);
        assert!(matches!(decoder.next_frame(), Err(Malformed::Length { .. })));
        let mut decoder = Decoder::default();
        decoder.push(&[0, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert!(matches!(decoder.next_frame(), Err(Malformed::Length { .. })));
    }
}
