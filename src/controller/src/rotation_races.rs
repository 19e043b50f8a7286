//! Rotations while somebody else changes the same things at the same time.

use std::collections::BTreeSet;

use aegis_store::{
    Bus, Entry, LocalBus, MemoryStore, Pending, Record, Registration, Store, StoreError, Watch,
};

use super::*;

/// A store in which somebody else is faster: what is prepared is written right before the next commit.
#[derive(Default)]
struct Overtaken {
    store: MemoryStore,
    next: std::sync::Mutex<Option<(String, Vec<u8>)>>,
    /// The key before whose next reading it is written already.
    reading: std::sync::Mutex<Option<String>>,
}

impl Overtaken {
    fn write(&self) {
        if let Some((key, value)) = crate::lock(&self.next).take() {
            let mut faster = Batch::new();
            faster.put(key, value);
            self.store.commit(faster).detach();
        }
    }

    fn prepare(&self, key: String, value: impl Into<Vec<u8>>) {
        *crate::lock(&self.next) = Some((key, value.into()));
    }
}

impl Store for Overtaken {
    fn commit(&self, batch: Batch) -> Pending {
        self.write();
        self.store.commit(batch)
    }
    fn revision(&self) -> Revision {
        self.store.revision()
    }
    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        if crate::lock(&self.reading).take_if(|at| at == key).is_some() {
            self.write();
        }
        self.store.get(key)
    }
    fn scan(
        &self,
        prefix: &str,
        order: aegis_store::Order,
        visit: &mut dyn FnMut(&str, &[u8], Revision) -> bool,
    ) -> Result<(), StoreError> {
        self.store.scan(prefix, order, visit)
    }
    fn log(&self, log: &str, after: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.store.log(log, after, limit)
    }
    fn changes(&self, since: Revision, prefix: &str) -> Result<Option<BTreeSet<String>>, StoreError> {
        self.store.changes(since, prefix)
    }
    fn watch(&self, prefix: &str) -> Watch {
        self.store.watch(prefix)
    }
    fn backup(&self, path: &std::path::Path) -> Result<(), StoreError> {
        self.store.backup(path)
    }
}

/// A controller with a host, and the store in which somebody else is faster.
async fn overtakable() -> (Arc<Overtaken>, Arc<Controller>, Host) {
    let store = Arc::new(Overtaken::default());
    let controller = with_parts(|parts| parts.store = store.clone()).await;
    let host = host(&controller, "default", 1, "web-1").await;
    (store, controller, host)
}

#[tokio::test(start_paused = true)]
async fn another_rotation_or_a_revocation_that_was_faster_wins() {
    for new in [1, 2] {
        let (store, controller, host) = overtakable().await;
        let revoked = Node { standing: nodes::Standing::Revoked, ..stored(&controller, &host) };
        let request = request(&controller, &host, &key(new)).await;
        store.prepare(keyspace::node(&host.id), json(&revoked));
        assert_eq!(send(&controller, request).await.unwrap_err().reason, Some(Reason::Revoked), "{new}");
        assert_eq!(stored(&controller, &host), revoked);
    }
    let (store, controller, host) = overtakable().await;
    let rotation = Some(Rotation { previous_key: key(1).public(), at_ms: controller.clock.now_ms() });
    let rotated = Node { public_key: key(3).public(), rotation, ..stored(&controller, &host) };
    let request = request(&controller, &host, &key(2)).await;
    store.prepare(keyspace::node(&host.id), json(&rotated));
    let error = send(&controller, request).await.unwrap_err();
    assert!(error.message.contains("was rotated meanwhile"), "{error}");
    assert_eq!(stored(&controller, &host), rotated);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_between_two_readings_is_told_from_a_revoked_token() {
    let (store, controller, host) = overtakable().await;
    let node = stored(&controller, &host);
    let spent = keyspace::jti(&node.jti);
    let mut batch = Batch::new();
    batch.put(&spent, json(&Spent { node: host.id.clone(), ends: i64::MAX }));
    controller.store.commit(batch).await.unwrap();
    let rotation = Some(Rotation { previous_key: key(1).public(), at_ms: controller.clock.now_ms() });
    let rotated = Node { public_key: key(3).public(), rotation, ..node };
    let request = request(&controller, &host, &key(2)).await;
    store.prepare(keyspace::node(&host.id), json(&rotated));
    *crate::lock(&store.reading) = Some(spent);
    let error = send(&controller, request).await.unwrap_err();
    assert!(error.message.contains("was rotated meanwhile"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_taken_a_moment_ago_is_taken() {
    let (store, controller, host) = overtakable().await;
    let id = NodeId::of_public_key(key(2).public().as_bytes());
    let enrolled = Node { id: id.clone(), public_key: key(2).public(), ..stored(&controller, &host) };
    let first = request(&controller, &host, &key(2)).await;
    store.prepare(keyspace::node(&id), json(&enrolled));
    assert_eq!(send(&controller, first).await.unwrap_err().code, Code::Conflict);
    let second = request(&controller, &host, &key(3)).await;
    store.prepare(keyspace::rotated_key(&key(3).public()), id.as_str());
    assert_eq!(send(&controller, second).await.unwrap_err().code, Code::Conflict);
    let token = enrollment_token(&controller, "t-other", "");
    store.prepare(keyspace::rotated_key(&key(4).public()), host.id.as_str());
    let error = enroll(&controller, &key(4), &token, "h").await.unwrap_err();
    assert_eq!(error.message, "this host's key can't be enrolled here; the token is still usable");
    assert_eq!(stored(&controller, &host).public_key, key(1).public());
}

/// A bus before whose first registration the node's key changes: when the stream was verified, and isn't known yet.
struct LateBus {
    bus: LocalBus<Order>,
    store: Arc<dyn aegis_store::Store>,
    change: std::sync::Mutex<Option<Node>>,
}

impl Bus<Order> for LateBus {
    fn register(&self, node: &NodeId) -> Registration<Order> {
        if let Some(node) = crate::lock(&self.change).take() {
            let mut batch = Batch::new();
            batch.put(keyspace::node(&node.id), json(&node));
            self.store.commit(batch).detach();
        }
        self.bus.register(node)
    }
    fn send(&self, node: &NodeId, message: Order) -> Result<(), NotRouted> {
        self.bus.send(node, message)
    }
    fn poke(&self, node: &NodeId) {
        self.bus.poke(node);
    }
    fn evict(&self, node: &NodeId) {
        self.bus.evict(node);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_begins_while_the_key_changes_is_refused() {
    let mut kept = None;
    let controller = with_parts(|parts| {
        let store = parts.store.clone();
        let late = Arc::new(LateBus { bus: LocalBus::default(), store, change: std::sync::Mutex::default() });
        parts.bus = late.clone();
        kept = Some(late);
    })
    .await;
    let host = host(&controller, "default", 1, "web-1").await;
    let changed = Node { public_key: key(2).public(), ..stored(&controller, &host) };
    *crate::lock(&kept.unwrap().change) = Some(changed);
    let mut stream = Daemon::open(&controller, &host, "s1");
    stream.send(&hello(&host));
    assert_eq!(stream.end().await.unwrap(), not_accepted());
    assert!(controller.live.connected().is_empty());
}
