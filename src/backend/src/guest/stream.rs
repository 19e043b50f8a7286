//! Streams of bytes, each with its credit.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use aegis_harness::{
    frame::{Kind, MAX_DATA},
    stream::WINDOW,
};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::link::Link;

/// Credit is given back in pieces of this size: few frames, and never a stall.
const CREDIT_STEP: u32 = WINDOW / 4;

/// One stream, as the channel sees it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    received: BytesMut,
    /// What the guest may still send.
    window: u32,
    /// What the reader took and the guest wasn't told of.
    taken: u32,
    has_ended: bool,
    was_reset: bool,
    reader: Option<Waker>,
    /// What we may still send.
    credit: u32,
    end_sent: bool,
    writer: Option<Waker>,
}

impl Stream {
    /// What a frame of the guest does. An error ends the channel: it broke the protocol.
    pub(super) fn receive(&mut self, kind: Kind, body: &[u8]) -> Result<(), String> {
        match kind {
            Kind::Data => {
                let size = u32::try_from(body.len()).unwrap_or(u32::MAX);
                self.window =
                    self.window.checked_sub(size).ok_or("it sent more of a stream than it was granted")?;
                if !self.has_ended {
                    self.received.extend_from_slice(body);
                }
            }
            Kind::Credit => {
                let more = <[u8; 4]>::try_from(body).map_err(|_| "a broken credit frame")?;
                self.credit = self.credit.saturating_add(u32::from_le_bytes(more));
            }
            Kind::End => self.has_ended = true,
            Kind::Reset => self.was_reset = true,
            Kind::Control => return Err("a message on a stream".to_owned()),
        }
        self.wake();
        Ok(())
    }

    pub(super) fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    fn take(&mut self, into: &mut ReadBuf<'_>) {
        let count = self.received.len().min(into.remaining());
        into.put_slice(&self.received[..count]);
        self.received.advance(count);
        self.taken += u32::try_from(count).unwrap_or(u32::MAX);
    }
}

/// Our end of a stream. What its drop says is up to its owner.
#[derive(Debug)]
pub(super) struct Handle {
    link: Arc<Link>,
    number: u32,
}

impl Handle {
    pub(super) fn open(link: Arc<Link>, number: u32) -> Self {
        let stream = Stream { window: WINDOW, credit: WINDOW, ..Stream::default() };
        link.shared().with(|state| state.streams.insert(number, stream));
        Self { link, number }
    }

    fn poll_read(&self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.link.shared().with(|state| {
            let closed = state.closed.clone();
            let Some(stream) = state.streams.get_mut(&self.number) else { return Poll::Ready(Ok(())) };
            if !stream.received.is_empty() {
                stream.take(into);
                if stream.taken >= CREDIT_STEP && !stream.has_ended {
                    let granted = std::mem::take(&mut stream.taken);
                    stream.window += granted;
                    state.send(Kind::Credit, self.number, &granted.to_le_bytes());
                }
                return Poll::Ready(Ok(()));
            }
            if stream.has_ended {
                return Poll::Ready(Ok(()));
            }
            if stream.was_reset {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if let Some(reason) = closed {
                return Poll::Ready(Err(super::GuestError::Closed(reason).into()));
            }
            stream.reader = Some(context.waker().clone());
            Poll::Pending
        })
    }

    fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.link.shared().with(|state| {
            if let Some(reason) = state.closed.clone() {
                return Poll::Ready(Err(super::GuestError::Closed(reason).into()));
            }
            let has_room = state.has_room(Some(context.waker()));
            let Some(stream) = state.streams.get_mut(&self.number) else {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            };
            if stream.was_reset || stream.end_sent {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if !has_room {
                return Poll::Pending;
            }
            let count = bytes.len().min(MAX_DATA).min(stream.credit as usize);
            if count == 0 && !bytes.is_empty() {
                stream.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            stream.credit -= u32::try_from(count).unwrap_or(0);
            state.send(Kind::Data, self.number, &bytes[..count]);
            Poll::Ready(Ok(count))
        })
    }

    fn end(&self) {
        self.link.shared().with(|state| {
            let Some(stream) = state.streams.get_mut(&self.number) else { return };
            if !stream.end_sent && !stream.was_reset {
                stream.end_sent = true;
                state.send(Kind::End, self.number, &[]);
            }
        });
    }

    /// Forgets the stream; the guest hears of it unless both sides had ended what they send.
    fn give_up(&self, reads: bool, writes: bool) {
        self.link.shared().with(|state| {
            let Some(stream) = state.streams.remove(&self.number) else { return };
            let is_over = (stream.has_ended || !reads) && (stream.end_sent || !writes);
            if !is_over && !stream.was_reset {
                state.send(Kind::Reset, self.number, &[]);
            }
        });
    }
}

/// An output of a process. Dropping it tells the guest that nobody reads it.
#[derive(Debug)]
pub struct Reader(Handle);

/// The input of a process. Dropping it closes it.
#[derive(Debug)]
pub struct Writer(Handle);

/// A TCP connection to the guest. Dropping it resets it.
#[derive(Debug)]
pub struct Connection(Handle);

impl Reader {
    pub(super) fn new(handle: Handle) -> Self {
        Self(handle)
    }
    pub(super) fn number(&self) -> u32 {
        self.0.number
    }
}

impl Writer {
    pub(super) fn new(handle: Handle) -> Self {
        Self(handle)
    }
    pub(super) fn number(&self) -> u32 {
        self.0.number
    }
}

impl Connection {
    pub(super) fn new(handle: Handle) -> Self {
        Self(handle)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.give_up(true, false);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.end();
        self.0.give_up(false, true);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.link.shared().with(|state| {
            state.connecting.remove(&(self.0.number >> 2));
        });
        self.0.give_up(true, true);
    }
}

macro_rules! reads {
    ($name:ident) => {
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                into: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.0.poll_read(context, into)
            }
        }
    };
}

macro_rules! writes {
    ($name:ident) => {
        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.0.poll_write(context, bytes)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.0.end();
                Poll::Ready(Ok(()))
            }
        }
    };
}

reads!(Reader);
reads!(Connection);
writes!(Writer);
writes!(Connection);
