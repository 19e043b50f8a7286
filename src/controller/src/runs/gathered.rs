//! The output of one command on its way to those who watch. While many pieces wait for them, what comes after is gathered:
//! so small pieces take no more memory than the command's window allows, and no host is cut off for them.

use std::{mem, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;

use super::{flight::Flight, journal::Chunk};

/// What waits to be told, of a command. When it goes, it is told.
#[derive(Debug)]
pub(super) struct Gathered {
    flight: Arc<Flight>,
    /// What it prints, and its messages.
    waiting: [Vec<u8>; 2],
    /// When the last of it came.
    time: Timestamp,
}

impl Gathered {
    pub fn new(flight: Arc<Flight>) -> Self {
        Self { flight, waiting: [Vec::new(), Vec::new()], time: Timestamp::UNIX_EPOCH }
    }

    /// Tells a piece, or gathers it.
    pub fn hear(&mut self, stderr: bool, data: Bytes, time: Timestamp) {
        self.go_on();
        self.time = time;
        if self.flight.is_full() {
            self.waiting[usize::from(stderr)].extend_from_slice(&data);
        } else {
            self.tell(stderr, data);
        }
    }

    /// Tells what was gathered, if there is room again.
    pub fn go_on(&mut self) {
        if self.waiting.iter().any(|waiting| !waiting.is_empty()) && !self.flight.is_full() {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for stderr in [false, true] {
            let data = mem::take(&mut self.waiting[usize::from(stderr)]);
            if !data.is_empty() && !self.flight.is_over() {
                self.tell(stderr, data.into());
            }
        }
    }

    fn tell(&self, stderr: bool, data: Bytes) {
        let chunk = Chunk::new(self.flight.clone(), stderr, data, self.time);
        self.flight.run.journal.tell(&Arc::new(chunk));
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        self.flush();
    }
}
