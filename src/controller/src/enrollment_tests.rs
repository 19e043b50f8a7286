//! One test a rule of enrolment (2-protocol.md, "Enrolment", "Keys and tokens"; 5-cases.md).

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use aegis_wire::{
    Code, ServerSigningKey, SigningKey,
    enrollment::{AttestRequest, ChallengeRequest, EnrollmentService, prove},
    operator::OperatorService,
    token::Role,
};

use super::*;
use crate::testing::{
    Operator, audit_lines, capabilities, controller, enroll, enrollment_token, host, peer, tenant, with_parts,
};

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

#[tokio::test(start_paused = true)]
async fn a_token_is_redeemed_once() {
    let controller = controller().await;
    let token = enrollment_token(&controller, "default", "web-1");
    enroll(&controller, &key(1), &token, "h").await.unwrap();
    for again in [1, 2] {
        let error = enroll(&controller, &key(again), &token, "h").await.unwrap_err();
        assert_eq!(error.code, Code::Unauthenticated);
        assert!(error.message.contains("burnt"), "{error}");
        assert_eq!(error.reason, Some(Reason::TokenBurnt));
    }
    let nodes = nodes::of_tenant(&*controller.store, &tenant("default")).unwrap();
    assert_eq!(nodes.len(), 1);
}

/// With the durable store, where others come in between while a commit is waited for.
async fn durable() -> (tempfile::TempDir, Arc<Controller>) {
    let directory = tempfile::tempdir().unwrap();
    let store = aegis_store::LmdbStore::open(directory.path()).unwrap();
    (directory, with_parts(|parts| parts.store = Arc::new(store)).await)
}

#[tokio::test(start_paused = true)]
async fn of_redemptions_at_once_one_wins() {
    let (_directory, controller) = durable().await;
    let token = enrollment_token(&controller, "default", "");
    let keys: Vec<SigningKey> = (1..=20).map(key).collect();
    let all = futures::future::join_all(keys.iter().map(|key| enroll(&controller, key, &token, "h"))).await;
    assert_eq!(all.iter().filter(|result| result.is_ok()).count(), 1);
    let nodes = nodes::of_tenant(&*controller.store, &tenant("default")).unwrap();
    assert_eq!(nodes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_commit_leaves_the_token_usable_and_says_so() {
    let controller = controller().await;
    let service = Enrollments(controller.clone());
    let token = enrollment_token(&controller, "default", "web-1");
    let attest = AttestRequest { public_key: key(1).public(), capabilities: capabilities("h") };
    let of = |token: &str| Credential::Enrollment(token.to_owned());
    let good = |nonce| ChallengeRequest {
        public_key: key(1).public(),
        nonce,
        signature: prove(&key(1), &of(&token), &nonce),
        credential: of(&token),
        capabilities: capabilities("h"),
    };
    let never_given = service.challenge(peer(), good([7; 32])).await.unwrap_err();
    let nonce = service.attest(peer(), attest.clone()).await.unwrap();
    let other_key = ChallengeRequest { signature: prove(&key(2), &of(&token), &nonce), ..good(nonce) };
    let not_proven = service.challenge(peer(), other_key).await.unwrap_err();
    let used = service.challenge(peer(), good(nonce)).await.unwrap_err();
    let nonce = service.attest(peer(), attest.clone()).await.unwrap();
    let for_other_token = ChallengeRequest { signature: prove(&key(1), &of("other"), &nonce), ..good(nonce) };
    let moved = service.challenge(peer(), for_other_token).await.unwrap_err();
    let nonce = service.attest(peer(), attest.clone()).await.unwrap();
    tokio::time::advance(Duration::from_secs(301)).await;
    let late = service.challenge(peer(), good(nonce)).await.unwrap_err();
    for error in [never_given, not_proven, used, moved, late] {
        assert!(error.message.ends_with("the token is still usable"), "{error}");
        assert_eq!(error.reason, Some(Reason::TokenUsable));
    }
    let nonce = service.attest(peer(), attest).await.unwrap();
    service.challenge(peer(), good(nonce)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn schemas_of_tools_are_looked_at_after_the_proof_and_the_token() {
    let controller = controller().await;
    let service = Enrollments(controller.clone());
    let mut capabilities = capabilities("h");
    let mut broken = crate::testing::owners_tool("app.start");
    broken.parameters["properties"]["name"]["pattern"] = "(".into();
    capabilities.tools = vec![broken];
    // While this is held nothing is compiled: an answer came without.
    let turn = controller.schemas.clone().acquire_owned().await.unwrap();
    let challenge = async |signer: &SigningKey, token: &str| {
        let attest = AttestRequest { public_key: key(1).public(), capabilities: capabilities.clone() };
        let nonce = service.attest(peer(), attest).await.unwrap();
        let credential = Credential::Enrollment(token.to_owned());
        let signature = prove(signer, &credential, &nonce);
        let capabilities = capabilities.clone();
        let request =
            ChallengeRequest { public_key: key(1).public(), nonce, signature, credential, capabilities };
        let answer = service.challenge(peer(), request);
        tokio::time::timeout(Duration::from_secs(1), answer).await.map(Result::unwrap_err)
    };
    let good = enrollment_token(&controller, "default", "web-1");
    let spent = enrollment_token(&controller, "default", "web-2");
    enroll(&controller, &key(2), &spent, "h").await.unwrap();
    for (signer, token) in [(key(2), &good), (key(1), &"none".to_owned()), (key(1), &spent)] {
        let error = challenge(&signer, token).await.unwrap();
        assert_eq!(error.code, Code::Unauthenticated, "{error}");
    }
    challenge(&key(1), &good).await.unwrap_err();
    drop(turn);
    let error = challenge(&key(1), &good).await.unwrap();
    assert!(error.message.contains("'app.start'") && error.message.ends_with("still usable"), "{error}");
    enroll(&controller, &key(1), &good, "h").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_this_controllers_unexpired_enrolment_tokens_count() {
    let controller = controller().await;
    let stranger = with_parts(|parts| {
        parts.signing = ServerSigningKey::new(key(99));
    })
    .await;
    let user = controller.mint_user_token(&tenant("default"), "x", Role::Admin, None, 0).unwrap().token;
    let node = host(&controller, "default", 9, "other").await.token;
    let expired = enrollment_token(&controller, "default", "");
    tokio::time::advance(Duration::from_mins(15)).await;
    let foreign = enrollment_token(&stranger, "default", "");
    for (token, reason) in [
        (foreign, "unknown key"),
        (user, "not for 'edge-enrollment'"),
        (node, "not for 'edge-enrollment'"),
        (expired, "expired"),
        (String::new(), "form"),
    ] {
        let error = enroll(&controller, &key(1), &token, "h").await.unwrap_err();
        assert_eq!(error.code, Code::Unauthenticated);
        assert!(error.message.contains(reason), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_never_taken_to_another_tenant() {
    let controller = controller().await;
    let theirs = host(&controller, "t-other", 1, "secret-name").await;
    let token = enrollment_token(&controller, "default", "web-1");
    let error = enroll(&controller, &theirs.key, &token, "h").await.unwrap_err();
    assert_eq!(error.code, Code::Conflict);
    assert!(error.message.contains("the token is still usable"));
    assert!(!error.to_string().contains("other") && !error.to_string().contains("secret"), "{error}");
    let node = nodes::get(&*controller.store, &theirs.id).unwrap().unwrap().0;
    assert_eq!(node.tenant.as_str(), "t-other");
    enroll(&controller, &key(2), &token, "h").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_id_is_never_taken_by_another_key() {
    let controller = controller().await;
    let node = host(&controller, "default", 1, "web-1").await;
    // As after a rotation: the id stays that of the first key.
    nodes::update(
        &*controller.store,
        &node.id,
        |node| {
            node.public_key = key(2).public();
            true
        },
        |_, _| (),
    )
    .await
    .unwrap();
    let token = enrollment_token(&controller, "default", "");
    let error = enroll(&controller, &node.key, &token, "h").await.unwrap_err();
    assert_eq!(error.message, "this host's key can't be enrolled here; the token is still usable");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_node_with_a_fresh_token_is_refused() {
    let controller = controller().await;
    let node = host(&controller, "default", 1, "web-1").await;
    let admin = Operator::new(&controller, "default", Role::Operator);
    admin.service.revoke_node(admin.call("RevokeNode"), node.id.to_string()).await.unwrap();
    let token = enrollment_token(&controller, "default", "");
    let error = enroll(&controller, &node.key, &token, "h").await.unwrap_err();
    assert_eq!(error.code, Code::PermissionDenied);
    assert!(error.message.contains("revoked") && error.message.contains("usable"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_same_key_enrols_again_as_the_same_node() {
    let controller = controller().await;
    let first = host(&controller, "default", 1, "web-1").await;
    let again = host(&controller, "default", 1, "web-1").await;
    assert_eq!(first.id, again.id);
    assert_ne!(first.token, again.token);
    assert_eq!(nodes::of_tenant(&*controller.store, &tenant("default")).unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_label_that_can_be_a_host_name_and_is_free_is_the_name() {
    let controller = controller().await;
    for (number, label, hostname, name) in [
        (1, "web-1", "ip-10-0-0-1", "web-1"),
        (2, "web-1", "ip-10-0-0-2", "ip-10-0-0-2"),
        (3, "my laptop", "laptop", "laptop"),
        (4, "n-7a3b", "host", "host"),
    ] {
        let token = enrollment_token(&controller, "default", label);
        let enrolled = enroll(&controller, &key(number), &token, hostname).await.unwrap();
        assert_eq!(enrolled.name, name, "{label}");
    }
    let token = enrollment_token(&controller, "default", "");
    let enrolled = enroll(&controller, &key(5), &token, "no/host name").await.unwrap();
    assert_eq!(enrolled.name, enrolled.node_id.as_str());
    let token = enrollment_token(&controller, "t-other", "web-1");
    assert_eq!(
        enroll(&controller, &key(6), &token, "h").await.unwrap().name,
        "web-1",
        "another tenant's is free"
    );
}

#[tokio::test(start_paused = true)]
async fn two_hosts_with_one_label_at_once_get_two_names() {
    let (_directory, controller) = durable().await;
    let tokens = [1, 2].map(|_| enrollment_token(&controller, "default", "web"));
    let keys = [key(1), key(2)];
    let (one, two) = tokio::join!(
        enroll(&controller, &keys[0], &tokens[0], "a"),
        enroll(&controller, &keys[1], &tokens[1], "b")
    );
    let mut names = [one.unwrap().name, two.unwrap().name];
    names.sort();
    assert!(names == ["a", "web"] || names == ["b", "web"], "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn attest_is_rate_limited_by_source_address() {
    let controller = with_parts(|parts| {
        parts.limits = crate::EnrollmentLimits { rate_per_second: 1, burst: 2 };
    })
    .await;
    let service = Enrollments(controller);
    let request = AttestRequest { public_key: key(1).public(), capabilities: capabilities("h") };
    let attest = async |from: &str| service.attest(from.parse().unwrap(), request.clone()).await;
    assert!(attest("10.0.0.1:1").await.is_ok());
    assert!(attest("10.0.0.1:2").await.is_ok());
    assert_eq!(attest("10.0.0.1:3").await.unwrap_err().code, Code::Exhausted);
    assert!(attest("10.0.0.2:1").await.is_ok());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(attest("10.0.0.1:4").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_could_use_is_never_minted() {
    let controller = with_parts(|parts| parts.public_endpoint = None).await;
    let error = controller.mint_enrollment_token(&tenant("default"), "web", 0).err().unwrap();
    assert!(error.hint.unwrap().contains("--public-endpoint"));
    let controller = with_parts(|parts| parts.public_endpoint = Some("0.0.0.0:50056".parse().unwrap())).await;
    assert!(controller.mint_enrollment_token(&tenant("default"), "web", 0).is_err());
    let controller = with_parts(|_| ()).await;
    assert!(controller.mint_enrollment_token(&tenant("default"), "web", 901).is_err(), "at most 15 minutes");
}

#[tokio::test(start_paused = true)]
async fn enrolment_and_its_refusals_are_in_the_audit_log_without_tokens() {
    let controller = controller().await;
    let token = enrollment_token(&controller, "default", "web-1");
    let enrolled = enroll(&controller, &key(1), &token, "h").await.unwrap();
    let _ = enroll(&controller, &key(2), &token, "h").await.unwrap_err();
    let lines = audit_lines(&controller);
    assert!(
        lines.iter().any(|line| line.starts_with(&format!("enroll Ok {}", enrolled.node_id))),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line.starts_with("enroll Refused") && line.contains("burnt")),
        "{lines:?}"
    );
    assert!(!lines.join("\n").contains("eyJ"), "{lines:?}");
}
