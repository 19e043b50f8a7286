//! One test a rule of the operators' calls: roles, tenants, conditional writes, targets, history, audit.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use aegis_core::{ObjectKey, Outcome, Owner, Revision, outcome::Summary};
use aegis_wire::{
    ApiError, Code, ServerSigningKey, SigningKey,
    edge::Command,
    operator::{
        Bearer, BeginPlan, CreateEnrollmentToken, CreateUserToken, FinishPlan, ListAudit, ListHistory,
        ListNodes, ListObjects, METHODS, NodeStatus, ObjectWrite, OperatorService, PlanNumber, ShutdownNode,
        SkipReason, Write, WriteRefusal, WriteResult,
    },
    token::Role,
};
use futures::TryStreamExt;

use super::*;

use crate::{
    background, keyspace,
    testing::{Daemon, Host, Operator, audit_lines, controller, enrollment_token, host, tenant, with_parts},
};

#[path = "inventory_tests.rs"]
mod inventory;
#[path = "role_tests.rs"]
mod roles;

fn key(kind: &'static str, name: &str) -> ObjectKey {
    ObjectKey::new(kind, name)
}

fn group(selector: &str) -> String {
    format!(r#"{{"spec":{{"selector":"{selector}"}}}}"#)
}

fn put(key: ObjectKey, base: u64, body: &str) -> ObjectWrite {
    let body = bytes::Bytes::copy_from_slice(body.as_bytes());
    ObjectWrite {
        key,
        base: Revision(base),
        write: Write::Put(body),
        steps: vec!["+ something".into()],
        outcome: Outcome::Created,
        value: None,
    }
}

impl Operator {
    async fn begin(&self, owns: Vec<ObjectKey>) -> PlanNumber {
        let plan =
            BeginPlan { owner: Owner::new("fleet").unwrap(), source: "apply -f fleet.yaml".into(), owns };
        self.service.begin_plan(self.call("BeginPlan"), plan).await.unwrap()
    }
    async fn write(&self, plan: PlanNumber, writes: Vec<ObjectWrite>) -> Vec<WriteResult> {
        self.service.write_objects(self.call("WriteObjects"), plan, writes).await.unwrap()
    }
    /// Writes one object under a plan of its own.
    async fn apply(&self, write: ObjectWrite) -> Revision {
        let plan = self.begin(vec![write.key.clone()]).await;
        self.write(plan, vec![write]).await.remove(0).unwrap()
    }
    async fn get(&self, key: ObjectKey) -> Result<Object, ApiError> {
        self.service.get_object(self.call("GetObject"), key).await
    }
    async fn list(&self, kinds: &[&str]) -> Vec<Object> {
        let which = ListObjects { kinds: kinds.iter().map(ToString::to_string).collect(), name: None };
        self.service.list_objects(self.call("ListObjects"), which).await.unwrap()
    }
    async fn target(&self, text: &str) -> Result<(Vec<String>, Vec<(String, SkipReason)>), ApiError> {
        let found = self.service.resolve_target(self.call("ResolveTarget"), text.to_owned()).await?;
        let skipped = found.skipped.into_iter().map(|skipped| (skipped.name, skipped.reason)).collect();
        Ok((found.nodes.into_iter().map(|node| node.name).collect(), skipped))
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenants_admin_cant_reach_another_tenant_or_tell_that_it_exists() {
    let controller = controller().await;
    let admin = Operator::new(&controller, "default", Role::Admin);
    let answers = async |of: &str| {
        let user = CreateUserToken {
            tenant: Some(tenant(of)),
            role: Role::Viewer,
            ttl_seconds: None,
            subject: None,
        };
        let enrolment =
            CreateEnrollmentToken { label: "web-1".into(), tenant: Some(tenant(of)), ttl_seconds: None };
        let acting = Bearer::new(admin.call("ListNodes").token(), Some(tenant(of)), "ListNodes").unwrap();
        [
            admin.service.create_user_token(admin.call("CreateUserToken"), user).await.unwrap_err(),
            admin
                .service
                .create_enrollment_token(admin.call("CreateEnrollmentToken"), enrolment)
                .await
                .unwrap_err(),
            admin.service.list_nodes(acting, ListNodes::default()).await.unwrap_err(),
        ]
    };
    let (foreign, unknown) = (answers("t-other").await, answers("t-nobody").await);
    for (foreign, unknown) in foreign.into_iter().zip(unknown) {
        assert_eq!(foreign.code, Code::NotFound);
        assert_eq!(foreign.message.replace("t-other", "t-nobody"), unknown.message);
        assert_eq!(foreign.hint, unknown.hint);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_foreign_looks_like_what_is_not_there() {
    let controller = controller().await;
    let node = host(&controller, "t-other", 1, "db-1").await;
    let theirs = Operator::new(&controller, "t-other", Role::Operator);
    theirs.apply(put(key("EdgeGroup", "web"), 0, &group("all"))).await;
    theirs.apply(put(key("EdgeNode", node.id.as_str()), 0, r#"{"spec":{"tags":["prod"]}}"#)).await;
    let mine = Operator::new(&controller, "default", Role::Operator);
    let absent = aegis_core::NodeId::of_public_key(&[77; 32]).to_string();
    let prefix = node.id.as_str()[..8].to_owned();

    let mut answers = Vec::new();
    for (foreign, unknown) in [
        (node.id.to_string(), absent.clone()),
        (prefix, absent[..8].to_owned()),
        ("db-1".to_owned(), "db-2".to_owned()),
    ] {
        for reference in [foreign.clone(), unknown.clone()] {
            let service = &mine.service;
            let shutdown = ShutdownNode { node: reference.clone(), reason: String::new() };
            let errors = [
                service.revoke_node(mine.call("RevokeNode"), reference.clone()).await.unwrap_err(),
                service.shutdown_node(mine.call("ShutdownNode"), shutdown).await.unwrap_err(),
                mine.get(key("EdgeNode", &reference)).await.unwrap_err(),
                mine.target(&format!("@{reference}")).await.unwrap_err(),
            ];
            answers
                .push(errors.map(|error| (error.code, error.message.replace(&reference, "X"), error.hint)));
        }
        assert_eq!(answers[answers.len() - 2], answers[answers.len() - 1]);
        assert!(answers[0].iter().all(|(code, ..)| *code == Code::NotFound));
    }
    let group_error = async |name: &str| {
        let error = mine.get(key("EdgeGroup", name)).await.unwrap_err();
        (error.code, error.message.replace(name, "X"), error.hint)
    };
    assert_eq!(group_error("web").await, group_error("nob").await);
    assert_eq!(mine.target("group:web").await.unwrap_err().code, Code::NotFound);

    let plan = mine.begin(vec![]).await;
    let body = r#"{"spec":{"tags":["mine"]}}"#;
    let writes =
        vec![put(key("EdgeNode", node.id.as_str()), 0, body), put(key("EdgeNode", &absent), 0, body)];
    let refused: Vec<_> = mine.write(plan, writes).await.into_iter().map(Result::unwrap_err).collect();
    assert_eq!(refused[0].refusal, WriteRefusal::NotFound);
    assert_eq!(refused[0].message.replace(node.id.as_str(), "X"), refused[1].message.replace(&absent, "X"));

    assert!(mine.list(&[]).await.is_empty());
    assert_eq!(mine.target("all").await.unwrap(), (vec![], vec![]));
    let history = mine.service.list_history(mine.call("ListHistory"), ListHistory::default()).await.unwrap();
    assert_eq!(history.len(), 1, "numbers and entries are the tenant's own");
    assert_eq!(history[0].revision, PlanNumber(1));
    let changes = mine.service.list_changes(mine.call("ListChanges"), Revision(1)).await.unwrap();
    assert!(changes.complete && changes.keys.is_empty(), "{changes:?}");
    let admin = Operator::new(&controller, "default", Role::Admin);
    let events = admin.service.list_audit(admin.call("ListAudit"), ListAudit::default()).await.unwrap();
    let events: Vec<_> = events.try_collect().await.unwrap();
    assert!(!events.is_empty() && events.iter().all(|event| event.tenant == "default"), "{events:?}");
    theirs.get(key("EdgeGroup", "web")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_is_found_by_id_prefix_or_name_and_ambiguity_is_named() {
    let controller = controller().await;
    let one = host(&controller, "default", 1, "web").await;
    let two = host(&controller, "default", 2, "web").await;
    let operator = Operator::new(&controller, "default", Role::Operator);
    for reference in [one.id.as_str(), &one.id.as_str()[..8]] {
        assert_eq!(operator.get(key("EdgeNode", reference)).await.unwrap().key.name, one.id.as_str());
    }
    let error = operator.get(key("EdgeNode", "web")).await.unwrap_err();
    assert_eq!(error.code, Code::Invalid);
    assert!(error.message.contains(one.id.as_str()) && error.message.contains(two.id.as_str()), "{error}");
    assert_eq!(operator.get(key("EdgeNode", &one.id.as_str()[..5])).await.unwrap_err().code, Code::NotFound);
    operator.service.revoke_node(operator.call("RevokeNode"), one.id.to_string()).await.unwrap();
    let found = operator.get(key("EdgeNode", "web")).await.unwrap();
    assert_eq!(found.key.name, two.id.as_str(), "the revoked one steps back");
}

#[tokio::test(start_paused = true)]
async fn a_write_is_on_condition_of_the_revision_that_was_read() {
    let controller = controller().await;
    let operator = Operator::new(&controller, "default", Role::Operator);
    let plan = operator.begin(vec![]).await;
    let web = || key("EdgeGroup", "web");
    let results = operator
        .write(
            plan,
            vec![
                put(web(), 0, &group("all")),
                put(web(), 0, &group("tags=twice")),
                put(key("EdgeGroup", "db"), 7, &group("all")),
                put(key("EdgeGroup", "ok"), 0, &group("tags=a")),
            ],
        )
        .await;
    let revision = *results[0].as_ref().unwrap();
    assert_eq!(results[3], Ok(revision), "one commit for all that could be done");
    for stale in &results[1..3] {
        assert_eq!(stale.as_ref().unwrap_err().refusal, WriteRefusal::Stale);
    }
    let stale = operator.write(plan, vec![put(web(), 0, &group("tags=b"))]).await.remove(0).unwrap_err();
    assert_eq!(stale.refusal, WriteRefusal::Stale);
    assert_eq!(operator.get(web()).await.unwrap().body, group("all").as_bytes());
    operator.write(plan, vec![put(web(), revision.0, &group("tags=b"))]).await.remove(0).unwrap();
    let delete =
        |base| ObjectWrite { write: Write::Delete, outcome: Outcome::Deleted, ..put(web(), base, "") };
    let stale = operator.write(plan, vec![delete(revision.0)]).await.remove(0).unwrap_err();
    assert_eq!(stale.refusal, WriteRefusal::Stale);
    let now = operator.get(web()).await.unwrap().revision.0;
    operator.write(plan, vec![delete(now)]).await.remove(0).unwrap();
    assert_eq!(operator.get(web()).await.unwrap_err().code, Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_a_rule_of_its_kind_is_never_stored() {
    let controller = controller().await;
    let operator = Operator::new(&controller, "default", Role::Operator);
    let plan = operator.begin(vec![]).await;
    let writes = vec![
        put(key("EdgeGrupp", "web"), 0, &group("all")),
        put(key("edgegroup", "web"), 0, &group("all")),
        put(key("EdgeGroup", "a/b"), 0, &group("all")),
        put(key("EdgeGroup", ""), 0, &group("all")),
        put(key("EdgeGroup", "web"), 0, &group("colour=red")),
        put(key("EdgeGroup", "web2"), 0, r#"{"spec":{"selector":"all","more":1}}"#),
        put(key("EdgeGroup", "web3"), 0, "not json"),
    ];
    for result in operator.write(plan, writes).await {
        assert_eq!(result.unwrap_err().refusal, WriteRefusal::Refused);
    }
    assert!(operator.list(&[]).await.is_empty());
    assert_eq!(controller.store.list(&keyspace::objects(&tenant("default"))).unwrap(), []);
    let owns = BeginPlan { owner: Owner::cli(), source: String::new(), owns: vec![key("EdgeGroup", "../x")] };
    let error = operator.service.begin_plan(operator.call("BeginPlan"), owns).await.unwrap_err();
    assert_eq!(error.code, Code::Invalid);
}

#[tokio::test(start_paused = true)]
async fn every_enrolled_node_is_an_object_until_it_is_revoked() {
    let controller = controller().await;
    let node = host(&controller, "default", 1, "web-1").await;
    let operator = Operator::new(&controller, "default", Role::Operator);
    let object = operator.list(&["EdgeNode"]).await.remove(0);
    assert_eq!(
        (object.key.name.as_str(), object.revision, object.body.len()),
        (node.id.as_str(), Revision(0), 0)
    );
    let since = controller.store.revision();
    let revision = operator.apply(put(object.key.clone(), 0, r#"{"spec":{"tags":["prod"]}}"#)).await;
    let object = operator.list(&[]).await.remove(0);
    assert_eq!(object.revision, revision);
    let nodes = operator.service.list_nodes(
        operator.call("ListNodes"),
        ListNodes { tags: vec!["prod".into()], ..ListNodes::default() },
    );
    assert_eq!(nodes.await.unwrap()[0].tags, ["prod"]);
    let changes = operator.service.list_changes(operator.call("ListChanges"), since).await.unwrap();
    assert_eq!((changes.complete, changes.keys), (true, vec![object.key.clone()]));
    let since = changes.revision;
    operator.service.revoke_node(operator.call("RevokeNode"), "web-1".into()).await.unwrap();
    let changes = operator.service.list_changes(operator.call("ListChanges"), since).await.unwrap();
    assert_eq!(changes.keys, vec![object.key.clone()]);
    assert!(operator.list(&[]).await.is_empty());
    assert_eq!(operator.get(object.key.clone()).await.unwrap_err().code, Code::NotFound);
    let plan = operator.begin(vec![]).await;
    let refused = operator.write(plan, vec![put(object.key, revision.0, r#"{"spec":{}}"#)]).await.remove(0);
    assert_eq!(refused.unwrap_err().refusal, WriteRefusal::NotFound);
}

#[tokio::test(start_paused = true)]
async fn the_inventory_is_there_before_the_first_write_and_forgets_after_the_last() {
    let controller = controller().await;
    let operator = Operator::new(&controller, "default", Role::Operator);
    let owner = Owner::new("fleet").unwrap();
    let inventory = async || {
        operator.service.list_inventory(operator.call("ListInventory"), owner.clone()).await.unwrap()
    };
    let (web, db) = (key("EdgeGroup", "web"), key("EdgeGroup", "db"));
    let plan = operator.begin(vec![web.clone(), db.clone()]).await;
    assert_eq!(inventory().await, [db.clone(), web.clone()]);
    let revision = operator.write(plan, vec![put(web.clone(), 0, &group("all"))]).await.remove(0).unwrap();
    operator.write(plan, vec![put(web.clone(), revision.0, &group("tags=a"))]).await.remove(0).unwrap();
    let mut summary = Summary::default();
    summary.add(Outcome::Created);
    let finish = FinishPlan { plan, forgets: vec![db], summary: summary.clone() };
    operator.service.finish_plan(operator.call("FinishPlan"), finish.clone()).await.unwrap();
    assert_eq!(inventory().await, std::slice::from_ref(&web));

    let twice = operator.service.finish_plan(operator.call("FinishPlan"), finish).await.unwrap_err();
    assert_eq!(twice.code, Code::Conflict);
    let writes = vec![put(key("EdgeGroup", "late"), 0, &group("all"))];
    let late = operator.service.write_objects(operator.call("WriteObjects"), plan, writes.clone()).await;
    assert_eq!(late.unwrap_err().code, Code::Conflict);
    let unknown = operator.service.write_objects(operator.call("WriteObjects"), PlanNumber(9), writes).await;
    assert_eq!(unknown.unwrap_err().code, Code::NotFound);

    let second = operator.begin(vec![]).await;
    let history =
        operator.service.list_history(operator.call("ListHistory"), ListHistory::default()).await.unwrap();
    assert_eq!(
        history.iter().map(|entry| entry.revision).collect::<Vec<_>>(),
        [second, plan],
        "newest first"
    );
    assert_eq!((history[0].finished_at, &history[1].summary), (None, &summary));
    assert_eq!(history[1].source, "apply -f fleet.yaml");
    let entry = operator.service.get_history(operator.call("GetHistory"), plan).await.unwrap();
    assert_eq!(entry.changes.len(), 1);
    assert_eq!(entry.changes[0].before, "", "what was there before the plan, not before its last write");
    assert_eq!(entry.changes[0].steps.len(), 2);
}

/// Three hosts: `a` connected, `b` away, `c` connected and draining.
async fn fleet(controller: &Arc<Controller>) -> (Operator, Vec<Daemon>) {
    let operator = Operator::new(controller, "default", Role::Operator);
    let mut hosts: Vec<Host> = Vec::new();
    for (number, name) in [(1, "a"), (2, "b"), (3, "c")] {
        hosts.push(host(controller, "default", number, name).await);
    }
    for (host, body) in [
        (&hosts[0], r#"{"spec":{"tags":["prod"]}}"#),
        (&hosts[1], r#"{"spec":{"tags":["prod"]}}"#),
        (&hosts[2], r#"{"spec":{"drain":true}}"#),
    ] {
        operator.apply(put(key("EdgeNode", host.id.as_str()), 0, body)).await;
    }
    let daemons = vec![
        Daemon::connect(controller, &hosts[0], "a").await,
        Daemon::connect(controller, &hosts[2], "c").await,
    ];
    (operator, daemons)
}

#[tokio::test(start_paused = true)]
async fn a_target_gives_those_that_are_there_and_says_why_the_others_arent() {
    let controller = controller().await;
    let (operator, _daemons) = fleet(&controller).await;
    let away = |name: &str| (name.to_owned(), SkipReason::Disconnected);
    let (nodes, mut skipped) = operator.target("all").await.unwrap();
    skipped.sort_by(|one, two| one.0.cmp(&two.0));
    assert_eq!((nodes, skipped), (vec!["a".into()], vec![away("b"), ("c".into(), SkipReason::Draining)]));
    assert_eq!(operator.target("tags=prod").await.unwrap(), (vec!["a".into()], vec![away("b")]));
    assert_eq!(operator.target("@b").await.unwrap(), (vec![], vec![away("b")]));
    assert_eq!(operator.target("os=macos").await.unwrap(), (vec![], vec![]));
    assert_eq!(operator.target("group:none").await.unwrap_err().code, Code::NotFound);
    let error = operator.target("colour=red").await.unwrap_err();
    assert_eq!(error.code, Code::Invalid);
    assert!(error.message.contains('^'), "{error}");
    operator.service.revoke_node(operator.call("RevokeNode"), "a".into()).await.unwrap();
    assert_eq!(operator.target("@a").await.unwrap(), (vec![], vec![("a".into(), SkipReason::Revoked)]));
}

#[tokio::test(start_paused = true)]
async fn a_group_is_its_selector_its_pins_and_the_groups_it_names_without_end() {
    let controller = controller().await;
    let (operator, _daemons) = fleet(&controller).await;
    let foreign = host(&controller, "t-other", 9, "foreign").await;
    let pinned = format!(
        r#"{{"spec":{{"selector":"tags=prod","pinned":["c","nobody","foreign","{}"]}}}}"#,
        foreign.id
    );
    operator.apply(put(key("EdgeGroup", "pinned"), 0, &pinned)).await;
    let (nodes, mut skipped) = operator.target("group:pinned").await.unwrap();
    skipped.sort_by(|one, two| one.0.cmp(&two.0));
    assert_eq!(nodes, ["a"]);
    assert_eq!(skipped.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    // Groups that name each other are written as they are stored; a cycle must end, not hang.
    for (name, leads_to) in [("x", "y"), ("y", "x")] {
        let body = format!(r#"{{"spec":{{"selector":"group:{leads_to}","pinned":["a"]}}}}"#);
        let mut batch = aegis_store::Batch::new();
        batch.put(keyspace::object(&tenant("default"), &key("EdgeGroup", name)), body);
        controller.store.commit(batch).await.unwrap();
    }
    assert_eq!(operator.target("group:x").await.unwrap().0, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_pushed_to_a_connected_node_and_told_to_one_that_comes() {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    let operator = Operator::new(&controller, "default", Role::Operator);
    let watching = controller.store.watch(keyspace::OBJECTS);
    let passing_on = tokio::spawn(background::pass_on(controller.clone(), watching));
    let mut daemon = Daemon::connect(&controller, &host, "s1").await;
    let object = || key("EdgeNode", host.id.as_str());
    let revision = operator.apply(put(object(), 0, r#"{"spec":{"drain":true}}"#)).await;
    assert_eq!(daemon.command().await.unwrap(), Command::Drain { enabled: true });
    let view = async || {
        let nodes =
            operator.service.list_nodes(operator.call("ListNodes"), ListNodes::default()).await.unwrap();
        nodes[0].status
    };
    assert_eq!(view().await, NodeStatus::Draining);
    let revision = operator.apply(put(object(), revision.0, r#"{"spec":{"drain":true,"tags":["x"]}}"#)).await;
    let revision = operator.apply(put(object(), revision.0, r#"{"spec":{"tags":["x"]}}"#)).await;
    assert_eq!(
        daemon.command().await.unwrap(),
        Command::Drain { enabled: false },
        "said once, when it changes"
    );
    drop(daemon);
    operator.apply(put(object(), revision.0, r#"{"spec":{"drain":true,"tags":["x"]}}"#)).await;
    let mut daemon = Daemon::open(&controller, &host, "s2");
    daemon.send(&crate::testing::hello(&host));
    let welcome = Command::Welcome { name: "web-1".into(), tags: vec!["x".into()], drain: true };
    assert_eq!(daemon.command().await.unwrap(), welcome);
    passing_on.abort();
}

#[tokio::test(start_paused = true)]
async fn everything_is_in_the_audit_log_and_no_token_is() {
    let controller = controller().await;
    let (operator, daemons) = fleet(&controller).await;
    drop(daemons);
    operator.service.revoke_node(operator.call("RevokeNode"), "b".into()).await.unwrap();
    let root = Operator::root(&controller);
    let wish = CreateUserToken { tenant: None, role: Role::Viewer, ttl_seconds: None, subject: None };
    root.service.create_user_token(root.call("CreateUserToken"), wish).await.unwrap();
    let wish = CreateEnrollmentToken { label: "x".into(), tenant: None, ttl_seconds: None };
    let minted =
        root.service.create_enrollment_token(root.call("CreateEnrollmentToken"), wish).await.unwrap();
    assert_eq!(minted.controller_endpoint.to_string(), "fleet.example:50056");
    assert_eq!(minted.expires_at.to_string(), "2026-11-20T12:15:00Z");
    assert_eq!(minted.command_hint, format!("aegis edge enroll {}", minted.token));
    let viewer = Operator::new(&controller, "default", Role::Viewer);
    viewer.service.revoke_node(viewer.call("RevokeNode"), "a".into()).await.unwrap_err();
    let lines = audit_lines(&controller).join("\n");
    for line in [
        "tenant.create Ok t-other",
        "enroll Ok n-",
        "connect Ok n-",
        "disconnect Ok n-",
        "plan.begin Ok 1",
        "write Ok EdgeNode/n-",
        "revoke Ok n-",
        "token.user Ok ",
        "token.enrollment Ok ",
        "call Refused RevokeNode: this needs the role operator, the token has viewer",
    ] {
        assert!(lines.contains(line), "{line}:\n{lines}");
    }
    assert!(!lines.contains("eyJ"), "{lines}");
    let check = root.service.verify_audit(root.call("VerifyAudit")).await.unwrap();
    assert!(check.intact && check.events > 15, "{check:?}");
    let which = ListAudit { after: 3, limit: Some(4) };
    let events = root.service.list_audit(root.call("ListAudit"), which).await.unwrap();
    let events: Vec<_> = events.try_collect().await.unwrap();
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [4, 5, 6, 7]);
}
