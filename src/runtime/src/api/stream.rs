//! Streams of records: one JSON value a line, written as fast as the client reads and no faster.

use std::convert::Infallible;

use aegis_wire::runtime::{LogRecord, Record, RuntimeError, Source};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;

use super::call::{Answer, Call};
use crate::{
    logs::{Query, Reader},
    output::Sink,
};

/// So many pieces wait for a slow client; then who writes waits.
const WAITING: usize = 8;
/// So many records go in one piece.
const AT_ONCE: usize = 256;

/// Writes records to a client.
#[derive(Debug, Clone)]
pub(super) struct Lines(mpsc::Sender<Bytes>);

/// A stream, and the answer that carries it.
pub(super) fn lines() -> (Lines, Answer) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let frames = futures::stream::unfold(receiver, |mut receiver| async move {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(bytes)), receiver))
    });
    (Lines(sender), Answer::Lines(StreamBody::new(frames).boxed_unsync()))
}

impl Lines {
    /// Sends a record when there is room. False: the client is gone.
    pub async fn send(&self, record: &Record) -> bool {
        self.send_all(std::slice::from_ref(record)).await
    }

    async fn send_all(&self, records: &[Record]) -> bool {
        let mut lines = Vec::with_capacity(records.len() * 128);
        for record in records {
            if serde_json::to_writer(&mut lines, record).is_err() {
                return false;
            }
            lines.push(b'\n');
        }
        self.0.send(lines.into()).await.is_ok()
    }

    /// Done when the client is gone.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

impl Sink for Lines {
    async fn take(&mut self, records: Vec<LogRecord>) -> bool {
        let records: Vec<Record> = records.into_iter().map(Record::Log).collect();
        self.send_all(&records).await
    }
}

/// Which records of a log a request wants.
pub(super) fn query(call: &Call) -> Result<Query, RuntimeError> {
    let source = match call.query::<String>("source")?.as_deref() {
        None => None,
        Some("main") => Some(Source::Main),
        Some("exec") => Some(Source::Exec),
        Some("system") => Some(Source::System),
        Some(other) => {
            return Err(
                RuntimeError::bad_request(format!("'{other}' is no source")).hint("use main, exec or system")
            );
        }
    };
    Ok(Query {
        since: call.query("since")?,
        tail: call.query("tail")?,
        source,
        follow: call.query("follow")?.unwrap_or(false),
    })
}

/// Writes what there is of a log, and if the reader follows, what comes until `over`. False: the client is gone.
pub(super) async fn write_log(
    lines: &Lines,
    mut reader: Reader,
    over: impl Future<Output = ()> + Send,
) -> bool {
    let mut over = std::pin::pin!(over);
    let mut is_over = false;
    loop {
        let batch = tokio::select! {
            batch = reader.next_batch() => batch,
            // What was written until then is still read.
            () = &mut over, if !is_over => {
                is_over = true;
                reader.stop_following();
                continue;
            }
            () = lines.closed() => return false,
        };
        match batch {
            Ok(Some(records)) => {
                // Some at a time, so that what waits for a slow client stays small.
                let records: Vec<Record> = records.into_iter().map(Record::Log).collect();
                for some in records.chunks(AT_ONCE) {
                    if !lines.send_all(some).await {
                        return false;
                    }
                }
            }
            Ok(None) => return true,
            Err(error) => {
                // Without a last record the client knows that it was cut.
                tracing::warn!(%error, "a log can't be read on");
                return false;
            }
        }
    }
}
