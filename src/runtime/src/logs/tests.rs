//! Logs: what goes in comes out.

#![allow(clippy::unwrap_used, reason = "tests")]

mod crash;

use std::time::Duration;

use aegis_wire::runtime::{LogRecord, Source, StreamName};
use jiff::Timestamp;
use proptest::prelude::*;
use tokio::time::timeout;

use super::{split::LONGEST, *};

const LIMIT: Duration = Duration::from_mins(1);

fn line(at: i64, text: &str) -> LogRecord {
    LogRecord::new(
        Timestamp::from_second(at).unwrap(),
        StreamName::Stdout,
        Source::Main,
        text.as_bytes(),
        false,
    )
}

fn logs(directory: &tempfile::TempDir) -> Logs {
    Logs::new(directory.path().join("logs"), Rotation { size: 1000, count: 3 })
}

async fn all(log: &Arc<Log>, query: Query) -> Vec<String> {
    let mut reader = log.read(query);
    let mut found = Vec::new();
    while let Some(record) = timeout(LIMIT, reader.next()).await.unwrap().unwrap() {
        found.push(record.line);
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_in_any_pieces_come_back_as_they_were(
        pieces in prop::collection::vec((prop::collection::vec(prop_oneof![Just(b'\n'), Just(0xc3), Just(0xa4), any::<u8>()], 0..40), 0_usize..5000, any::<bool>()), 0..12),
    ) {
        let mut splitter = Splitter::new(StreamName::Stderr, Source::Exec, Some("e".into()));
        let (mut records, mut written) = (Vec::new(), Vec::new());
        for (piece, repeat, flush) in pieces {
            let bytes = piece.repeat(repeat);
            records.extend(splitter.push(&bytes, Timestamp::UNIX_EPOCH));
            if flush {
                records.extend(splitter.flush(Timestamp::UNIX_EPOCH));
            }
            written.extend(bytes);
        }
        records.extend(splitter.finish(Timestamp::UNIX_EPOCH));
        let read: Vec<u8> = records.iter().flat_map(LogRecord::bytes).collect();
        prop_assert!(read == written);
        prop_assert!(records.iter().all(|record| record.bytes().len() <= LONGEST + 1));
    }
}

#[test]
fn characters_are_not_cut() {
    let text = "ä".repeat(100_000);
    let mut splitter = Splitter::new(StreamName::Stdout, Source::Main, None);
    let mut records = Vec::new();
    for byte in text.as_bytes().chunks(7) {
        records.extend(splitter.push(byte, Timestamp::UNIX_EPOCH));
        records.extend(splitter.flush(Timestamp::UNIX_EPOCH));
    }
    records.extend(splitter.push(format!("x{text}\n").as_bytes(), Timestamp::UNIX_EPOCH));
    assert!(records.iter().all(|record| record.base64.is_none()));
    assert_eq!(
        records.iter().map(|record| record.line.as_str()).collect::<String>(),
        format!("{text}x{text}")
    );
    assert!(!splitter.has_rest());
}

#[tokio::test]
async fn records_are_found_by_time_source_and_number() {
    let directory = tempfile::tempdir().unwrap();
    let log = logs(&directory).log("inst-1").unwrap();
    for at in 0..6 {
        log.append(&line(at, &format!("line {at}"))).unwrap();
    }
    let mut other = line(6, "from an exec");
    other.source = Source::Exec;
    log.append(&other).unwrap();
    let since = Some(Timestamp::from_second(4).unwrap());
    assert_eq!(all(&log, Query { since, ..Query::default() }).await, ["line 4", "line 5", "from an exec"]);
    assert_eq!(all(&log, Query { tail: Some(2), ..Query::default() }).await, ["line 5", "from an exec"]);
    let source = Some(Source::Main);
    assert_eq!(all(&log, Query { tail: Some(2), source, ..Query::default() }).await, ["line 4", "line 5"]);
    assert_eq!(
        all(&log, Query { tail: Some(9), since, source, ..Query::default() }).await,
        ["line 4", "line 5"]
    );
    assert!(all(&log, Query { tail: Some(0), ..Query::default() }).await.is_empty());
    assert_eq!(all(&log, Query { tail: Some(100), ..Query::default() }).await.len(), 7);
}

#[tokio::test]
async fn the_tail_counts_lines_and_not_their_pieces_over_segments() {
    let directory = tempfile::tempdir().unwrap();
    let log = logs(&directory).log("inst-1").unwrap();
    let pad = "x".repeat(200);
    for text in ["one", "two", "three"] {
        for _ in 0..3 {
            let mut piece = line(1, &pad);
            piece.partial = true;
            log.append(&piece).unwrap();
        }
        log.append(&line(1, text)).unwrap();
    }
    let found = all(&log, Query { tail: Some(2), ..Query::default() }).await;
    assert_eq!(found.len(), 8, "{found:?}");
    assert_eq!((found[3].as_str(), found[7].as_str()), ("two", "three"));
}

#[tokio::test]
async fn old_segments_go_and_a_restart_finds_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let log = logs(&directory).log("inst-1").unwrap();
    for at in 0..100 {
        log.append(&line(at, &format!("line {at}"))).unwrap();
    }
    let files = std::fs::read_dir(directory.path().join("logs/inst-1")).unwrap();
    let sizes: Vec<u64> = files.map(|file| file.unwrap().metadata().unwrap().len()).collect();
    assert_eq!(sizes.len(), 3);
    assert!(sizes.iter().all(|size| *size <= 1000));
    let before = all(&log, Query::default()).await;
    assert_eq!(before.last().unwrap(), "line 99");
    drop(log);
    let log = logs(&directory).log("inst-1").unwrap();
    assert_eq!(all(&log, Query::default()).await, before);
    log.append(&line(100, "line 100")).unwrap();
    assert_eq!(all(&log, Query { tail: Some(2), ..Query::default() }).await, ["line 99", "line 100"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_gets_each_record_once_however_slow() {
    let directory = tempfile::tempdir().unwrap();
    let log = logs(&directory).log("inst-1").unwrap();
    for at in 0..5 {
        log.append(&line(at, &at.to_string())).unwrap();
    }
    let follow = |tail| Query { follow: true, tail, ..Query::default() };
    let mut readers = [log.read(follow(None)), log.read(follow(Some(2))), log.read(follow(None))];
    // The third has read nothing yet when nearly all that it will read is gone from the directory.
    let writer = {
        let log = Arc::clone(&log);
        tokio::task::spawn_blocking(move || {
            for at in 5..500 {
                log.append(&line(at, &at.to_string())).unwrap();
            }
        })
    };
    for (reader, first) in readers[..2].iter_mut().zip([0, 3]) {
        for at in first..500 {
            let record = timeout(LIMIT, reader.next()).await.unwrap().unwrap().unwrap();
            assert_eq!(record.line, at.to_string());
        }
    }
    writer.await.unwrap();
    let slow = &mut readers[2];
    slow.stop_following();
    let mut expected = 0;
    while let Some(record) = timeout(LIMIT, slow.next()).await.unwrap().unwrap() {
        assert_eq!(record.line, expected.to_string());
        expected += 1;
    }
    assert_eq!(expected, 500);
}

#[tokio::test]
async fn who_follows_waits_and_ends_with_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let logs = logs(&directory);
    let log = logs.log("inst-1").unwrap();
    let mut reader = log.read(Query { follow: true, ..Query::default() });
    // Given up at any moment, as in a select, it goes on where it was.
    for wait in 0..20 {
        assert!(timeout(Duration::from_micros(wait * 20), reader.next()).await.is_err());
    }
    log.append_all(&[line(1, "a"), line(2, "b")]).unwrap();
    let batch = timeout(LIMIT, reader.next_batch()).await.unwrap().unwrap().unwrap();
    assert_eq!(batch.iter().map(|record| record.line.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    log.append(&line(3, "c")).unwrap();
    logs.remove("inst-1").unwrap();
    assert_eq!(timeout(LIMIT, reader.next()).await.unwrap().unwrap().unwrap().line, "c");
    assert_eq!(timeout(LIMIT, reader.next()).await.unwrap().unwrap(), None);
    assert!(log.append(&line(4, "d")).is_err());
    assert!(!directory.path().join("logs/inst-1").exists());
    assert!(
        all(&logs.log("inst-1").unwrap(), Query::default()).await.is_empty(),
        "a new one of the same id is empty"
    );
}

#[tokio::test]
async fn who_has_begun_reads_on_when_the_log_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    for at in 0..60 {
        logs(&directory).log("inst-1").unwrap().append(&line(at, &at.to_string())).unwrap();
    }
    let logs = logs(&directory);
    let expected = all(&logs.log("inst-1").unwrap(), Query::default()).await;
    let mut reader = logs.log("inst-1").unwrap().read(Query::default());
    logs.remove("inst-1").unwrap();
    let mut found = Vec::new();
    while let Some(record) = timeout(LIMIT, reader.next()).await.unwrap().unwrap() {
        found.push(record.line);
    }
    assert!(found.len() > 20);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_reader_that_is_far_too_slow_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let log = logs(&directory).log("inst-1").unwrap();
    log.append(&line(0, "0")).unwrap();
    let mut reader = log.read(Query { follow: true, ..Query::default() });
    let pad = "x".repeat(900);
    for at in 1..100 {
        log.append(&line(at, &pad)).unwrap();
    }
    let error = timeout(LIMIT, reader.next()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("too slow"), "{error}");
}

#[test]
fn ids_are_names_and_what_belongs_to_nobody_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let logs = logs(&directory);
    for id in ["", "..", "a/b", "a b", "/etc"] {
        assert!(logs.log(id).is_err() && logs.remove(id).is_err(), "{id:?}");
    }
    logs.remove_all_but(|_| false).unwrap();
    logs.log("inst-1").unwrap();
    logs.log("task-2").unwrap();
    logs.remove_all_but(|id| id == "inst-1").unwrap();
    let left: Vec<_> = std::fs::read_dir(directory.path().join("logs")).unwrap().collect();
    assert_eq!(left.len(), 1);
    let mode = |path: &str| {
        let metadata = std::fs::metadata(directory.path().join("logs").join(path)).unwrap();
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
    };
    assert_eq!((mode("inst-1"), mode("inst-1/00000001.ndjson")), (0o700, 0o600));
    logs.remove("task-2").unwrap();
}
