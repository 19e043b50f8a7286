//! What only the durable engine does: it survives, grows, is locked, is copied, refuses what is newer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
    process::Command,
};

use aegis_core::Revision;

use super::{FORMAT, LmdbStore, Options};
use crate::{Batch, Store, StoreError};

const SMALL: Options = Options { map_size: 1 << 20, change_rows: 100, restored: false };

fn open(directory: &Path) -> LmdbStore {
    LmdbStore::open_with(directory, &SMALL).unwrap()
}

fn put(store: &LmdbStore, key: &str, value: impl Into<Vec<u8>>) {
    let mut batch = Batch::new();
    batch.put(key, value).append("log", |sequence, _| vec![u8::try_from(sequence % 256).unwrap()]);
    store.commit(batch).wait().unwrap();
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "a", "1");
    store
        .commit({
            let mut batch = Batch::new();
            batch.put("b", "2");
            batch.lazy = true;
            batch
        })
        .detach();
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.get("a").unwrap().unwrap().revision, Revision(1));
    assert_eq!(store.get("b").unwrap().unwrap().revision, Revision(2), "queued before closing, so written");
    assert_eq!(store.revision(), Revision(2));
    assert_eq!(store.log("log", 0, 9).unwrap().len(), 1);
}

#[test]
fn the_map_grows_by_need() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..40 {
        put(&store, &format!("k/{number}"), vec![7; 100_000]);
    }
    assert_eq!(store.list("k/").unwrap().len(), 40);
    assert_eq!(store.log("log", 0, 99).unwrap().len(), 40, "a batch that was tried twice counts once");
    assert_eq!(store.revision(), Revision(40));
    drop(store);
    let store = open(directory.path());
    put(&store, "k/40", vec![7; 100_000]);
    assert_eq!(store.list("k/").unwrap().len(), 41);
}

#[test]
fn a_second_process_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let _store = open(directory.path());
    match LmdbStore::open(directory.path()) {
        Err(error @ StoreError::InUse { .. }) => {
            let text = error.to_string();
            assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_owner_may_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/store");
    let _store = open(&path);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("data.mdb")), 0o600);
    assert_eq!(mode(&path.join("lock.mdb")), 0o600);
    assert_eq!(mode(&path.join("aegis.lock")), 0o600);
}

#[test]
fn a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut transaction = store.shared.env.write_txn().unwrap();
    store.shared.tables.set_meta_number(&mut transaction, "format", FORMAT + 1).unwrap();
    transaction.commit().unwrap();
    drop(store);
    let error = LmdbStore::open(directory.path()).unwrap_err();
    assert_eq!(error, StoreError::Newer { found: FORMAT + 1, known: FORMAT });
}

#[test]
fn a_hot_copy_opens_as_a_store_with_revisions_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("one"));
    put(&store, "a", "1");
    let copy = directory.path().join("two");
    std::fs::create_dir(&copy).unwrap();
    store.backup(&copy.join("data.mdb")).unwrap();
    assert!(store.backup(&copy.join("data.mdb")).is_err(), "it never overwrites");
    put(&store, "a", "2");
    let restored = LmdbStore::open_with(&copy, &Options { restored: true, ..SMALL }).unwrap();
    assert_eq!(restored.get("a").unwrap().unwrap().value, b"1");
    assert_eq!(
        restored.changes(store.revision(), "").unwrap(),
        None,
        "what was read from the lost one is too old"
    );
    put(&restored, "a", "3");
    assert!(restored.get("a").unwrap().unwrap().revision > Revision(1 << 32));
    assert_eq!(restored.log("log", 0, 9).unwrap().len(), 2, "logs go on without a gap");
}

/// The victim of the test below: commits until it is killed, and says what was acknowledged.
#[test]
#[ignore = "started by kill_9_around_any_commit_loses_nothing_acknowledged"]
#[allow(clippy::print_stdout, reason = "that is how the parent learns")]
fn victim() {
    let Ok(directory) = std::env::var("AEGIS_TEST_STORE") else { return };
    let store = open(Path::new(&directory));
    crate::fault::arm();
    for number in 0..20_u8 {
        let mut batch = Batch::new();
        batch
            .put("last", [number])
            .put(format!("k/{number}"), [number])
            .append("log", move |_, _| vec![number]);
        store.commit(batch).wait().unwrap();
        println!("acknowledged {number}");
    }
}

#[test]
fn kill_9_around_any_commit_loses_nothing_acknowledged() {
    for (point, passes) in [("before", 1), ("before", 7), ("after", 1), ("after", 7)] {
        let directory = tempfile::tempdir().unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lmdb::tests::victim", "--ignored", "--nocapture"])
            .env("AEGIS_TEST_STORE", directory.path())
            .env("AEGIS_FAULT", format!("store.commit.{point}:{passes}"))
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(9), "{point}:{passes}");
        let acknowledged = String::from_utf8_lossy(&output.stdout).matches("acknowledged").count();
        assert_eq!(acknowledged, passes - 1, "{point}:{passes}");
        let store = open(directory.path());
        let kept = store.list("k/").unwrap().len();
        assert!((acknowledged..=acknowledged + 1).contains(&kept), "{point}:{passes}: {kept}");
        // All of a commit, or nothing of it.
        assert_eq!(store.revision(), Revision(kept as u64));
        assert_eq!(store.log("log", 0, 99).unwrap().len(), kept);
        assert_eq!(store.get("last").unwrap().is_some(), kept > 0);
        put(&store, "after", "1");
    }
}
