//! Decompresses on a thread of its own, while the other one parses, hashes and writes.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

const PIECE: usize = 256 * 1024;
/// So many pieces are waiting at most.
const PIECES: usize = 8;

/// Reads `source` on another thread. That ends with the stream, with an error, or when the reader is dropped.
pub fn read_ahead(mut source: Box<dyn Read + Send>) -> io::Result<impl Read> {
    let (send, pieces) = sync_channel::<io::Result<Vec<u8>>>(PIECES);
    thread::Builder::new().name("decompress".to_owned()).spawn(move || {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&mut source).take(PIECE as u64).read_to_end(&mut piece);
            let is_last = !matches!(read, Ok(length) if length > 0);
            // Even with an error, what was read before it comes first.
            let sent = if piece.is_empty() { Ok(()) } else { send.send(Ok(piece)) };
            if let Err(error) = read {
                let _ = send.send(Err(error));
            }
            if is_last || sent.is_err() {
                return;
            }
        }
    })?;
    Ok(Ahead { pieces, piece: Vec::new(), at: 0 })
}

struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.at) = (piece?, 0),
                // The stream's end: the thread sends an error before it ends with one.
                Err(_) => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len() - self.at);
        buffer[..length].copy_from_slice(&self.piece[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
