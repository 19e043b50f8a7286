//! The control channel's guest end: frames in, and a queue of bytes out that has a bound for everything but answers.

use std::{collections::VecDeque, io, os::fd::OwnedFd};

use aegis_harness::{
    frame::{self, Decoder, Frame, Kind},
    message::ToHost,
};
use rustix::io::Errno;

/// Above so many bytes that wait to be sent, nothing more is read from processes, connections and the network.
const FULL: usize = 512 * 1024;
/// The most that is taken from the channel at once.
const PIECE: usize = 64 * 1024;

/// The channel.
pub struct Channel {
    fd: OwnedFd,
    decoder: Decoder,
    waiting: VecDeque<u8>,
    piece: Vec<u8>,
    open: bool,
}

impl Channel {
    /// Around a file that doesn't block.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd, decoder: Decoder::default(), waiting: VecDeque::new(), piece: vec![0; PIECE], open: true }
    }

    /// What to poll.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Whether bytes wait to be sent.
    pub fn has_more(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether there is room for more output.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < FULL
    }

    /// Whether the host may still be there.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The host is gone: what waits for it will never be sent.
    pub fn close(&mut self) {
        self.open = false;
        self.waiting.clear();
    }

    /// Queues a message.
    pub fn say(&mut self, message: &ToHost) {
        // Messages are plain data: there is no way in which they can't be written as JSON.
        if let Ok(body) = serde_json::to_vec(message) {
            self.send(Kind::Control, 0, &body);
        }
    }

    /// Queues a line of the harness itself.
    pub fn log(&mut self, line: impl Into<String>) {
        self.say(&ToHost::Log { line: line.into() });
    }

    /// Queues a frame.
    pub fn send(&mut self, kind: Kind, stream: u32, body: &[u8]) {
        let mut bytes = Vec::with_capacity(frame::HEADER + body.len());
        frame::write(kind, stream, body, &mut bytes);
        self.send_raw(&bytes);
    }

    /// Queues bytes that are no frame: the greeting.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        if self.open {
            self.waiting.extend(bytes);
        }
    }

    /// Sends what can be sent now.
    pub fn flush(&mut self) {
        while !self.waiting.is_empty() {
            let (bytes, _) = self.waiting.as_slices();
            match rustix::io::write(&self.fd, bytes) {
                Ok(0) | Err(Errno::AGAIN) => return,
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(Errno::INTR) => {}
                Err(_) => self.close(),
            }
        }
    }

    /// Takes what is there and gives it to `receive`, frame by frame. An error: this channel can't go on.
    pub fn receive(&mut self) -> io::Result<Vec<Frame>> {
        let mut frames = Vec::new();
        match rustix::io::read(&self.fd, &mut self.piece[..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.decoder.push(&self.piece[..count]),
            Err(Errno::AGAIN | Errno::INTR) => return Ok(frames),
            Err(error) => return Err(error.into()),
        }
        while let Some(frame) = self.decoder.next_frame().map_err(io::Error::other)? {
            frames.push(frame);
        }
        Ok(frames)
    }
}
