//! What a process writes, cut into records: lines, and pieces of lines that don't end.

use std::time::Duration;

use aegis_wire::runtime::{LogRecord, Source, StreamName};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::clock::Clock;

/// A longer line is cut into pieces of this length.
const LONGEST_PIECE: usize = 64 * 1024;
/// So long the rest of a line is waited for before it goes out as a piece: a prompt has no end of line.
const WAIT_FOR_REST: Duration = Duration::from_millis(30);

/// Where records go. It is waited for: who writes faster than that waits, too.
pub(crate) trait Sink: Send {
    /// Takes one record. False: nobody wants more.
    fn take(&mut self, record: LogRecord) -> impl Future<Output = bool> + Send;
}

/// Reads `from` to its end and gives what it reads to `sink`. What the sink doesn't want is read all the same, so that
/// the process isn't held up by somebody who went away.
pub(crate) async fn pump(
    mut from: impl AsyncRead + Unpin + Send,
    stream: StreamName,
    source: Source,
    exec_id: Option<String>,
    clock: Clock,
    mut sink: impl Sink,
) {
    let mut pending = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    let mut wanted = true;
    loop {
        let read = if pending.is_empty() {
            from.read(&mut buffer).await
        } else {
            match tokio::time::timeout(WAIT_FOR_REST, from.read(&mut buffer)).await {
                Ok(read) => read,
                Err(_) => {
                    let piece = std::mem::take(&mut pending);
                    wanted =
                        wanted && sink.take(record(&clock, stream, source, &exec_id, &piece, true)).await;
                    continue;
                }
            }
        };
        // A stream that broke has ended: its process is gone.
        let count = read.unwrap_or(0);
        if count == 0 {
            break;
        }
        pending.extend_from_slice(&buffer[..count]);
        let mut rest = pending.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            for piece in pieces(&rest[..end]) {
                let partial = piece.end < end;
                let piece = &rest[piece];
                wanted = wanted && sink.take(record(&clock, stream, source, &exec_id, piece, partial)).await;
            }
            rest = &rest[end + 1..];
        }
        while rest.len() >= LONGEST_PIECE {
            let (piece, after) = rest.split_at(LONGEST_PIECE);
            wanted = wanted && sink.take(record(&clock, stream, source, &exec_id, piece, true)).await;
            rest = after;
        }
        pending = rest.to_vec();
    }
    if !pending.is_empty() && wanted {
        sink.take(record(&clock, stream, source, &exec_id, &pending, true)).await;
    }
}

/// A line in pieces; an empty line is one piece.
fn pieces(line: &[u8]) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
    let length = line.len();
    (0..length.max(1)).step_by(LONGEST_PIECE).map(move |from| from..length.min(from + LONGEST_PIECE))
}

fn record(
    clock: &Clock,
    stream: StreamName,
    source: Source,
    exec_id: &Option<String>,
    bytes: &[u8],
    partial: bool,
) -> LogRecord {
    let mut record = LogRecord::new(clock.now(), stream, source, bytes, partial);
    record.exec_id.clone_from(exec_id);
    record
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use tokio::io::AsyncWriteExt;

    use super::*;

    struct Into(tokio::sync::mpsc::UnboundedSender<LogRecord>);

    impl Sink for Into {
        async fn take(&mut self, record: LogRecord) -> bool {
            self.0.send(record).is_ok()
        }
    }

    async fn records(write: &[&[u8]], pause: Duration) -> Vec<LogRecord> {
        let (mut writer, reader) = tokio::io::duplex(1 << 20);
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let pump =
            tokio::spawn(pump(reader, StreamName::Stdout, Source::Main, None, Clock::system(), Into(sender)));
        for bytes in write {
            writer.write_all(bytes).await.unwrap();
            tokio::time::sleep(pause).await;
        }
        drop(writer);
        pump.await.unwrap();
        let mut records = Vec::new();
        while let Ok(record) = receiver.try_recv() {
            records.push(record);
        }
        records
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_come_out_as_they_went_in() {
        let long = vec![b'x'; 3 * LONGEST_PIECE + 7];
        for input in [
            &b"one\ntwo\n"[..],
            b"\n\n",
            b"no end",
            b"\xff\xfe\nbinary\x00",
            &[&long[..], b"\nafter\n"].concat(),
            &long,
            b"",
        ] {
            for size in [1, 7, 20_000, 1 << 20] {
                if input.len() > 1000 && size < 100 {
                    continue;
                }
                let chunks: Vec<&[u8]> = input.chunks(size).collect();
                let out: Vec<u8> =
                    records(&chunks, Duration::ZERO).await.iter().flat_map(LogRecord::bytes).collect();
                assert_eq!(out, input, "in pieces of {size}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_prompt_without_an_end_of_line_comes_at_once_and_a_line_in_one_piece() {
        let prompt = records(&[b"name? ", b"x\n"], Duration::from_secs(1)).await;
        assert_eq!(
            prompt.iter().map(|r| (r.line.as_str(), r.partial)).collect::<Vec<_>>(),
            [("name? ", true), ("x", false)]
        );
        let line = records(&[b"a", b"b", b"c\n"], Duration::from_millis(1)).await;
        assert_eq!(line.len(), 1);
    }
}
