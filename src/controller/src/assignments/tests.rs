//! What hosts shall have, what they hear of it, and what they say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use aegis_core::{Outcome, Owner};
use aegis_wire::{
    Code,
    edge::{Command, Event, ObjectReport, ReportPhase},
    operator::{
        BeginPlan, Delivery, ListDeliveries, ObjectWrite, OperatorService, Write, WriteRefusal, WriteResult,
    },
    seal,
    token::Role,
};

use super::*;
use crate::testing::{Daemon, Host, Operator, capabilities, controller, hello, host, restarted};

struct Fleet {
    controller: Arc<Controller>,
    operator: Operator,
    hosts: Vec<Host>,
}

impl Fleet {
    /// With the hosts web-1 and db-1.
    async fn new() -> Self {
        let controller = controller().await;
        let operator = Operator::new(&controller, "default", Role::Operator);
        let mut hosts = Vec::new();
        for (number, name) in [(1, "web-1"), (2, "db-1")] {
            hosts.push(host(&controller, "default", number, name).await);
        }
        Self { controller, operator, hosts }
    }

    async fn write(
        &self,
        kind: &'static str,
        name: &str,
        body: Option<&str>,
        value: Option<&str>,
    ) -> WriteResult {
        let key = ObjectKey::new(kind, name);
        let (service, operator) = (&self.operator.service, &self.operator);
        let base = service.get_object(operator.call("GetObject"), key.clone()).await;
        let base = base.map_or(Revision(0), |object| object.revision);
        let plan = BeginPlan { owner: Owner::cli(), source: String::new(), owns: vec![] };
        let plan = service.begin_plan(operator.call("BeginPlan"), plan).await.unwrap();
        let write = ObjectWrite {
            key,
            base,
            write: body.map_or(Write::Delete, |body| Write::Put(Bytes::copy_from_slice(body.as_bytes()))),
            steps: vec![],
            outcome: Outcome::Updated,
            value: value.map(|value| aegis_core::Secret::new(value.as_bytes().to_vec())),
        };
        service.write_objects(operator.call("WriteObjects"), plan, vec![write]).await.unwrap().remove(0)
    }

    async fn app(&self, name: &str, target: &str) -> u64 {
        let body = format!(r#"{{"spec":{{"image":"a","command":["b"],"target":"{target}"}}}}"#);
        self.write("App", name, Some(&body), None).await.unwrap().0
    }

    async fn tag(&self, host: usize, tag: &str) {
        let body = format!(r#"{{"spec":{{"tags":["{tag}"]}}}}"#);
        self.write("EdgeNode", self.hosts[host].id.as_str(), Some(&body), None).await.unwrap();
    }

    async fn digest_of(&self, name: &str, value: &str) -> String {
        let key = self.operator.service.get_digest_key(self.operator.call("GetDigestKey")).await.unwrap();
        seal::digest(key.expose(), &[name], value.as_bytes())
    }

    async fn secret(&self, name: &str, digest: &str, value: Option<&str>) -> WriteResult {
        let body = format!(r#"{{"spec":{{"scope":"workspace","digest":"{digest}","target":"all"}}}}"#);
        self.write("Secret", name, Some(&body), value).await
    }

    async fn deliveries(&self) -> Vec<Delivery> {
        let call = self.operator.call("ListDeliveries");
        self.operator.service.list_deliveries(call, ListDeliveries::default()).await.unwrap()
    }
}

fn names(command: &Command) -> (u64, Vec<String>) {
    match command {
        Command::Assign { revision, objects } => {
            (*revision, objects.iter().map(|object| object.key.to_string()).collect())
        }
        other => panic!("{other:?}"),
    }
}

impl Daemon {
    async fn assigned(&mut self) -> (u64, Vec<String>) {
        names(&self.command().await.unwrap())
    }
    async fn reports(&mut self, revision: u64, name: &str, phase: ReportPhase, message: &str) {
        let objects = vec![ObjectReport::new(ObjectKey::new("App", name.to_owned()), phase, message)];
        self.send(&Event::ReportResult { revision, objects });
        self.heartbeat().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_is_told_what_it_shall_have_when_it_comes_and_whenever_that_changes() {
    let fleet = Fleet::new().await;
    let mut web = Daemon::connect(&fleet.controller, &fleet.hosts[0], "s1").await;
    let mut db = Daemon::connect(&fleet.controller, &fleet.hosts[1], "s2").await;
    // Nothing was ever assigned: nothing is said.
    web.heartbeat().await;
    let revision = fleet.app("shop", "tags=web").await;
    web.heartbeat().await;
    fleet.tag(0, "web").await;
    let (told, objects) = web.assigned().await;
    assert_eq!(objects, ["App/shop"]);
    assert!(told > revision);
    db.heartbeat().await;
    // Another spec of the same object.
    fleet.app("shop", "tags=AllOf(web)").await;
    assert_eq!(web.assigned().await.1, ["App/shop"]);
    // What changes nothing for a host isn't said again.
    fleet.app("other", "@db-1").await;
    assert_eq!(db.assigned().await.1, ["App/other"]);
    web.heartbeat().await;
    fleet.tag(0, "else").await;
    assert_eq!(web.assigned().await.1, Vec::<String>::new());
    fleet.write("App", "other", None, None).await.unwrap();
    assert_eq!(db.assigned().await.1, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_comes_later_hears_of_it_and_one_that_changes_too() {
    let fleet = Fleet::new().await;
    fleet.app("arm", "arch=aarch64").await;
    fleet.app("shop", "@web-1").await;
    fleet
        .write("EdgeGroup", "g", Some(r#"{"spec":{"selector":"tags=none","pinned":["db-1"]}}"#), None)
        .await
        .unwrap();
    fleet.app("grouped", "group:g").await;
    let mut web = Daemon::connect(&fleet.controller, &fleet.hosts[0], "s1").await;
    assert_eq!(web.assigned().await.1, ["App/shop"]);
    let mut db = Daemon::connect(&fleet.controller, &fleet.hosts[1], "s2").await;
    assert_eq!(db.assigned().await.1, ["App/grouped"]);
    let mut changed = capabilities("web-1");
    changed.arch = "aarch64".into();
    web.send(&Event::CapabilityUpdate(changed));
    assert_eq!(web.assigned().await.1, ["App/arm", "App/shop"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_shall_have_too_much_keeps_what_it_has_and_its_stream() {
    let fleet = Fleet::new().await;
    let mut web = Daemon::connect(&fleet.controller, &fleet.hosts[0], "s1").await;
    fleet.app("first", "@web-1").await;
    assert_eq!(web.assigned().await.1, ["App/first"]);
    let mut batch = aegis_store::Batch::new();
    let tenant = crate::testing::tenant("default");
    for number in 0..MAX_ASSIGNED {
        let key = keyspace::object(&tenant, &ObjectKey::new("App", format!("app-{number}")));
        batch.put(key, r#"{"spec":{"image":"a","command":["b"],"target":"@web-1"}}"#);
    }
    fleet.controller.store.commit(batch).await.unwrap();
    fleet.controller.assignments_changed(&tenant);
    web.heartbeat().await;
    let error = fleet.controller.assignment(&tenant, &fleet.hosts[0].id).unwrap_err();
    assert!(error.message.contains("at most 1000"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn another_tenants_hosts_get_nothing() {
    let fleet = Fleet::new().await;
    let foreign = host(&fleet.controller, "t-other", 9, "web-9").await;
    let mut daemon = Daemon::connect(&fleet.controller, &foreign, "s1").await;
    fleet.app("shop", "all").await;
    daemon.heartbeat().await;
    let deliveries = fleet.deliveries().await;
    assert!(deliveries.iter().all(|delivery| delivery.node_id != foreign.id), "{deliveries:?}");
    let other = Operator::new(&fleet.controller, "t-other", Role::Admin);
    let listed = other.service.list_deliveries(other.call("ListDeliveries"), ListDeliveries::default()).await;
    assert_eq!(listed.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_hosts_say_is_kept_and_is_about_what_is_declared_now() {
    let fleet = Fleet::new().await;
    fleet.app("shop", "all").await;
    let mut web = Daemon::connect(&fleet.controller, &fleet.hosts[0], "s1").await;
    let (revision, _) = web.assigned().await;
    web.reports(revision, "shop", ReportPhase::Failed, "no such image").await;
    let since = fleet.controller.clock.now();
    tokio::time::advance(Duration::from_mins(1)).await;
    // The same again changes nothing, not even the time.
    web.reports(revision, "shop", ReportPhase::Failed, "no such image").await;
    let of = |deliveries: Vec<Delivery>, name: &str| {
        deliveries.into_iter().find(|delivery| delivery.node_name == name).unwrap()
    };
    let said = of(fleet.deliveries().await, "web-1");
    assert_eq!((said.phase, said.message.as_str()), (Some(ReportPhase::Failed), "no such image"));
    assert_eq!(said.since.unwrap().as_second(), since.as_second());
    // One that hasn't said anything is listed all the same.
    assert_eq!(of(fleet.deliveries().await, "db-1").phase, None);
    // Another spec: what was said of the old one isn't about it.
    fleet.app("shop", "os=linux").await;
    assert_eq!(of(fleet.deliveries().await, "web-1").phase, None);
    let (revision, _) = web.assigned().await;
    web.reports(revision, "shop", ReportPhase::Ready, "").await;
    let again = restarted(&fleet.controller);
    let listed = deliveries(&again, &crate::testing::tenant("default"), &ListDeliveries::default()).unwrap();
    assert_eq!(of(listed, "web-1").phase, Some(ReportPhase::Ready));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_away_hears_that_it_shall_have_nothing_any_more() {
    let fleet = Fleet::new().await;
    fleet.app("shop", "all").await;
    let mut web = Daemon::connect(&fleet.controller, &fleet.hosts[0], "s1").await;
    let (revision, _) = web.assigned().await;
    web.reports(revision, "shop", ReportPhase::Ready, "").await;
    drop(web);
    fleet.write("App", "shop", None, None).await.unwrap();
    let mut web = Daemon::open(&fleet.controller, &fleet.hosts[0], "s2");
    web.send(&hello(&fleet.hosts[0]));
    web.command().await.unwrap();
    let (revision, objects) = web.assigned().await;
    assert!(objects.is_empty());
    web.send(&Event::ReportResult { revision, objects: vec![] });
    web.heartbeat().await;
    drop(web);
    // It has said that it has nothing: there is nothing more to say.
    let mut web = Daemon::connect(&fleet.controller, &fleet.hosts[0], "s3").await;
    web.heartbeat().await;
}

#[tokio::test(start_paused = true)]
async fn a_secrets_value_goes_to_hosts_and_to_nobody_else() {
    let fleet = Fleet::new().await;
    let digest = fleet.digest_of("TOKEN", "hunter2").await;
    fleet.secret("TOKEN", &digest, Some("hunter2")).await.unwrap();
    let mut web = Daemon::connect(&fleet.controller, &fleet.hosts[0], "s1").await;
    let Command::Assign { objects, .. } = web.command().await.unwrap() else { panic!() };
    assert_eq!(objects[0].value.as_ref().unwrap().expose(), b"hunter2");
    for entry in fleet.controller.store.list("").unwrap() {
        assert!(!entry.value.windows(7).any(|bytes| bytes == b"hunter2"), "{}", entry.key);
    }
    // The same digest without a value: nothing changes. Another without one: refused.
    fleet.secret("TOKEN", &digest, None).await.unwrap();
    assert_eq!(web.assigned().await.1, ["Secret/TOKEN"]);
    let other = fleet.digest_of("TOKEN", "hunter3").await;
    let error = fleet.secret("TOKEN", &other, None).await.unwrap_err();
    assert_eq!((error.refusal, error.message.contains("value is missing")), (WriteRefusal::Refused, true));
    let error = fleet.secret("TOKEN", &digest, Some("hunter3")).await.unwrap_err();
    assert!(error.message.contains("isn't the one that its digest says"), "{error}");
    fleet.write("Secret", "TOKEN", None, None).await.unwrap();
    assert!(fleet.controller.store.list(keyspace::SECRETS).unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn sealed_values_cannot_change_places() {
    let fleet = Fleet::new().await;
    for (name, value) in [("ONE", "first"), ("TWO", "second")] {
        let digest = fleet.digest_of(name, value).await;
        fleet.secret(name, &digest, Some(value)).await.unwrap();
    }
    let store = &*fleet.controller.store;
    let tenant = crate::testing::tenant("default");
    let row = store.get(&keyspace::secret(&tenant, "ONE")).unwrap().unwrap();
    let mut batch = aegis_store::Batch::new();
    batch.put(keyspace::secret(&tenant, "TWO"), row.value);
    store.commit(batch).await.unwrap();
    let error = fleet.controller.secrets.open(store, &tenant, "TWO").unwrap_err();
    assert_eq!(error.code, Code::Internal);
    assert!(error.message.contains("another key or for another place"), "{error}");
}

#[test]
fn a_lost_key_is_a_refusal_and_makes_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = aegis_store::MemoryStore::new();
    Secrets::load_or_make(folder.path(), &store).unwrap();
    Secrets::load_or_make(folder.path(), &store).unwrap();
    let key = folder.path().join("secrets.key");
    assert_eq!(std::fs::read(&key).unwrap().len(), seal::KEY_LENGTH);
    std::fs::write(&key, [1; 7]).unwrap();
    assert!(Secrets::load_or_make(folder.path(), &store).unwrap_err().to_string().contains("32 bytes"));
    std::fs::remove_file(&key).unwrap();
    let mut batch = aegis_store::Batch::new();
    batch.put(keyspace::secret(&crate::testing::tenant("default"), "TOKEN"), "sealed");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.commit(batch)).unwrap();
    let error = Secrets::load_or_make(folder.path(), &store).unwrap_err().to_string();
    assert!(error.contains("restore it from a backup"), "{error}");
    assert!(!key.exists());
}
