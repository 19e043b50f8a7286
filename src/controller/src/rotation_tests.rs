//! One test a rule of rotation (2-protocol.md, "Rotation"; 5-cases.md).

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "rotation_races.rs"]
mod races;

use std::sync::Arc;

use aegis_wire::{
    Code, Reason, ServerSigningKey, SigningKey,
    edge::Event,
    enrollment::{AttestRequest, EnrollmentService},
    operator::OperatorService,
    token::{Confirmation, Role},
};

use super::*;
use crate::{
    background,
    enrollment::Enrollments,
    session::not_accepted,
    testing::{
        Daemon, Host, Operator, attest_with, audit_lines, capabilities, controller, enroll, enrollment_token,
        hello, host, peer, restarted, tenant, with_parts,
    },
};

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

/// A controller and an enrolled host with the key 1.
async fn enrolled() -> (Arc<Controller>, Host) {
    let controller = controller().await;
    let host = host(&controller, "default", 1, "web-1").await;
    (controller, host)
}

async fn nonce_for(controller: &Arc<Controller>, key: &SigningKey) -> [u8; 32] {
    let request = AttestRequest { public_key: key.public(), capabilities: capabilities("web-1") };
    Enrollments(controller.clone()).attest(peer(), request).await.unwrap()
}

async fn request(controller: &Arc<Controller>, host: &Host, new: &SigningKey) -> RotateRequest {
    let nonce = nonce_for(controller, new).await;
    RotateRequest::sign(host.id.clone(), host.token.clone(), nonce, &host.key, new)
}

async fn send(controller: &Arc<Controller>, request: RotateRequest) -> Result<Rotated, ApiError> {
    Enrollments(controller.clone()).rotate(peer(), request).await
}

/// The host with the new key, if it gets it.
async fn rotate(controller: &Arc<Controller>, host: &Host, new: u8) -> Result<Host, ApiError> {
    let rotated = send(controller, request(controller, host, &key(new)).await).await?;
    Ok(Host { key: key(new), token: rotated.node_token, ..host.clone() })
}

fn stored(controller: &Controller, host: &Host) -> Node {
    nodes::get(&*controller.store, &host.id).unwrap().unwrap().0
}

/// What the host's token says, with `change` made to it, signed by the controller's own key.
fn changed(controller: &Controller, host: &Host, change: impl FnOnce(&mut NodeClaims)) -> Host {
    let now = controller.now_seconds();
    let mut claims = NodeClaims::verify_ended(&host.token, &controller.keys, now).unwrap();
    change(&mut claims);
    Host { token: claims.mint(&controller.signing).unwrap(), ..host.clone() }
}

/// Whoever asks isn't told more than anybody; the audit log has the rule.
async fn is_refused(controller: &Arc<Controller>, request: RotateRequest, rule: &str) {
    let (id, before) = (request.node_id.clone(), controller.store.list(keyspace::NODES).unwrap());
    let error = send(controller, request).await.unwrap_err();
    assert_eq!(error, not_accepted(), "{rule}");
    let line = format!("rotate Refused {id}: {rule} (from 10.1.2.3)");
    assert!(audit_lines(controller).contains(&line), "{line}: {:?}", audit_lines(controller));
    assert_eq!(controller.store.list(keyspace::NODES).unwrap(), before, "nothing was changed");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_replaces_the_key_and_never_the_id() {
    let (controller, host) = enrolled().await;
    let rotated = rotate(&controller, &host, 2).await.unwrap();
    let node = stored(&controller, &host);
    assert_eq!((node.public_key, node.id), (key(2).public(), host.id.clone()));
    let claims = NodeClaims::verify(&rotated.token, &controller.keys, controller.now_seconds()).unwrap();
    assert!(claims.is_bound_to(&key(2).public()));
    assert_eq!(claims.jti, node.jti);
    Daemon::connect(&controller, &rotated, "s1").await;
    let [before, after] = [1, 2].map(|number| key(number).public().fingerprint());
    let line = format!("rotate Ok {}: key {before} -> {after}", host.id);
    assert!(audit_lines(&controller).contains(&line), "{:?}", audit_lines(&controller));
}

#[tokio::test(start_paused = true)]
async fn the_same_key_gets_a_token_and_nothing_else_changes() {
    let (controller, host) = enrolled().await;
    tokio::time::advance(Duration::from_hours(23)).await;
    let before = stored(&controller, &host);
    let refreshed = rotate(&controller, &host, 1).await.unwrap();
    let after = stored(&controller, &host);
    assert_eq!(Node { jti: after.jti.clone(), ..before }, after);
    let now = controller.now_seconds();
    assert_eq!(NodeClaims::verify(&refreshed.token, &controller.keys, now).unwrap().exp, now + 24 * 3600);
    let line = format!("token.refresh Ok {}: key {}", host.id, key(1).public().fingerprint());
    assert!(audit_lines(&controller).contains(&line), "{:?}", audit_lines(&controller));
    for (host, stream) in [(host, "s1"), (refreshed, "s2")] {
        Daemon::connect(&controller, &host, stream).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_counts_once_for_five_minutes_and_with_a_nonce_for_its_key() {
    let (controller, host) = enrolled().await;
    let sign = |nonce, new: &SigningKey| {
        RotateRequest::sign(host.id.clone(), host.token.clone(), nonce, &host.key, new)
    };
    let late = request(&controller, &host, &key(2)).await;
    tokio::time::advance(Duration::from_mins(5)).await;
    let never_given = [sign([0; 32], &key(2)), sign([7; 32], &key(2))];
    let for_another_key = sign(nonce_for(&controller, &key(3)).await, &key(2));
    let once = request(&controller, &host, &key(2)).await;
    send(&controller, once.clone()).await.unwrap();
    let all = never_given.into_iter().chain([late, for_another_key, once]);
    for request in all {
        let error = send(&controller, request).await.unwrap_err();
        assert_eq!(error.code, Code::Invalid);
        assert!(error.message.contains("nonce is unknown, used, or older"), "{error}");
    }
    assert_eq!(stored(&controller, &host).public_key, key(2).public());
}

#[tokio::test(start_paused = true)]
async fn both_keys_must_have_signed_exactly_this() {
    let (controller, host) = enrolled().await;
    let good = request(&controller, &host, &key(2)).await;
    let not_had = RotateRequest::sign(host.id.clone(), host.token.clone(), good.nonce, &host.key, &key(3));
    let not_had = RotateRequest { new_signature: not_had.new_signature, ..good.clone() };
    is_refused(&controller, not_had, "the request isn't signed by the new key").await;
    for altered in [
        RotateRequest::sign(host.id.clone(), host.token.clone(), [0; 32], &key(3), &key(2)),
        RotateRequest { old_signature: vec![0; 64].into(), ..good.clone() },
        RotateRequest { old_signature: bytes::Bytes::new(), ..good },
    ] {
        let good = request(&controller, &host, &key(2)).await;
        let request = RotateRequest { old_signature: altered.old_signature, ..good };
        is_refused(&controller, request, "the request isn't signed by the node's key").await;
    }
}

#[tokio::test(start_paused = true)]
async fn to_have_the_key_of_a_node_is_asked_for_a_token_too() {
    let (controller, host) = enrolled().await;
    let good = request(&controller, &host, &key(1)).await;
    let stranger = RotateRequest::sign(host.id.clone(), host.token.clone(), good.nonce, &key(9), &key(9));
    let request = RotateRequest { new_key: key(1).public(), ..stranger };
    is_refused(&controller, request, "the request isn't signed by the new key").await;
}

#[tokio::test(start_paused = true)]
async fn only_the_nodes_own_tokens_count_for_a_new_key_and_for_a_new_token() {
    let (controller, host) = enrolled().await;
    let other = testing_host(&controller, "default", 5).await;
    let foreign = testing_host(&controller, "t-other", 6).await;
    for new in [key(2), key(1)] {
        let with = |token: &str| Host { token: token.to_owned(), ..host.clone() };
        let cases = [
            (with(&other.token), "the token is another node's"),
            (with(&foreign.token), "the token is another node's"),
            (
                changed(&controller, &host, |claims| claims.tid = tenant("t-other")),
                "the token is another tenant's",
            ),
            (
                changed(&controller, &host, |claims| claims.role = "relay".into()),
                "the token is for another role",
            ),
            (
                changed(&controller, &host, |claims| claims.cnf = Confirmation::of(&key(9).public())),
                "the token is bound to another key",
            ),
        ];
        for (host, rule) in cases {
            let request = request(&controller, &host, &new).await;
            is_refused(&controller, request, rule).await;
        }
        let stranger = ServerSigningKey::new(key(99));
        let claims =
            NodeClaims::verify_ended(&host.token, &controller.keys, controller.now_seconds()).unwrap();
        let user = controller.mint_user_token(&tenant("default"), "x", Role::Admin, None, 0).unwrap().token;
        let enrolment = enrollment_token(&controller, "default", "");
        for token in [claims.mint(&stranger).unwrap(), user, enrolment, String::new()] {
            let request = request(&controller, &with(&token), &new).await;
            assert_eq!(send(&controller, request).await.unwrap_err(), not_accepted());
        }
    }
    assert_eq!(stored(&controller, &host).public_key, key(1).public());
}

async fn testing_host(controller: &Arc<Controller>, of: &str, number: u8) -> Host {
    host(controller, of, number, "other").await
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_ended_is_good_for_ninety_days() {
    let (controller, host) = enrolled().await;
    tokio::time::advance(Duration::from_hours(60 * 24)).await;
    let rotated = rotate(&controller, &host, 2).await.unwrap();
    tokio::time::advance(Duration::from_hours(91 * 24)).await;
    for new in [2, 3] {
        let error = rotate(&controller, &rotated, new).await.unwrap_err();
        assert!(error.message.contains("more than 90 days ago; run 'aegis edge enroll'"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_node_gets_neither_key_nor_token_and_strangers_arent_told() {
    let (controller, host) = enrolled().await;
    let admin = Operator::new(&controller, "default", Role::Operator);
    admin.service.revoke_node(admin.call("RevokeNode"), host.id.to_string()).await.unwrap();
    for new in [1, 2] {
        let error = rotate(&controller, &host, new).await.unwrap_err();
        assert_eq!((error.code, error.reason), (Code::PermissionDenied, Some(Reason::Revoked)));
    }
    let thief = Host { key: key(9), ..host.clone() };
    let request = request(&controller, &thief, &key(9)).await;
    is_refused(&controller, request, "the request isn't signed by the node's key").await;
    assert_eq!(stored(&controller, &host).public_key, key(1).public());
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_none() {
    let (controller, host) = enrolled().await;
    let jti = stored(&controller, &host).jti;
    let spent = Spent { node: host.id.clone(), ends: i64::MAX };
    let mut batch = Batch::new();
    batch.put(keyspace::jti(&jti), json(&spent));
    controller.store.commit(batch).await.unwrap();
    for new in [1, 2] {
        let request = request(&controller, &host, &key(new)).await;
        is_refused(&controller, request, "the token was revoked").await;
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_nodes_and_those_of_others_look_alike() {
    let (controller, host) = enrolled().await;
    let theirs = testing_host(&controller, "t-other", 6).await;
    let unknown = Host { id: NodeId::of_public_key(&[3; 32]), ..host.clone() };
    let request_for_unknown = request(&controller, &unknown, &key(2)).await;
    is_refused(&controller, request_for_unknown, "there is no such node").await;
    let another = Host { id: theirs.id.clone(), ..host.clone() };
    let request_for_another = request(&controller, &another, &key(2)).await;
    is_refused(&controller, request_for_another, "the token is another node's").await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_never_taken_from_another_node_nor_used_again() {
    let (controller, host) = enrolled().await;
    let other = testing_host(&controller, "t-other", 6).await;
    let other = rotate(&controller, &other, 7).await.unwrap();
    let host = rotate(&controller, &host, 2).await.unwrap();
    for used in [6, 7, 1] {
        let error = rotate(&controller, &host, used).await.unwrap_err();
        assert_eq!(error.code, Code::Conflict, "{used}");
        assert!(!error.to_string().contains("other"), "{error}");
    }
    let host = rotate(&controller, &host, 3).await.unwrap();
    assert_eq!(rotate(&controller, &host, 2).await.unwrap_err().code, Code::Conflict);
    assert_eq!(stored(&controller, &host).public_key, key(3).public());
    assert_eq!(stored(&controller, &other).public_key, key(7).public());
}

#[tokio::test(start_paused = true)]
async fn who_enrols_with_a_rotated_key_is_the_same_node_and_no_other() {
    let (controller, host) = enrolled().await;
    let host = rotate(&controller, &host, 2).await.unwrap();
    let [mine, theirs] = ["default", "t-other"].map(|of| enrollment_token(&controller, of, ""));
    let error = enroll(&controller, &key(2), &theirs, "h").await.unwrap_err();
    assert_eq!(error.message, "this host's key can't be enrolled here; the token is still usable");
    assert_eq!(enroll(&controller, &key(2), &mine, "web-1").await.unwrap().node_id, host.id);
    let host = rotate(&controller, &host, 3).await.unwrap();
    let mine = enrollment_token(&controller, "default", "");
    for before in [1, 2] {
        let error = enroll(&controller, &key(before), &mine, "h").await.unwrap_err();
        assert_eq!(error.code, Code::Conflict, "a key that the node had");
    }
    assert_eq!(nodes::of_tenant(&*controller.store, &tenant("default")).unwrap().len(), 1);
    assert_eq!(stored(&controller, &host).public_key, key(3).public());
}

/// With the durable store, where others come in between while a commit is waited for.
async fn durable() -> (tempfile::TempDir, Arc<Controller>, Host) {
    let directory = tempfile::tempdir().unwrap();
    let store = aegis_store::LmdbStore::open(directory.path()).unwrap();
    let controller = with_parts(|parts| parts.store = Arc::new(store)).await;
    let host = host(&controller, "default", 1, "web-1").await;
    (directory, controller, host)
}

#[tokio::test(start_paused = true)]
async fn of_rotations_at_once_one_wins_and_the_others_are_told() {
    let (_directory, controller, host) = durable().await;
    let all = (2..=11).map(|new| rotate(&controller, &host, new));
    let (won, lost): (Vec<_>, Vec<_>) =
        futures::future::join_all(all).await.into_iter().partition(Result::is_ok);
    let winner = won.into_iter().next().unwrap().unwrap();
    assert_eq!(lost.len(), 9);
    for error in lost.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.code, Code::Conflict);
        assert!(error.message.contains("was rotated meanwhile"), "{error}");
    }
    assert_eq!(stored(&controller, &host).public_key, winner.key.public());
    Daemon::connect(&controller, &winner, "s1").await;
    let rotations = audit_lines(&controller).into_iter().filter(|line| line.starts_with("rotate Ok"));
    assert_eq!(rotations.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn said_again_after_the_commit_the_request_gives_a_token() {
    let (controller, host) = enrolled().await;
    // The answer got lost: the host has its new key, and the token that it had.
    rotate(&controller, &host, 2).await.unwrap();
    let controller = restarted(&controller);
    let again = rotate(&controller, &host, 2).await.unwrap();
    Daemon::connect(&controller, &again, "s1").await;
    let rotations = audit_lines(&controller).into_iter().filter(|line| line.starts_with("rotate Ok"));
    assert_eq!(rotations.count(), 1);
    // A daemon that has only the new key and the old token gets the same by attesting anew.
    let fallen = Host { key: key(2), ..host.clone() };
    let credential = aegis_wire::enrollment::Credential::Node(host.token.clone());
    let back = attest_with(&controller, &fallen.key, credential.clone(), "web-1").await.unwrap();
    Daemon::connect(&controller, &Host { token: back.node_token, ..fallen }, "s2").await;
    // After the next rotation, neither the first key nor its token is worth anything.
    let third = rotate(&controller, &again, 3).await.unwrap();
    let stale = Host { token: host.token.clone(), ..third };
    let request = request(&controller, &stale, &key(3)).await;
    is_refused(&controller, request, "the token is bound to another key").await;
    assert_eq!(attest_with(&controller, &key(3), credential, "web-1").await.unwrap_err(), not_accepted());
}

#[tokio::test(start_paused = true)]
async fn the_old_key_and_the_old_token_open_no_stream_and_get_no_token() {
    let (controller, old) = enrolled().await;
    let new = rotate(&controller, &old, 2).await.unwrap();
    for (number, host) in [
        old.clone(),
        Host { token: old.token.clone(), ..new.clone() },
        Host { token: new.token.clone(), ..old.clone() },
    ]
    .into_iter()
    .enumerate()
    {
        let mut daemon = Daemon::open(&controller, &host, &format!("s{number}"));
        daemon.send(&hello(&host));
        assert_eq!(daemon.end().await.unwrap(), not_accepted(), "{number}");
    }
    for key in [&old.key, &new.key] {
        // With the new key, the old token is that of a host that fell; with the old one, it is nothing.
        let credential = aegis_wire::enrollment::Credential::Node(old.token.clone());
        let back = attest_with(&controller, key, credential, "web-1").await;
        assert_eq!(back.is_ok(), key.public() == new.key.public());
    }
    let back = request(&controller, &old, &key(1)).await;
    let error = send(&controller, back).await.unwrap_err();
    assert_eq!(error.code, Code::Conflict, "the key before is no way back: {error}");
    let thief = Host { key: key(9), ..old.clone() };
    let with_the_token_only = request(&controller, &thief, &key(9)).await;
    is_refused(&controller, with_the_token_only, "the request isn't signed by the node's key").await;
    let jti = NodeClaims::verify(&old.token, &controller.keys, controller.now_seconds()).unwrap().jti;
    assert!(controller.is_spent(&jti).unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_old_key_is_good_for_a_minute_on_the_stream_that_is_open() {
    let (controller, old) = enrolled().await;
    let mut stream = Daemon::connect(&controller, &old, "s1").await;
    let new = rotate(&controller, &old, 2).await.unwrap();
    stream.heartbeat().await;
    tokio::time::advance(Duration::from_secs(59)).await;
    stream.heartbeat().await;
    tokio::time::advance(Duration::from_secs(1)).await;
    stream.send(&Event::Heartbeat { draining: false, in_flight: 0 });
    let error = stream.end().await.unwrap();
    assert_eq!(error.code, Code::Unavailable, "a daemon connects again after that: {error}");
    let mut again = Daemon::connect(&controller, &new, "s2").await;
    tokio::time::advance(Duration::from_secs(61)).await;
    again.heartbeat().await;
    assert!(controller.live.outdated(controller.uptime()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_the_old_key_that_says_nothing_ends_too() {
    let (controller, old) = enrolled().await;
    let mut stream = Daemon::connect(&controller, &old, "s1").await;
    let sweep = tokio::spawn(background::sweep(controller.clone()));
    rotate(&controller, &old, 2).await.unwrap();
    let rotated = tokio::time::Instant::now();
    stream.heartbeat().await;
    let error = stream.end().await.unwrap();
    assert_eq!(error.message, "the node has another key by now; connect with that");
    let took = rotated.elapsed();
    assert!(took >= OVERLAP && took <= OVERLAP + Duration::from_secs(6), "{took:?}");
    sweep.abort();
}

#[tokio::test(start_paused = true)]
async fn within_the_overlap_no_token_is_renewed() {
    let (controller, old) = enrolled().await;
    let mut stream = Daemon::connect(&controller, &old, "s1").await;
    rotate(&controller, &old, 2).await.unwrap();
    stream.send(&Event::TokenRequest);
    // The next answer is that to the heartbeat.
    stream.heartbeat().await;
}

#[tokio::test(start_paused = true)]
async fn rotations_are_rate_limited_by_source_address() {
    let controller = with_parts(|parts| {
        parts.limits = crate::EnrollmentLimits { rate_per_second: 1, burst: 4 };
    })
    .await;
    let host = host(&controller, "default", 1, "web-1").await;
    rotate(&controller, &host, 2).await.unwrap();
    let request = RotateRequest::sign(host.id.clone(), host.token.clone(), [0; 32], &host.key, &key(3));
    assert_eq!(send(&controller, request.clone()).await.unwrap_err().code, Code::Exhausted);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(send(&controller, request).await.unwrap_err().code, Code::Invalid);
}

#[tokio::test(start_paused = true)]
async fn no_token_is_in_the_audit_log() {
    let (controller, host) = enrolled().await;
    let rotated = rotate(&controller, &host, 2).await.unwrap();
    rotate(&controller, &rotated, 2).await.unwrap();
    rotate(&controller, &host, 9).await.unwrap_err();
    let lines = audit_lines(&controller).join("\n");
    assert!(lines.contains("rotate Refused") && !lines.contains("eyJ"), "{lines}");
}
