//! Records as they come, and what is typed into an exec.

use std::convert::Infallible;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Buf, Bytes, BytesMut};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    ExecInput, Record, RuntimeError,
    connection::{Answer, Body, Connection, broken},
};

/// The longest record that is read: the daemon cuts output into far smaller pieces.
const LONGEST: usize = 64 << 20;
/// So many pieces of input wait; then who types waits.
const WAITING: usize = 4;

/// A stream of records. Dropping it closes it, by which an exec ends.
pub struct Records {
    body: Incoming,
    buffer: BytesMut,
    /// So much of the buffer has no newline.
    searched: usize,
    _connection: Connection,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Records")
    }
}

impl Records {
    pub(super) fn new(answer: Answer) -> Self {
        let Answer { body, connection, .. } = answer;
        Self { body, buffer: BytesMut::new(), searched: 0, _connection: connection }
    }

    /// The next record; none at the stream's end. Nothing is lost when it is dropped while it waits.
    pub async fn next(&mut self) -> Option<Result<Record, RuntimeError>> {
        loop {
            while let Some(line) = self.line() {
                if !line.trim_ascii().is_empty() {
                    return Some(read(&line));
                }
            }
            if self.buffer.len() > LONGEST {
                return Some(Err(RuntimeError::too_large("a record is longer than 64 MiB")));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Some(Err(broken(&error))),
                None if self.buffer.is_empty() => return None,
                None => {
                    self.searched = 0;
                    return Some(read(&std::mem::take(&mut self.buffer)));
                }
            }
        }
    }

    fn line(&mut self) -> Option<BytesMut> {
        let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + at);
        self.buffer.advance(1);
        self.searched = 0;
        Some(line)
    }
}

fn read(line: &[u8]) -> Result<Record, RuntimeError> {
    serde_json::from_slice(line)
        .map_err(|error| RuntimeError::internal(format!("aegisd sent a record that can't be read: {error}")))
}

/// What goes into a running exec. Dropping it is the end of the input.
#[derive(Debug, Clone)]
pub struct ExecSender(mpsc::Sender<Bytes>);

impl ExecSender {
    /// Sends bytes to its standard input; whether anybody takes them still.
    pub async fn stdin(&self, bytes: &[u8]) -> bool {
        self.send(&ExecInput::Stdin(BASE64_STANDARD.encode(bytes))).await
    }
    /// Sends; whether anybody takes it still.
    pub async fn send(&self, input: &ExecInput) -> bool {
        match line(input) {
            Ok(line) => self.0.send(line).await.is_ok(),
            Err(_) => false,
        }
    }
}

/// A body that is written while the answer is read: `first`, then what is sent.
pub(super) fn open(first: &impl Serialize) -> Result<(ExecSender, Body), RuntimeError> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let first = line(first)?;
    let later = futures::stream::unfold(receiver, |mut receiver| async move {
        let bytes = receiver.recv().await?;
        Some((bytes, receiver))
    });
    let lines = futures::StreamExt::chain(futures::stream::iter([first]), later);
    let frames = futures::StreamExt::map(lines, |bytes| Ok::<_, Infallible>(Frame::data(bytes)));
    Ok((ExecSender(sender), StreamBody::new(frames).boxed_unsync()))
}

fn line(value: &impl Serialize) -> Result<Bytes, RuntimeError> {
    let mut line = serde_json::to_vec(value).map_err(|error| RuntimeError::internal(error.to_string()))?;
    line.push(b'\n');
    Ok(line.into())
}
