//! What a crash leaves behind.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use super::*;

#[tokio::test]
async fn a_torn_line_is_cut_off_and_the_next_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let zeros = vec![0; 200_000];
    for torn in [&b"{\"ts\":\"2026-01-01T00:0"[..], b"x", &zeros] {
        let logs = logs(&directory);
        let log = logs.log("inst-1").unwrap();
        log.append(&line(1, "whole")).unwrap();
        drop(log);
        let path = directory.path().join("logs/inst-1/00000001.ndjson");
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(torn).unwrap();
        let log = logs.log("inst-1").unwrap();
        log.append(&line(2, "after")).unwrap();
        assert_eq!(all(&log, Query::default()).await, ["whole", "after"]);
        drop(log);
        logs.remove("inst-1").unwrap();
    }
}

#[tokio::test]
async fn a_damaged_record_in_the_middle_costs_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    let logs = logs(&directory);
    let path = directory.path().join("logs/inst-1");
    std::fs::create_dir_all(&path).unwrap();
    let good = |text| format!("{}\n", serde_json::to_string(&line(1, text)).unwrap());
    let text = [good("a").as_str(), "\0\0\0garbage\n", good("b").as_str()].concat();
    std::fs::write(path.join("00000001.ndjson"), text).unwrap();
    assert_eq!(all(&logs.log("inst-1").unwrap(), Query::default()).await, ["a", "b"]);
}

/// Appends until it is killed, and says each number once it is appended. Only does so when its parent asks.
#[test]
fn victim() {
    let Ok(path) = std::env::var("AEGIS_TEST_LOGS") else { return };
    let log = Logs::new(path.into(), Rotation { size: 100_000, count: 3 }).log("inst-1").unwrap();
    for at in 0_i64.. {
        log.append(&line(at, &format!("line {at}"))).unwrap();
        println!("appended {at}");
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_loses_nothing_that_was_appended() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "logs::tests::crash::victim", "--nocapture"])
        .env("AEGIS_TEST_LOGS", directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number =
        |line: &String| line.strip_prefix("appended ").and_then(|number| number.parse::<usize>().ok());
    // Into the second segment, so that one was rotated.
    let seen = said.by_ref().filter_map(|line| number(&line)).find(|at| *at == 1500).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let last = said.filter_map(|line| number(&line)).last().unwrap_or(seen);
    let log = Logs::new(directory.path().into(), Rotation { size: 100_000, count: 3 }).log("inst-1").unwrap();
    let found = all(&log, Query::default()).await;
    let first: usize = found[0].strip_prefix("line ").unwrap().parse().unwrap();
    for (at, line) in found.iter().enumerate() {
        assert_eq!(line, &format!("line {}", first + at));
    }
    // One more may have been appended than was said.
    assert!(first + found.len() > last, "{last} is missing");
}
