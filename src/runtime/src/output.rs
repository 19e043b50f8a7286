//! What a process writes, cut into records: lines, and pieces of lines that don't end.

use std::time::Duration;

use aegis_wire::runtime::{LogRecord, Source, StreamName};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{clock::Clock, logs::Splitter};

/// So long the rest of a line is waited for before it goes out as a piece: a prompt has no end of line.
const WAIT_FOR_REST: Duration = Duration::from_millis(30);

/// Where records go. It is waited for: who writes faster than that waits, too.
pub(crate) trait Sink: Send {
    /// Takes records. False: nobody wants more.
    fn take(&mut self, records: Vec<LogRecord>) -> impl Future<Output = bool> + Send;
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
    let mut splitter = Splitter::new(stream, source, exec_id);
    let mut buffer = vec![0; 32 * 1024];
    let mut wanted = true;
    loop {
        let read = if splitter.has_rest() {
            let Ok(read) = tokio::time::timeout(WAIT_FOR_REST, from.read(&mut buffer)).await else {
                match splitter.flush(clock.now()) {
                    Some(piece) => wanted = wanted && sink.take(vec![piece]).await,
                    // Half a character: its rest has to come.
                    None => tokio::time::sleep(WAIT_FOR_REST).await,
                }
                continue;
            };
            read
        } else {
            from.read(&mut buffer).await
        };
        // A stream that broke has ended: its process is gone.
        let count = read.unwrap_or(0);
        if count == 0 {
            break;
        }
        // All of a piece at once: a line each would cost a write each.
        let records = splitter.push(&buffer[..count], clock.now());
        if !records.is_empty() {
            wanted = wanted && sink.take(records).await;
        }
    }
    if let Some(rest) = splitter.finish(clock.now())
        && wanted
    {
        sink.take(vec![rest]).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use tokio::io::AsyncWriteExt;

    use super::*;

    const LONGEST_PIECE: usize = 64 * 1024;

    struct Into(tokio::sync::mpsc::UnboundedSender<LogRecord>);

    impl Sink for Into {
        async fn take(&mut self, records: Vec<LogRecord>) -> bool {
            records.into_iter().all(|record| self.0.send(record).is_ok())
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
