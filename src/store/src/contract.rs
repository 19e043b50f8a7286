//! What every engine must do. Each test runs over all of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{collections::BTreeSet, sync::Arc};

use aegis_core::Revision;

use crate::{Batch, Changed, CommitError, LmdbOptions, LmdbStore, MemoryStore, Order, Store, StoreError};

/// Runs `test` over a fresh store of every engine. Both remember ten changed keys.
fn each(test: impl Fn(&str, Arc<dyn Store>)) {
    test("memory", Arc::new(MemoryStore::with_change_rows(10)));
    let directory = tempfile::tempdir().unwrap();
    let options = LmdbOptions { map_size: 1 << 20, change_rows: 10, restored: false };
    test("lmdb", Arc::new(LmdbStore::open_with(&directory.path().join("store"), &options).unwrap()));
}

fn one(key: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, "1");
    batch
}

fn put(store: &dyn Store, key: &str, value: &str) -> Revision {
    let mut batch = Batch::new();
    batch.put(key, value);
    store.commit(batch).wait().unwrap()
}

fn keys(found: &[&str]) -> BTreeSet<String> {
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_key_keeps_the_revision_of_its_last_write() {
    each(|engine, store| {
        assert_eq!(store.revision(), Revision(0), "{engine}");
        assert_eq!(put(&*store, "a", "1"), Revision(1));
        assert_eq!(put(&*store, "b", "1"), Revision(2));
        assert_eq!(put(&*store, "a", "2"), Revision(3));
        let entry = store.get("a").unwrap().unwrap();
        assert_eq!((entry.value.as_slice(), entry.revision), (&b"2"[..], Revision(3)), "{engine}");
        assert_eq!(store.get("b").unwrap().unwrap().revision, Revision(2));
        assert_eq!(store.get("c").unwrap(), None);
        assert_eq!(store.revision(), Revision(3));
    });
}

#[test]
fn a_failed_check_writes_nothing_at_all() {
    each(|engine, store| {
        put(&*store, "a", "1");
        for (key, revision, found) in [("a", 0, 1), ("a", 7, 1), ("absent", 1, 0)] {
            let mut batch = Batch::new();
            batch.put("x", "1").append("log", |_, _| vec![1]).check(key, Revision(revision));
            let stale = CommitError::Stale { key: key.to_owned(), found: Revision(found) };
            assert_eq!(store.commit(batch).wait(), Err(stale), "{engine}");
        }
        assert_eq!(store.get("x").unwrap(), None, "{engine}");
        assert_eq!(store.log("log", 0, 9).unwrap(), []);
        assert_eq!(store.revision(), Revision(1));
        let mut batch = Batch::new();
        batch.check("a", Revision(1)).check("x", Revision(0)).put("x", "1").delete("a");
        assert_eq!(store.commit(batch).wait(), Ok(Revision(2)), "{engine}");
        assert_eq!(store.get("a").unwrap(), None);
    });
}

#[test]
fn of_batches_from_one_revision_exactly_one_wins() {
    each(|engine, store| {
        put(&*store, "a", "0");
        let pending: Vec<_> = (0..50)
            .map(|number: u8| {
                let mut batch = Batch::new();
                batch.check("a", Revision(1)).put("a", [number]);
                store.commit(batch)
            })
            .collect();
        let won = pending.into_iter().filter_map(|pending| pending.wait().ok()).count();
        assert_eq!(won, 1, "{engine}");
        assert_eq!(store.get("a").unwrap().unwrap().value, [0], "the first");
    });
}

#[test]
fn a_prefix_is_visited_in_order_both_ways() {
    each(|engine, store| {
        for key in ["t/b", "t/a", "t0", "s/z", "t/a/1", "t/c"] {
            put(&*store, key, key);
        }
        let found: Vec<String> = store.list("t/").unwrap().into_iter().map(|entry| entry.key).collect();
        assert_eq!(found, ["t/a", "t/a/1", "t/b", "t/c"], "{engine}");
        let mut newest = Vec::new();
        store
            .scan("t/", Order::Falling, &mut |key, _, _| {
                newest.push(key.to_owned());
                newest.len() < 2
            })
            .unwrap();
        assert_eq!(newest, ["t/c", "t/b"], "{engine}");
        assert_eq!(store.list("").unwrap().len(), 6);
    });
}

#[test]
fn a_log_has_no_gaps_and_sees_its_last_record() {
    each(|engine, store| {
        let append = |log: &str| {
            let mut batch = Batch::new();
            batch.append(log, |sequence, previous| {
                let mut value = previous.unwrap_or_default().to_vec();
                value.push(u8::try_from(sequence).unwrap());
                value
            });
            store.commit(batch)
        };
        let pending: Vec<_> = (0..5).map(|_| append("audit")).collect();
        append("audit2").wait().unwrap();
        for pending in pending {
            assert_eq!(pending.wait(), Ok(Revision(0)), "{engine}: a log raises no revision");
        }
        let records = store.log("audit", 0, 99).unwrap();
        assert_eq!(
            records.iter().map(|record| record.sequence).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5],
            "{engine}"
        );
        assert_eq!(records[4].value, [1, 2, 3, 4, 5]);
        assert_eq!(store.log("audit", 3, 1).unwrap()[0].sequence, 4);
        assert_eq!(store.log("audit2", 0, 99).unwrap().len(), 1);
        assert_eq!(store.log("audi", 0, 99).unwrap(), []);
    });
}

#[test]
fn changes_are_told_until_they_are_too_old() {
    each(|engine, store| {
        put(&*store, "a/1", "1");
        put(&*store, "b/1", "1");
        let mut batch = Batch::new();
        batch.put("a/2", "1").delete("a/1");
        store.commit(batch).wait().unwrap();
        assert_eq!(store.changes(Revision(1), "a/").unwrap(), Some(keys(&["a/1", "a/2"])), "{engine}");
        assert_eq!(store.changes(Revision(3), "").unwrap(), Some(keys(&[])));
        assert_eq!(store.changes(Revision(4), "").unwrap(), None, "{engine}: a revision that never was");
        for number in 0..40 {
            put(&*store, &format!("c/{number}"), "1");
        }
        assert_eq!(store.changes(Revision(1), "a/").unwrap(), None, "{engine}: too long ago");
        let last = store.changes(Revision(store.revision().0 - 10), "c/").unwrap().unwrap();
        assert_eq!(last.len(), 10, "{engine}: the last ten are always there");
    });
}

#[test]
fn a_watcher_learns_of_its_prefix_only() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    each(|engine, store| {
        let mut watch = store.watch("a/");
        put(&*store, "b/1", "1");
        put(&*store, "a/1", "1");
        let mut quiet = one("a/quiet");
        quiet.quiet = true;
        assert_eq!(store.commit(quiet).wait(), Ok(Revision(3)), "{engine}");
        let quietly = store.changes(Revision(2), "").unwrap();
        assert_eq!(quietly, Some(keys(&[])), "{engine}: nobody needs to hear of it");
        let changed = runtime.block_on(watch.next());
        assert_eq!(changed, Some(Changed::Keys(Revision(2), keys(&["a/1"]))), "{engine}");
        for number in 0..2000 {
            store.commit(one(&format!("a/{number}"))).detach();
        }
        store.commit(one("a/last")).wait().unwrap();
        assert_eq!(runtime.block_on(watch.next()), Some(Changed::Everything), "{engine}: it fell behind");
        drop(store);
        while let Some(changed) = runtime.block_on(watch.next()) {
            assert!(matches!(changed, Changed::Keys(..)), "{engine}");
        }
    });
}

#[test]
fn keys_have_a_bound() {
    each(|engine, store| {
        for length in [0, crate::MAX_KEY + 1] {
            let mut batch = Batch::new();
            batch.put("k".repeat(length), "1");
            let error = CommitError::Store(StoreError::KeyLength(length));
            assert_eq!(store.commit(batch).wait(), Err(error), "{engine}");
        }
        put(&*store, &"k".repeat(crate::MAX_KEY), "1");
    });
}
