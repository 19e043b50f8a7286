//! Bytes of a process into records: one a line; a line that is too long, or that waits for its rest, in pieces.

use aegis_wire::runtime::{LogRecord, Source, StreamName};
use jiff::Timestamp;

/// The most bytes of one record.
pub const LONGEST: usize = 64 * 1024;

/// Cuts one stream into records.
#[derive(Debug)]
pub struct Splitter {
    stream: StreamName,
    source: Source,
    exec_id: Option<String>,
    rest: Vec<u8>,
}

impl Splitter {
    /// For one stream of one process.
    pub const fn new(stream: StreamName, source: Source, exec_id: Option<String>) -> Self {
        Self { stream, source, exec_id, rest: Vec::new() }
    }

    /// Takes bytes and gives the records that they complete.
    pub fn push(&mut self, bytes: &[u8], now: Timestamp) -> Vec<LogRecord> {
        let mut records = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            let ends = self.rest.pop_if(|byte| *byte == b'\n').is_some();
            while self.rest.len() > LONGEST {
                let length = whole(&self.rest[..LONGEST]);
                let cut: Vec<u8> = self.rest.drain(..length).collect();
                records.push(self.record(now, &cut, true));
            }
            if ends {
                let line = std::mem::take(&mut self.rest);
                records.push(self.record(now, &line, false));
            }
        }
        records
    }

    /// Whether bytes wait for their line's end.
    pub const fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Gives what waits, such as a prompt; but for a character that isn't whole yet.
    pub fn flush(&mut self, now: Timestamp) -> Option<LogRecord> {
        let cut: Vec<u8> = self.rest.drain(..whole(&self.rest)).collect();
        (!cut.is_empty()).then(|| self.record(now, &cut, true))
    }

    /// Gives all that waits: the stream has ended.
    pub fn finish(mut self, now: Timestamp) -> Option<LogRecord> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| self.record(now, &rest, true))
    }

    fn record(&self, now: Timestamp, bytes: &[u8], partial: bool) -> LogRecord {
        let mut record = LogRecord::new(now, self.stream, self.source, bytes, partial);
        record.exec_id.clone_from(&self.exec_id);
        record
    }
}

/// How much of it can be cut off without cutting a character, where it is text.
fn whole(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => error.valid_up_to(),
        _ => bytes.len(),
    }
}
