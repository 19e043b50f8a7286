//! Output of guests on this program's own streams, byte for byte.

use std::io::{self, ErrorKind, Write};

use aegis_wire::runtime::{LogRecord, StreamName};

use crate::{failure::Failure, fleet::Pieces, terminal::Stream};

/// Whether there is still a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// There is.
    Yes,
    /// Standard output has none any more, as with `| head`.
    ReaderGone,
}

/// Stdout and stderr.
#[derive(Debug, Default)]
pub struct Streams {
    pieces: Pieces,
}

impl Streams {
    /// Takes a record's bytes for the stream that it came from.
    pub fn push(&mut self, record: &LogRecord) {
        let stream = match record.stream {
            StreamName::Stdout => Stream::Stdout,
            StreamName::Stderr => Stream::Stderr,
        };
        self.pieces.push(stream, &record.bytes());
    }
    /// Takes bytes for stdout.
    pub fn push_stdout(&mut self, bytes: &[u8]) {
        self.pieces.push(Stream::Stdout, bytes);
    }

    /// Writes all that was taken. Waits until it is written: who reads slowly makes the guest wait, not this program's
    /// memory grow. On a thread of its own, so that Ctrl-C is heard while nobody reads.
    pub async fn write(&mut self) -> Result<Written, Failure> {
        if self.pieces.is_empty() {
            return Ok(Written::Yes);
        }
        let pieces = self.pieces.take();
        let written = tokio::task::spawn_blocking(move || write(pieces)).await;
        let failed = |error: &dyn std::fmt::Display| Failure::generic(format!("output: {error}"));
        written.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

fn write(pieces: Vec<(Stream, Vec<u8>)>) -> io::Result<Written> {
    for (stream, bytes) in pieces {
        let written = match stream {
            Stream::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&bytes).and_then(|()| stdout.flush())
            }
            Stream::Stderr => io::stderr().lock().write_all(&bytes),
        };
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe && stream == Stream::Stdout => {
                return Ok(Written::ReaderGone);
            }
            // Nobody reads the messages; that is no reason to end.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) => return Err(error),
            Ok(()) => {}
        }
    }
    Ok(Written::Yes)
}
