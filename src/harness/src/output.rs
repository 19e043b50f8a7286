//! What a process or a connection sends to the host: read only against credit, so that nothing piles up here.

use std::os::fd::OwnedFd;

use aegis_harness::{
    frame::{Kind, MAX_DATA},
    stream::WINDOW,
};
use rustix::io::Errno;

use crate::channel::Channel;

/// A source of bytes for one stream.
pub struct Output {
    fd: OwnedFd,
    stream: u32,
    credit: u32,
    /// How many bytes are still to be sent of a process that ended; what others write into its pipe later isn't its.
    left: Option<u64>,
    ended: bool,
    /// Whether what comes is thrown away: the stream ended, and others still hold the pipe's other end.
    silent: bool,
}

/// Whether a source can give more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It can.
    Open,
    /// It has ended.
    Closed,
    /// It broke off: the host was told that this is not its end.
    Failed,
}

impl Output {
    /// A stream with the credit that every stream begins with.
    pub fn new(fd: OwnedFd, stream: u32) -> Self {
        Self { fd, stream, credit: WINDOW, left: None, ended: false, silent: false }
    }

    /// What to poll for input.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Which stream it is.
    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// Whether the host has been told of its end.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether it makes sense to read: the host takes it, or nobody does.
    pub fn is_wanted(&self, channel: &Channel) -> bool {
        self.silent || (!self.ended && self.credit > 0 && channel.has_room())
    }

    /// The host has taken so many bytes more.
    pub fn grant(&mut self, bytes: u32) {
        self.credit = self.credit.saturating_add(bytes);
    }

    /// The process ended: what it wrote is in the pipe by now. Everything up to here is sent, and no more is waited for.
    pub fn finish_what_is_there(&mut self, channel: &mut Channel) {
        let there = rustix::io::ioctl_fionread(&self.fd).unwrap_or(0);
        self.left = Some(there);
        if there == 0 {
            self.end(channel);
        }
    }

    /// Reads what there is credit for and sends it on.
    pub fn pump(&mut self, channel: &mut Channel, buffer: &mut [u8]) -> Source {
        let most = if self.silent { MAX_DATA } else { MAX_DATA.min(self.credit as usize) };
        let most = self
            .left
            .filter(|_| !self.silent)
            .map_or(most, |left| usize::try_from(left).unwrap_or(most).min(most));
        if most == 0 {
            // A read of nothing looks like the end.
            return Source::Open;
        }
        match rustix::io::read(&self.fd, &mut buffer[..most]) {
            // The error is how a terminal ends whose last user is gone.
            Ok(0) | Err(Errno::IO) => {
                self.end(channel);
                Source::Closed
            }
            Ok(_) if self.silent => Source::Open,
            Ok(count) => {
                channel.send(Kind::Data, self.stream, &buffer[..count]);
                self.credit = self.credit.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
                self.left = self.left.map(|left| left.saturating_sub(count as u64));
                if self.left == Some(0) {
                    self.end(channel);
                }
                Source::Open
            }
            Err(Errno::AGAIN | Errno::INTR) => Source::Open,
            Err(_) => {
                channel.send(Kind::Reset, self.stream, &[]);
                self.give_up();
                Source::Failed
            }
        }
    }

    /// Tells the host that there is no more.
    pub fn end(&mut self, channel: &mut Channel) {
        if !self.ended {
            channel.send(Kind::End, self.stream, &[]);
        }
        self.give_up();
    }

    /// Sends no more, and tells nobody.
    pub fn give_up(&mut self) {
        self.ended = true;
        self.silent = true;
    }
}
