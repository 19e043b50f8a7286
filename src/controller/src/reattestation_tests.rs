//! One test a rule of coming back with a node token that has ended (2-protocol.md, "Keys and tokens").

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use aegis_core::NodeId;
use aegis_wire::{
    Code, ServerSigningKey, SigningKey,
    enrollment::{AttestRequest, Credential, EnrollmentService, prove},
    operator::OperatorService,
    token::{Confirmation, Role},
};

use super::*;
use crate::{
    background,
    enrollment::{Enrollments, Spent},
    testing::{
        Daemon, Host, Operator, attest_with, audit_lines, capabilities, controller, enrollment_token, host,
        peer, tenant,
    },
};

/// A host whose token has ended while it was away, for a weekend.
async fn away() -> (Arc<Controller>, Host) {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    tokio::time::advance(Duration::from_hours(60)).await;
    (controller, host)
}

async fn come_back(controller: &Arc<Controller>, host: &Host) -> Result<Enrolled, ApiError> {
    attest_with(controller, &host.key, Credential::Node(host.token.clone()), "web-1").await
}

/// What the host's token says, with `change` made to it, signed by the controller's own key.
fn changed(controller: &Controller, host: &Host, change: impl FnOnce(&mut NodeClaims)) -> Host {
    let now = controller.now_seconds();
    let mut claims = NodeClaims::verify_ended(&host.token, &controller.keys, now).unwrap();
    change(&mut claims);
    Host { token: claims.mint(&controller.signing).unwrap(), ..host.clone() }
}

/// It isn't told more than anybody; the audit log has the rule.
async fn is_refused(controller: &Arc<Controller>, host: &Host, rule: &str) {
    let error = come_back(controller, host).await.unwrap_err();
    assert_eq!(error, not_accepted(), "{rule}");
    let id = NodeId::of_public_key(host.key.public().as_bytes());
    let line = format!("reattest Refused {id}: {rule} (from 10.1.2.3)");
    assert!(audit_lines(controller).contains(&line), "{line}: {:?}", audit_lines(controller));
}

#[tokio::test(start_paused = true)]
async fn an_ended_token_is_good_for_a_new_one_and_for_nothing_else() {
    let (controller, host) = away().await;
    let mut stale = Daemon::open(&controller, &host, "s1");
    stale.send(&crate::testing::hello(&host));
    assert_eq!(stale.end().await.unwrap().reason, Some(Reason::TokenEnded));

    let back = come_back(&controller, &host).await.unwrap();
    assert_eq!((&back.node_id, back.tenant.as_str(), back.name.as_str()), (&host.id, "default", "web-1"));
    assert_eq!(back.server_key, controller.signing.public());
    let host = Host { token: back.node_token, ..host };
    Daemon::connect(&controller, &host, "s2").await;
    let line = format!("reattest Ok {}: ", host.id);
    assert!(audit_lines(&controller).contains(&line), "{:?}", audit_lines(&controller));
    assert!(!audit_lines(&controller).join("\n").contains("eyJ"), "no token in the log");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_node_does_not_come_back() {
    let (controller, host) = away().await;
    let operator = Operator::new(&controller, "default", Role::Operator);
    operator.service.revoke_node(operator.call("RevokeNode"), host.id.to_string()).await.unwrap();
    let error = come_back(&controller, &host).await.unwrap_err();
    assert_eq!((error.code, error.reason), (Code::PermissionDenied, Some(Reason::Revoked)));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_revoked_by_its_last_token_stays_out_for_as_long_as_that_could_be_shown() {
    let (controller, first) = away().await;
    let back = come_back(&controller, &first).await.unwrap();
    let host = Host { token: back.node_token, ..first };
    let operator = Operator::new(&controller, "default", Role::Operator);
    operator.service.revoke_node(operator.call("RevokeNode"), host.id.to_string()).await.unwrap();
    let purge = tokio::spawn(background::purge(controller.clone()));
    tokio::time::sleep(Duration::from_hours(91 * 24 - 1)).await;
    let claims = NodeClaims::verify_ended(&host.token, &controller.keys, controller.now_seconds()).unwrap();
    assert!(controller.is_spent(&claims.jti).unwrap());
    purge.abort();
}

#[tokio::test(start_paused = true)]
async fn another_key_does_not_come_back_with_it() {
    let (controller, host) = away().await;
    let thief = Host { key: SigningKey::from_seed(&[9; 32]), ..host.clone() };
    is_refused(&controller, &thief, "the key isn't the node's").await;
    let forged = changed(&controller, &host, |claims| claims.cnf = Confirmation::of(&thief.key.public()));
    is_refused(&controller, &forged, "the token is bound to another key").await;
    // Named right, and signed by another: the proof doesn't fit.
    let service = Enrollments(controller.clone());
    let attest = AttestRequest { public_key: host.key.public(), capabilities: capabilities("h") };
    let nonce = service.attest(peer(), attest).await.unwrap();
    let credential = Credential::Node(host.token.clone());
    let request = ChallengeRequest {
        public_key: host.key.public(),
        nonce,
        signature: prove(&thief.key, &credential, &nonce),
        credential,
        capabilities: capabilities("h"),
    };
    assert_eq!(service.challenge(peer(), request).await.unwrap_err().code, Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_node_comes_back_only_as_itself_in_its_tenant_and_role() {
    let (controller, mine) = away().await;
    let other = host(&controller, "default", 2, "web-2").await;
    let swapped = changed(&controller, &mine, |claims| claims.sub = other.id);
    is_refused(&controller, &swapped, "the key isn't the node's").await;
    let absent = changed(&controller, &mine, |claims| claims.sub = NodeId::of_public_key(&[77; 32]));
    is_refused(&controller, &absent, "there is no such node").await;
    let moved = changed(&controller, &mine, |claims| claims.tid = tenant("t-other"));
    is_refused(&controller, &moved, "the token is another tenant's").await;
    let raised = changed(&controller, &mine, |claims| claims.role = "relay".into());
    is_refused(&controller, &raised, "the token is for another role").await;
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_id_does_not_come_back() {
    let (controller, host) = away().await;
    let stored = nodes::get(&*controller.store, &host.id).unwrap().unwrap().0;
    let mut batch = Batch::new();
    batch.put(keyspace::jti(&stored.jti), json(&Spent { node: host.id.clone(), ends: i64::MAX }));
    controller.store.commit(batch).await.unwrap();
    is_refused(&controller, &host, "the token was revoked").await;
}

#[tokio::test(start_paused = true)]
async fn only_a_node_token_by_this_controller_brings_back() {
    let (controller, host) = away().await;
    let stranger = ServerSigningKey::new(SigningKey::from_seed(&[99; 32]));
    let claims = NodeClaims::verify_ended(&host.token, &controller.keys, controller.now_seconds()).unwrap();
    let user = controller.mint_user_token(&tenant("default"), "x", Role::Admin, None, 0).unwrap().token;
    let enrolment = enrollment_token(&controller, "default", "");
    for token in [claims.mint(&stranger).unwrap(), user, enrolment, String::new()] {
        let error = come_back(&controller, &Host { token, ..host.clone() }).await.unwrap_err();
        assert_eq!(error, not_accepted());
    }
    // And the other way round: a node token enrols nobody.
    let as_enrolment = Credential::Enrollment(host.token.clone());
    let error = attest_with(&controller, &host.key, as_enrolment, "h").await.unwrap_err();
    assert!(error.message.contains("not for 'edge-enrollment'"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn after_ninety_days_only_an_enrolment_brings_back() {
    let controller = controller().await;
    let [late, in_time] = [1, 2].map(|number| (number, format!("web-{number}")));
    let late = host(&controller, "default", late.0, &late.1).await;
    tokio::time::advance(Duration::from_hours(1)).await;
    let in_time = host(&controller, "default", in_time.0, &in_time.1).await;
    tokio::time::advance(Duration::from_hours(91 * 24 - 1)).await;
    let error = come_back(&controller, &late).await.unwrap_err();
    assert_eq!((error.code, error.reason), (Code::Unauthenticated, None));
    assert!(error.message.contains("more than 90 days ago; run 'aegis edge enroll'"), "{error}");
    come_back(&controller, &in_time).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_recorded_challenge_is_worth_nothing() {
    let (controller, host) = away().await;
    let service = Enrollments(controller.clone());
    let attest = AttestRequest { public_key: host.key.public(), capabilities: capabilities("h") };
    let nonce = service.attest(peer(), attest.clone()).await.unwrap();
    let credential = Credential::Node(host.token.clone());
    let request = ChallengeRequest {
        public_key: host.key.public(),
        nonce,
        signature: prove(&host.key, &credential, &nonce),
        credential,
        capabilities: capabilities("h"),
    };
    service.challenge(peer(), request.clone()).await.unwrap();
    let replayed = service.challenge(peer(), request.clone()).await.unwrap_err();
    assert_eq!((replayed.code, replayed.reason), (Code::Invalid, None));
    let fresh = service.attest(peer(), attest).await.unwrap();
    let moved = ChallengeRequest { nonce: fresh, ..request };
    assert_eq!(service.challenge(peer(), moved).await.unwrap_err().code, Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_proof_for_one_kind_of_token_is_none_for_the_other() {
    let (controller, host) = away().await;
    let service = Enrollments(controller.clone());
    let attest = AttestRequest { public_key: host.key.public(), capabilities: capabilities("h") };
    let nonce = service.attest(peer(), attest).await.unwrap();
    let request = ChallengeRequest {
        public_key: host.key.public(),
        nonce,
        signature: prove(&host.key, &Credential::Enrollment(host.token.clone()), &nonce),
        credential: Credential::Node(host.token.clone()),
        capabilities: capabilities("h"),
    };
    let error = service.challenge(peer(), request).await.unwrap_err();
    assert_eq!(error.message, "the proof isn't by the key that it names");
}
