//! One test for each rule of the tokens: take the check out, and its test fails.

#![allow(clippy::unwrap_used, reason = "tests")]

use aegis_core::{NodeId, TenantId};
use serde_json::json;

use super::*;
use crate::{
    keys::SigningKey,
    tls::CaFingerprint,
    token::{Confirmation, EnrollmentClaims, NodeClaims, REATTEST_SECONDS, Role, Scope, UserClaims},
};

const NOW: i64 = 1_790_000_000;

fn key() -> ServerSigningKey {
    ServerSigningKey::new(SigningKey::from_seed(&[1; 32]))
}

fn other_key() -> ServerSigningKey {
    ServerSigningKey::new(SigningKey::from_seed(&[2; 32]))
}

fn tenant() -> TenantId {
    TenantId::new("default").unwrap()
}

fn user() -> UserClaims {
    UserClaims {
        iss: "aegis".into(),
        sub: "ann".into(),
        tid: tenant(),
        role: Role::Operator,
        scope: Some(Scope::Controller),
        jti: "j1".into(),
        iat: NOW,
        exp: NOW + 60,
    }
}

fn node() -> NodeClaims {
    NodeClaims {
        iss: "aegis".into(),
        sub: NodeId::of_public_key(&[3; 32]),
        tid: tenant(),
        role: "edge".into(),
        jti: "j2".into(),
        iat: NOW,
        exp: NOW + 86_400,
        cnf: Confirmation::of(&SigningKey::from_seed(&[3; 32]).public()),
    }
}

fn enrollment() -> EnrollmentClaims {
    EnrollmentClaims {
        iss: "aegis".into(),
        sub: "web-1".into(),
        tid: tenant(),
        jti: "j3".into(),
        iat: NOW,
        nbf: NOW,
        exp: NOW + 900,
        cep: "relay.example:443".parse().unwrap(),
        cfp: "ab".repeat(32).parse::<CaFingerprint>().unwrap(),
        spk: key().public(),
    }
}

/// A token of any header and payload, signed by `key()`.
fn forge(header: &Value, payload: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(payload));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(key().key().sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn check(token: &str) -> Result<UserClaims, TokenError> {
    UserClaims::verify(token, &[other_key().public(), key().public()], NOW)
}

#[test]
fn each_kind_is_read_back() {
    let keys = [key().public()];
    assert_eq!(UserClaims::verify(&user().mint(&key()).unwrap(), &keys, NOW).unwrap(), user());
    assert_eq!(NodeClaims::verify(&node().mint(&key()).unwrap(), &keys, NOW).unwrap(), node());
    let token = enrollment().mint(&key()).unwrap();
    assert_eq!(EnrollmentClaims::verify(&token, &keys, NOW).unwrap(), enrollment());
}

#[test]
fn the_claims_have_the_names_of_the_protocol() {
    let payload = |token: String| segment::<Value>(token.split('.').nth(1).unwrap()).unwrap();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let enrollment = payload(enrollment().mint(&key()).unwrap());
    assert_eq!(
        names(&enrollment),
        ["aud", "cep", "cfp", "exp", "iat", "iss", "jti", "nbf", "spk", "sub", "tid"]
    );
    assert_eq!(enrollment["cep"], "relay.example:443");
    assert_eq!(enrollment["spk"]["key_id"], key().key_id());
    let node = payload(node().mint(&key()).unwrap());
    assert_eq!(names(&node), ["aud", "cnf", "exp", "iat", "iss", "jti", "role", "sub", "tid"]);
    let user = payload(user().mint(&key()).unwrap());
    assert_eq!((user["aud"].as_str(), user["role"].as_str()), (Some("operator"), Some("operator")));
    assert_eq!(user["scope"], "controller");
}

#[test]
fn a_token_ends_to_the_second() {
    let token = user().mint(&key()).unwrap();
    let keys = [key().public()];
    assert!(UserClaims::verify(&token, &keys, NOW + 59).is_ok());
    assert_eq!(UserClaims::verify(&token, &keys, NOW + 60), Err(TokenError::Expired(timestamp(NOW + 60))));
}

#[test]
fn a_node_token_tells_who_comes_back_for_ninety_days_and_is_checked_as_any() {
    let (token, keys, ends) = (node().mint(&key()).unwrap(), [key().public()], node().exp);
    assert!(NodeClaims::verify(&token, &keys, ends).is_err());
    assert_eq!(NodeClaims::verify_ended(&token, &keys, ends + REATTEST_SECONDS - 1), Ok(node()));
    let late = NodeClaims::verify_ended(&token, &keys, ends + REATTEST_SECONDS);
    assert_eq!(late, Err(TokenError::Expired(timestamp(ends))));
    assert!(NodeClaims::verify_ended(&token, &[other_key().public()], ends).is_err());
    let of_user = NodeClaims::verify_ended(&user().mint(&key()).unwrap(), &keys, NOW);
    assert!(matches!(of_user, Err(TokenError::WrongAudience { .. })));
}

#[test]
fn a_token_begins_within_thirty_seconds() {
    let token = user().mint(&key()).unwrap();
    let keys = [key().public()];
    assert!(UserClaims::verify(&token, &keys, NOW - 30).is_ok());
    assert_eq!(UserClaims::verify(&token, &keys, NOW - 31), Err(TokenError::NotYetValid(timestamp(NOW))));
    let later = EnrollmentClaims { nbf: NOW + 100, exp: NOW + 200, ..enrollment() };
    let token = later.mint(&key()).unwrap();
    assert_eq!(
        EnrollmentClaims::verify(&token, &keys, NOW),
        Err(TokenError::NotYetValid(timestamp(NOW + 100)))
    );
}

#[test]
fn an_unknown_key_is_refused() {
    let token = user().mint(&key()).unwrap();
    let result = UserClaims::verify(&token, &[other_key().public()], NOW);
    assert_eq!(result, Err(TokenError::UnknownKey(key().key_id().to_owned())));
}

#[test]
fn another_key_under_a_known_id_is_refused() {
    let posing = ServerKey { key_id: key().key_id().to_owned(), public: other_key().public().public };
    let token = user().mint(&key()).unwrap();
    assert_eq!(UserClaims::verify(&token, &[posing], NOW), Err(TokenError::BadSignature));
}

#[test]
fn an_altered_claim_is_refused() {
    let token = user().mint(&key()).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let mut payload: Value = segment(parts[1]).unwrap();
    payload["role"] = "admin".into();
    let altered = BASE64_URL_SAFE_NO_PAD.encode(payload.to_string());
    let token = format!("{}.{altered}.{}", parts[0], parts[2]);
    assert_eq!(check(&token), Err(TokenError::BadSignature));
}

#[test]
fn a_missing_signature_is_refused() {
    let token = user().mint(&key()).unwrap();
    let (unsigned, _) = token.rsplit_once('.').unwrap();
    assert!(check(&format!("{unsigned}.")).is_err());
    assert!(matches!(check(unsigned), Err(TokenError::Malformed(_))));
}

#[test]
fn a_token_of_another_kind_is_refused() {
    let token = node().mint(&key()).unwrap();
    let expected = TokenError::WrongAudience { expected: "operator", given: "edge-node".to_owned() };
    assert_eq!(check(&token), Err(expected));
    let without = forge(&json!({"alg": "EdDSA", "kid": key().key_id()}), &json!({"sub": "ann"}));
    assert!(matches!(check(&without), Err(TokenError::WrongAudience { .. })));
}

#[test]
fn other_algorithms_are_refused() {
    let mut payload = serde_json::to_value(user()).unwrap();
    payload["aud"] = "operator".into();
    for algorithm in ["none", "HS256", "RS256", "EdDSA2"] {
        let token = forge(&json!({"alg": algorithm, "kid": key().key_id()}), &payload);
        assert_eq!(check(&token), Err(TokenError::WrongAlgorithm(algorithm.to_owned())));
    }
    let token = forge(&json!({"alg": "EdDSA", "kid": key().key_id()}), &payload);
    assert!(check(&token).is_ok(), "the forge itself makes good tokens");
}

#[test]
fn what_is_no_token_is_malformed() {
    for text in ["", "a.b.c", "....", "a", &"x".repeat(100_000), "e30.e30.e30"] {
        assert!(matches!(check(text), Err(TokenError::Malformed(_))), "{text:.20}");
    }
    let no_key_id = forge(&json!({"alg": "EdDSA"}), &json!({"aud": "operator"}));
    assert!(matches!(check(&no_key_id), Err(TokenError::Malformed(_))));
    let no_claims = forge(&json!({"alg": "EdDSA", "kid": key().key_id()}), &json!({"aud": "operator"}));
    assert!(matches!(check(&no_claims), Err(TokenError::Malformed(_))));
}

#[test]
fn an_unknown_role_is_refused_not_coerced() {
    let mut payload = serde_json::to_value(user()).unwrap();
    payload["aud"] = "operator".into();
    payload["role"] = "root".into();
    let token = forge(&json!({"alg": "EdDSA", "kid": key().key_id()}), &payload);
    assert!(matches!(check(&token), Err(TokenError::Malformed(_))));
}

#[test]
fn an_enrolment_token_lives_fifteen_minutes_at_most() {
    let long = EnrollmentClaims { exp: NOW + 901, ..enrollment() };
    assert!(matches!(long.mint(&key()), Err(TokenError::Refused(_))));
    // One that was made all the same, by a controller of another version.
    let token = mint(&long, &key()).unwrap();
    assert!(matches!(EnrollmentClaims::verify(&token, &[key().public()], NOW), Err(TokenError::Refused(_))));
}

#[test]
fn an_enrolment_token_for_a_wildcard_is_never_made() {
    for endpoint in ["0.0.0.0:50056", "[::]:50056", "host:0"] {
        let claims = EnrollmentClaims { cep: endpoint.parse().unwrap(), ..enrollment() };
        assert!(matches!(claims.mint(&key()), Err(TokenError::Refused(_))), "{endpoint}");
    }
}

#[test]
fn the_host_reads_what_it_needs_to_connect() {
    let read = EnrollmentClaims::peek(&enrollment().mint(&key()).unwrap()).unwrap();
    assert_eq!(read.endpoint.to_string(), "relay.example:443");
    assert_eq!(read.ca_fingerprint.to_string(), "ab".repeat(32));
    assert_eq!((read.tenant, read.label.as_str()), (tenant(), "web-1"));
    assert_eq!((read.expires_at, read.server_key), (timestamp(NOW + 900), key().public()));
    let of_user = EnrollmentClaims::peek(&user().mint(&key()).unwrap());
    assert!(matches!(of_user, Err(TokenError::WrongAudience { .. })));
}

#[test]
fn a_node_token_is_bound_to_its_key() {
    let claims = node();
    assert!(claims.is_bound_to(&SigningKey::from_seed(&[3; 32]).public()));
    assert!(!claims.is_bound_to(&SigningKey::from_seed(&[4; 32]).public()));
    let read = NodeClaims::peek(&claims.mint(&key()).unwrap()).unwrap();
    assert_eq!((read.node_id, read.confirmation), (claims.sub, claims.cnf));
}
