//! What the host sends to a process or a connection: kept until it is taken, then granted anew.

use std::{collections::VecDeque, os::fd::OwnedFd};

use aegis_harness::{frame::Kind, stream::WINDOW};
use rustix::{io::Errno, net::Shutdown};

use crate::channel::Channel;

/// Credit is given back in pieces of at least this, so that it costs few frames; the sender has the rest meanwhile.
const GRANT: u32 = WINDOW / 4;
/// What ends the input of a terminal: control-D.
const END_OF_TRANSMISSION: u8 = 4;

/// What takes the bytes, and so how it is told of their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// A pipe is closed.
    Pipe,
    /// A terminal is told by a character.
    Terminal,
    /// A connection is shut down in this direction.
    Socket,
}

/// A place for the bytes of one stream.
pub struct Input {
    fd: Option<OwnedFd>,
    sink: Sink,
    stream: u32,
    waiting: VecDeque<u8>,
    /// Bytes that were taken and not granted anew.
    taken: u32,
    ended: bool,
    reset: bool,
}

impl Input {
    /// An open one.
    pub fn new(fd: OwnedFd, sink: Sink, stream: u32) -> Self {
        Self { fd: Some(fd), sink, stream, waiting: VecDeque::new(), taken: 0, ended: false, reset: false }
    }

    /// What to poll for room; none: nothing waits.
    pub fn wanted(&self) -> Option<&OwnedFd> {
        self.fd.as_ref().filter(|_| !self.waiting.is_empty())
    }

    /// Which stream it is.
    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// Whether all was given on, the end too, or nobody takes it.
    pub fn has_ended(&self) -> bool {
        self.fd.is_none()
    }

    /// Whether the host was told that nobody takes it.
    pub fn was_reset(&self) -> bool {
        self.reset
    }

    /// Takes bytes from the host.
    pub fn push(&mut self, bytes: &[u8], channel: &mut Channel) {
        if self.fd.is_none() || self.ended {
            return;
        }
        if self.waiting.len() + bytes.len() > WINDOW as usize {
            // More than was granted: whoever sends this keeps no bounds, and gets none here.
            self.reset(channel);
            return;
        }
        self.waiting.extend(bytes);
        self.pump(channel);
    }

    /// The host has no more.
    pub fn end(&mut self, channel: &mut Channel) {
        if self.sink == Sink::Terminal && !self.ended {
            self.waiting.push_back(END_OF_TRANSMISSION);
        }
        self.ended = true;
        self.pump(channel);
    }

    /// Gives on what can be given on now.
    pub fn pump(&mut self, channel: &mut Channel) {
        while let Some(fd) = self.fd.as_ref().filter(|_| !self.waiting.is_empty()) {
            let (bytes, _) = self.waiting.as_slices();
            match rustix::io::write(fd, bytes) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(count) => {
                    self.waiting.drain(..count);
                    self.taken = self.taken.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                }
                Err(Errno::INTR) => {}
                Err(_) => return self.reset(channel),
            }
        }
        if self.taken >= GRANT {
            channel.send(Kind::Credit, self.stream, &self.taken.to_le_bytes());
            self.taken = 0;
        }
        if self.ended && self.waiting.is_empty() {
            self.close();
        }
    }

    /// Nobody takes it any more: the host is told once.
    pub fn reset(&mut self, channel: &mut Channel) {
        if self.fd.take().is_some() {
            channel.send(Kind::Reset, self.stream, &[]);
            self.reset = true;
        }
        self.waiting.clear();
    }

    /// Takes no more, and tells nobody.
    pub fn close(&mut self) {
        self.waiting.clear();
        if let Some(fd) = self.fd.take()
            && self.sink == Sink::Socket
        {
            // It fails where the other side is gone, who then needs no telling.
            let _ = rustix::net::shutdown(&fd, Shutdown::Write);
        }
    }
}
