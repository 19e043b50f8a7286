//! Records of a stream: NDJSON, one a line. A header first, then log records, then the end.

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One record of a stream of logs or of an exec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Record {
    /// A piece of output.
    Log(LogRecord),
    /// The last record: how the process ended. A stream without it was cut.
    Done {
        /// Its exit code; −1: the instance was stopped under it.
        exit_code: i32,
        /// Always true.
        done: bool,
        /// Why there is no better code, where there is a reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The first record: whose stream it is.
    Header {
        /// A task, instance or exec.
        id: String,
        /// `task`, `instance` or `exec`.
        kind: String,
    },
}

/// A piece of output: a line without its newline, or less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogRecord {
    /// When it came.
    #[schemars(with = "String")]
    pub ts: Timestamp,
    /// `stdout` or `stderr`.
    pub stream: StreamName,
    /// Who wrote it.
    pub source: Source,
    /// Which exec, when one wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_id: Option<String>,
    /// The text, when it is UTF-8.
    pub line: String,
    /// The bytes, when they aren't; then `line` is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// Whether no newline follows: the line goes on in the next record of the same stream, or the output ended without one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// Which stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Who wrote a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The instance's own process.
    Main,
    /// An exec.
    Exec,
    /// The harness, the kernel or the daemon, about the instance.
    System,
}

impl LogRecord {
    /// A record of these bytes.
    pub fn new(ts: Timestamp, stream: StreamName, source: Source, bytes: &[u8], partial: bool) -> Self {
        let (line, base64) = match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), None),
            Err(_) => (String::new(), Some(BASE64_STANDARD.encode(bytes))),
        };
        Self { ts, stream, source, exec_id: None, line, base64, partial }
    }

    /// The bytes as they were written, with the newline if there was one.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = match &self.base64 {
            Some(encoded) => BASE64_STANDARD.decode(encoded).unwrap_or_default(),
            None => self.line.clone().into_bytes(),
        };
        if !self.partial {
            bytes.push(b'\n');
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn any_bytes_come_back_as_they_were() {
        for (bytes, partial) in
            [(&b"hello"[..], false), (b"", false), (b"\xff\x00\xfe", true), ("ä".as_bytes(), true)]
        {
            let record =
                LogRecord::new(Timestamp::UNIX_EPOCH, StreamName::Stdout, Source::Main, bytes, partial);
            let text = serde_json::to_string(&Record::Log(record.clone())).unwrap();
            let Record::Log(read) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
            assert_eq!(read, record);
            let newline: &[u8] = if partial { b"" } else { b"\n" };
            assert_eq!(read.bytes(), [bytes, newline].concat());
        }
    }

    #[test]
    fn each_record_is_told_from_the_others() {
        let done: Record = serde_json::from_str(r#"{"exit_code": 42, "done": true}"#).unwrap();
        assert_eq!(done, Record::Done { exit_code: 42, done: true, error: None });
        let header: Record = serde_json::from_str(r#"{"id": "inst-1", "kind": "instance"}"#).unwrap();
        assert!(matches!(header, Record::Header { .. }));
    }
}
