//! The realm of a store behaves as the realm of memory does, and more: it keeps the history.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use aegis_core::{ObjectKey, Outcome, Owner, Revision, outcome::Summary, ownership::Policy};
use aegis_engine::{
    apply, declare,
    event::Report,
    intent::{Intent, Wish},
    manifest::Sources,
    memory::MemoryRealm,
    plan::{Plan, Snapshot},
    realm::{Provenance, Realm, Write, Written},
    rollback,
};
use aegis_kinds::{Secret, SecretEdit, SecretScope, ValueDigest};
use proptest::{collection, prelude::*, sample::select};

use super::StoreRealm;
use crate::{LmdbStore, MemoryStore, Store};

const KINDS: &[&str] = &["App", "Kit", "Secret"];

fn realm_on<S: Store>(store: Arc<S>) -> StoreRealm<S> {
    let ticks = AtomicI64::new(1);
    StoreRealm::new(store, "realm/", KINDS, "tester", Arc::new(move || ticks.fetch_add(1, Ordering::Relaxed)))
}

fn realm() -> StoreRealm<MemoryStore> {
    realm_on(Arc::new(MemoryStore::new()))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

async fn plan<R: Realm>(realm: &R, owner: &str, prune: bool, text: &str) -> Plan {
    let sources = Sources::from_texts([("test.yaml", text.as_bytes())]).unwrap();
    let owner = Owner::new(owner).unwrap();
    let by = Provenance { owner: owner.clone(), source: "apply -f test.yaml".into() };
    let policy = Policy { owner, prune, force_conflicts: true };
    declare::plan(realm, &sources, by, policy, None).await.unwrap().plan
}

async fn apply<R: Realm>(realm: &R, owner: &str, prune: bool, text: &str) -> Report {
    let plan = plan(realm, owner, prune, text).await;
    apply::apply(realm, plan, &|| false, &mut |_| {}).await.unwrap()
}

fn app(name: &str, image: &str, more: &str) -> String {
    format!(
        "---\napiVersion: aegis.dev/v1\nkind: App\nmetadata: {{name: {name}}}\nspec: {{image: \"{image}\", command: [run]{more}}}\n"
    )
}

async fn dump<R: Realm>(realm: &R) -> BTreeMap<ObjectKey, serde_json::Value> {
    let objects = realm.objects(KINDS).await.unwrap();
    objects.into_iter().map(|o| (o.key, serde_json::from_slice(&o.body).unwrap())).collect()
}

fn write(key: &ObjectKey, base: u64, body: Option<&str>) -> Write {
    Write {
        key: key.clone(),
        base: Revision(base),
        next: body.map(|body| body.as_bytes().to_vec()),
        steps: vec!["+ image a".into()],
        outcome: Outcome::Updated,
    }
}

const BODY: &str = r#"{"spec":{"image":"a","command":["run"]}}"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is applied by whom, a store and the memory of a test end up the same, and nothing is left to plan.
    #[test]
    fn it_does_what_the_realm_of_memory_does(
        steps in collection::vec(
            (select(vec!["one", "two"]), any::<bool>(),
             collection::btree_map(select(vec!["a", "b", "c"]), select(vec!["x:1", "x:2"]), 0..3)),
            1..6,
        ),
    ) {
        runtime().block_on(async {
            let (store, memory) = (realm(), MemoryRealm::default());
            for (owner, prune, apps) in steps {
                let text: String = apps.iter().map(|(name, image)| app(name, image, "")).collect();
                let left = apply(&store, owner, prune, &text).await;
                let right = apply(&memory, owner, prune, &text).await;
                assert_eq!(left.summary, right.summary);
                assert_eq!(left.revision, right.revision);
                assert_eq!(dump(&store).await, dump(&memory).await);
                let owner_name = Owner::new(owner).unwrap();
                assert_eq!(
                    store.inventory(&owner_name).await.unwrap(),
                    memory.inventory(&owner_name).await.unwrap()
                );
                assert!(!plan(&store, owner, prune, &text).await.writes());
            }
            for revision in 1..=3 {
                let left = store.past(Revision(revision)).await.unwrap();
                let right = memory.past(Revision(revision)).await.unwrap();
                assert_eq!(left.is_some(), right.is_some());
            }
        });
    }
}

#[tokio::test]
async fn a_write_is_refused_when_the_object_is_not_as_it_was_read() {
    let realm = realm();
    let key = ObjectKey::new("App", "web");
    let by = Provenance { owner: Owner::new("f").unwrap(), source: "test".into() };
    let plan = realm.begin(&by, vec![key.clone()]).await.unwrap();
    let done = realm.write(plan, vec![write(&key, 0, Some(BODY))]).await.unwrap();
    let [Written::Done(revision)] = done.as_slice() else { panic!("{done:?}") };
    let stale = realm.write(plan, vec![write(&key, 0, Some(BODY))]).await.unwrap();
    assert_eq!(stale, [Written::Stale]);
    // Twice in one request, unknown kinds and bodies that break a rule.
    let again = write(&key, revision.0, Some(BODY));
    let node = write(&ObjectKey::new("EdgeNode", "n-1"), 0, Some(BODY));
    let broken = write(&ObjectKey::new("App", "Not_A_Label"), 0, Some(BODY));
    let results = realm.write(plan, vec![again.clone(), again, node, broken]).await.unwrap();
    assert!(
        matches!(
            results.as_slice(),
            [Written::Done(_), Written::Stale, Written::Refused(_), Written::Refused(_)]
        ),
        "{results:?}"
    );
    realm.finish(plan, vec![], &Summary::default()).await.unwrap();
    assert!(realm.write(plan, vec![write(&key, 3, None)]).await.is_err());
    assert!(realm.write(Revision(9), vec![]).await.unwrap().is_empty());
    assert!(realm.write(Revision(9), vec![write(&key, 3, None)]).await.is_err());
}

#[tokio::test]
async fn what_was_applied_is_kept_and_can_be_rolled_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    {
        let realm = realm_on(Arc::new(LmdbStore::open(&path).unwrap()));
        apply(&realm, "f", true, &app("web", "x:1", ", env: {A: \"1\"}")).await;
        apply(&realm, "f", true, &(app("web", "x:2", "") + &app("api", "x:1", ""))).await;
    }
    // After a restart everything is there.
    let realm = realm_on(Arc::new(LmdbStore::open(&path).unwrap()));
    let plans = realm.plans(10, None).unwrap();
    assert_eq!(plans.iter().map(|p| p.revision.0).collect::<Vec<_>>(), [2, 1]);
    assert!(plans.iter().all(|p| p.finished_at_ms > p.started_at_ms && p.subject == "tester"));
    assert!(realm.plans(10, Some(&Owner::new("g").unwrap())).unwrap().is_empty());
    let (_, changes) = realm.plan(Revision(2)).unwrap().unwrap();
    assert_eq!(changes.len(), 2);
    assert!(changes[1].before.contains("x:1") && changes[0].before.is_empty());
    assert!(realm.plan(Revision(3)).unwrap().is_none());

    let (owner, wishes) = rollback::wishes(&realm, Revision(1)).await.unwrap();
    let policy = Policy { owner: owner.clone(), prune: true, force_conflicts: false };
    let objects = realm.objects(KINDS).await.unwrap();
    let snapshot = Snapshot {
        objects: objects.into_iter().map(|object| (object.key.clone(), object)).collect(),
        inventory: realm.inventory(&owner).await.unwrap(),
        ..Snapshot::default()
    };
    let by = Provenance { owner, source: "rollback 1".into() };
    let plan = Plan::new(by, policy, wishes, Vec::new(), &snapshot).unwrap();
    apply::apply(&realm, plan, &|| false, &mut |_| {}).await.unwrap();
    let left = dump(&realm).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[&ObjectKey::new("App", "web")]["spec"]["image"], "x:1");
    assert_eq!(left[&ObjectKey::new("App", "web")]["spec"]["env"]["A"], "1");
}

#[tokio::test]
async fn what_belongs_to_a_write_is_in_its_commit_or_the_write_is_refused() {
    let realm = realm();
    let key = ObjectKey::new("Secret", "API_KEY");
    let edit = SecretEdit::Set { scope: SecretScope::Workspace, digest: ValueDigest::new(&[1; 32]) };
    let wish = Wish { key: key.clone(), intent: Intent::edit::<Secret>(edit), document: None };
    let policy = Policy { owner: Owner::cli(), prune: true, force_conflicts: false };
    let body = match wish.intent.plan("Secret", b"", &policy).unwrap().next {
        aegis_kinds::Next::Body(body) => String::from_utf8(body).unwrap(),
        other => panic!("{other:?}"),
    };
    let by = Provenance { owner: Owner::cli(), source: "secret set-workspace".into() };
    let plan = realm.begin(&by, vec![]).await.unwrap();
    let refused =
        realm.write_with(plan, vec![write(&key, 0, Some(&body))], &|_, _| Err("no value".into())).await;
    assert_eq!(refused.unwrap(), [Written::Refused("no value".into())]);
    assert!(realm.get(&key).unwrap().is_none());
    let sealed = |write: &Write, batch: &mut crate::Batch| {
        batch.put(format!("sealed/{}", write.key.name), "…");
        Ok(())
    };
    realm.write_with(plan, vec![write(&key, 0, Some(&body))], &sealed).await.unwrap();
    let rows = [
        realm.get(&key).unwrap().unwrap().revision,
        realm.store().get("sealed/API_KEY").unwrap().unwrap().revision,
    ];
    assert_eq!(rows[0], rows[1]);
    // An imperative plan owns nothing.
    assert!(realm.inventory(&Owner::cli()).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_watches_is_told_and_changes_are_listed() {
    let realm = realm();
    let mut watch = realm.watch();
    let before = realm.changes(Revision(0)).await.unwrap();
    assert!(before.complete && before.keys.is_empty());
    apply(&realm, "f", false, &app("web", "x:1", "")).await;
    assert!(watch.next().await.is_some());
    let changes = realm.changes(before.revision).await.unwrap();
    assert_eq!(changes.keys.into_iter().collect::<Vec<_>>(), [ObjectKey::new("App", "web")]);
    assert!(!realm.changes(Revision(u64::MAX)).await.unwrap().complete);
}
