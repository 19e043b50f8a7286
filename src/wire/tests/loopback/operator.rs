//! Every method of the operators' service, from end to end.

use aegis_core::{Outcome, Owner, Revision, TenantId, outcome::Summary};
use aegis_wire::{
    Code,
    edge::ReportPhase,
    operator::{
        BeginPlan, CreateEnrollmentToken, CreateUserToken, FinishPlan, ListAudit, ListDeliveries,
        ListHistory, ListNodes, ListObjects, NodeStatus, ObjectWrite, OperatorClient, PlanNumber,
        ShutdownNode, SkipReason, Write, WriteRefusal,
    },
    token::Role,
};
use futures::StreamExt;

use crate::{
    Running,
    operator_fake::{at, entry, event, group, node, tenant},
};

async fn client(token: &str) -> (Running, OperatorClient) {
    let server = Running::start(&["127.0.0.1"]).await;
    let client = OperatorClient::new(server.connect().await, token).unwrap();
    (server, client)
}

#[tokio::test]
async fn the_caller_is_known_by_its_token() {
    let (server, caller) = client("good").await;
    let me = caller.who_am_i().await.unwrap();
    assert_eq!((me.subject.as_str(), me.role, me.controller_scope), ("ann", Role::Operator, true));
    let other = caller.for_tenant(&TenantId::new("t-web").unwrap()).who_am_i().await.unwrap();
    assert_eq!(other.tenant.as_str(), "t-web");

    let weak = OperatorClient::new(server.connect().await, "weak").unwrap();
    let error = weak.create_tenant(&tenant()).await.unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (Code::PermissionDenied, "CreateTenant needs the role admin")
    );
    let nobody = OperatorClient::new(server.connect().await, "bad").unwrap();
    assert_eq!(nobody.list_nodes(ListNodes::default()).await.unwrap_err().code, Code::Unauthenticated);
    assert_eq!(OperatorClient::new(server.connect().await, "a\nb").unwrap_err().code, Code::Unauthenticated);
    assert!(!format!("{weak:?}").contains("weak"));
}

#[tokio::test]
async fn nodes_are_listed_and_resolved() {
    let (_server, caller) = client("good").await;
    let all = caller.list_nodes(ListNodes::default()).await.unwrap();
    assert_eq!(all, (0..200).map(node).collect::<Vec<_>>());
    let none = ListNodes { tags: vec!["prod".into(), "db".into()], ..ListNodes::default() };
    assert!(caller.list_nodes(none).await.unwrap().is_empty());
    let elsewhere = ListNodes { labels: [("region".into(), "us".into())].into(), ..ListNodes::default() };
    assert!(caller.list_nodes(elsewhere).await.unwrap().is_empty());
    let resolution = caller.resolve_target("group:web").await.unwrap();
    assert_eq!(resolution.nodes, [node(1)]);
    assert_eq!(
        (resolution.skipped[0].name.as_str(), resolution.skipped[0].reason),
        ("group:web", SkipReason::Draining)
    );
    let revoked = caller.revoke_node("web-1").await.unwrap();
    assert_eq!(
        (revoked.name.as_str(), revoked.status, revoked.connected),
        ("web-1", NodeStatus::Revoked, false)
    );
    let ended =
        caller.shutdown_node(ShutdownNode { node: "web-2".into(), reason: "move".into() }).await.unwrap();
    assert_eq!((ended.name.as_str(), ended.display_name.as_deref()), ("web-2", Some("move")));
}

#[tokio::test]
async fn objects_are_listed_and_read() {
    let (_server, caller) = client("good").await;
    let which = ListObjects { kinds: vec!["EdgeGroup".into(), "EdgeNode".into()], name: Some("web".into()) };
    let objects = caller.list_objects(which).await.unwrap();
    assert_eq!(
        objects.iter().map(|object| object.key.to_string()).collect::<Vec<_>>(),
        ["EdgeGroup/web", "EdgeNode/web"]
    );
    assert_eq!(
        serde_json::to_value(&objects[0]).unwrap(),
        serde_json::json!(
            {"kind": "EdgeGroup", "name": "web", "revision": 3, "body": {"spec": {}}}
        )
    );
    let unwritten = caller.get_object(&group("web")).await.unwrap();
    assert_eq!((unwritten.revision, unwritten.body.len()), (Revision(0), 0));
    let error = caller.get_object(&group("gone")).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::NotFound, "EdgeGroup/gone not found"));
    let changes = caller.list_changes(Revision(41)).await.unwrap();
    assert_eq!((changes.revision, changes.complete, changes.keys), (Revision(42), true, vec![group("web")]));
    assert_eq!(caller.list_inventory(&Owner::new("fleet").unwrap()).await.unwrap(), [group("fleet")]);
}

#[tokio::test]
async fn a_plan_is_carried_out_in_batches() {
    let (_server, caller) = client("good").await;
    let owner = Owner::new("fleet").unwrap();
    let begin = BeginPlan { owner, source: "apply".into(), owns: vec![group("a"), group("b")] };
    let plan = caller.begin_plan(begin).await.unwrap();
    assert_eq!(plan, PlanNumber(2));
    let write = |index: u64| ObjectWrite {
        key: group(&format!("g{index}")),
        base: Revision(index),
        write: if index == 700 { Write::Delete } else { Write::Put("{}".into()) },
        steps: vec!["+ selector".into()],
        outcome: Outcome::Updated,
        value: None,
    };
    let results = caller.write_objects(plan, (0..1100).map(write).collect()).await.unwrap();
    assert_eq!(results.len(), 1100);
    assert_eq!((&results[0], &results[1099]), (&Ok(Revision(1)), &Ok(Revision(1100))));
    let refused = results[700].as_ref().unwrap_err();
    assert_eq!((refused.refusal, refused.message.as_str()), (WriteRefusal::Stale, "EdgeGroup/g700"));
    let error = caller.write_objects(PlanNumber(0), (0..3).map(write).collect()).await.unwrap_err();
    assert_eq!(error.message, "the answer has an unreadable write result: 2 for 3 writes");
    let mut summary = Summary::default();
    summary.add_many(Outcome::Created, 2);
    let error =
        caller.finish_plan(FinishPlan { plan, forgets: vec![group("c")], summary }).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::Conflict, "1 [500, 500, 100, 3]"));
}

#[tokio::test]
async fn deliveries_are_read_also_of_hosts_that_said_nothing() {
    let (_server, caller) = client("good").await;
    let which = ListDeliveries { kind: Some("App".into()), name: Some("web".into()) };
    let deliveries = caller.list_deliveries(which).await.unwrap();
    let said: Vec<_> = deliveries.iter().map(|one| (one.phase, one.message.as_str(), one.since)).collect();
    assert_eq!(said, [(Some(ReportPhase::Failed), "no such image", Some(at(1))), (None, "", None)]);
    assert_eq!(deliveries[0].key.to_string(), "App/web");
    assert_eq!(caller.digest_key().await.unwrap().expose(), &[7; 32]);
}

#[tokio::test]
async fn the_history_is_read() {
    let (_server, caller) = client("good").await;
    let entries =
        caller.list_history(ListHistory { limit: Some(3), owner: Some(entry().owner) }).await.unwrap();
    assert_eq!(entries, vec![entry(); 3]);
    let history = caller.get_history(PlanNumber(9)).await.unwrap();
    assert_eq!((history.entry.revision, history.changes[0].outcome), (PlanNumber(9), Outcome::Created));
    let json = serde_json::to_value(&history).unwrap();
    assert_eq!((&json["revision"], &json["changes"][0]["name"]), (&9.into(), &"web".into()));
    assert!(json["changes"][0]["before"].is_null());
}

#[tokio::test]
async fn tokens_and_tenants_are_made() {
    let (_server, caller) = client("good").await;
    let wish = CreateEnrollmentToken { label: "web-1".into(), tenant: None, ttl_seconds: Some(60) };
    let token = caller.create_enrollment_token(wish).await.unwrap();
    assert_eq!((token.token.as_str(), token.expires_at, token.tenant), ("web-1", at(60), tenant()));
    assert_eq!(token.controller_endpoint.to_string(), "relay.example:443");
    let wish = CreateUserToken { tenant: None, role: Role::Viewer, ttl_seconds: None, subject: None };
    let token = caller.create_user_token(wish).await.unwrap();
    assert_eq!((token.role, token.subject.as_str()), (Role::Viewer, "somebody"));
    assert!(!format!("{token:?}").contains("\"token\""));
    let made = caller.create_tenant(&TenantId::new("t-web").unwrap()).await.unwrap();
    assert_eq!(made.tenant.as_str(), "t-web");
    assert_eq!(caller.list_tenants().await.unwrap()[0].nodes, 4);
}

#[tokio::test]
async fn the_audit_log_and_a_backup_are_streamed() {
    let (_server, caller) = client("good").await;
    let events = caller.list_audit(ListAudit { after: 4, limit: Some(1000) }).await.unwrap();
    assert_eq!(events, (5..1005).map(event).collect::<Vec<_>>());
    let check = caller.verify_audit().await.unwrap();
    assert_eq!((check.events, check.intact, check.broken_at), (9, false, Some(4)));
    let pieces: Vec<_> = caller.backup().await.unwrap().collect().await;
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces[0].as_ref().unwrap().len(), 1 << 20);
    assert_eq!(pieces[2].as_ref().unwrap_err().message, "the disk is full");
}

#[test]
fn a_node_has_the_keys_that_scripts_rely_on() {
    let json = serde_json::to_value(node(1)).unwrap();
    assert_eq!((&json["status"], &json["connected"]), (&"Connected".into(), &true.into()));
    assert_eq!((&json["tags"][0], &json["labels"]["region"]), (&"prod".into(), &"eu".into()));
    assert_eq!(json["since"], "2026-09-21T14:13:20Z");
    assert!(json["last_heartbeat_at"].is_null());
    for key in [
        "node_id",
        "name",
        "os",
        "arch",
        "enrolled_at",
        "local_tools",
        "display_name",
        "tenant",
        "version",
        "key_fingerprint",
        "hostname",
        "draining",
    ] {
        assert!(json.get(key).is_some(), "{key}");
    }
}
