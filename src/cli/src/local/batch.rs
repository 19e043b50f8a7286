//! Records that came together, and how a stream of them ended.

use std::fmt;

use aegis_wire::runtime::{LogRecord, Record, Records, RuntimeError};
use futures::FutureExt;

/// So many bytes are taken at most before they are written.
const MOST: usize = 64 << 10;

/// What came.
#[derive(Debug, Default)]
pub struct Batch {
    /// The pieces of output, in order.
    pub records: Vec<LogRecord>,
    /// How the stream ended, if it did.
    pub end: Option<End>,
}

/// How a stream ended.
#[derive(Debug)]
pub enum End {
    /// With the process.
    Done {
        /// Its exit code.
        exit_code: i32,
        /// Why there is no better one.
        error: Option<String>,
    },
    /// Without a last record: all that was asked for is said, or the daemon went away.
    Silent,
    /// With an error.
    Broken(RuntimeError),
}

impl Batch {
    /// Waits for a record, and takes all that are there. Nothing is lost when it is dropped while it waits.
    pub async fn read(records: &mut Records) -> Self {
        let mut batch = Self::default();
        let first = records.next().await;
        let mut size = batch.take(first);
        while batch.end.is_none() && size < MOST {
            match records.next().now_or_never() {
                Some(next) => size += batch.take(next),
                None => break,
            }
        }
        batch
    }

    fn take(&mut self, record: Option<Result<Record, RuntimeError>>) -> usize {
        match record {
            Some(Ok(Record::Log(record))) => {
                let size = record.line.len() + record.base64.as_ref().map_or(0, String::len);
                self.records.push(record);
                // An empty line is worth something, too.
                size + 1
            }
            Some(Ok(Record::Header { .. })) => 0,
            Some(Ok(Record::Done { exit_code, error, .. })) => {
                self.end = Some(End::Done { exit_code, error });
                0
            }
            Some(Err(error)) => {
                self.end = Some(End::Broken(error));
                0
            }
            None => {
                self.end = Some(End::Silent);
                0
            }
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { exit_code, .. } => write!(f, "exit code {exit_code}"),
            Self::Silent => f.write_str("the stream ended without a last record"),
            Self::Broken(error) => write!(f, "{error}"),
        }
    }
}
