//! The pin: what is trusted, and everything that isn't.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use rustls::{crypto::aws_lc_rs, pki_types::pem::PemObject};

use super::*;
use crate::tls::Authority;

const NOW: &str = "2026-11-20T12:00:00Z";

fn now() -> jiff::Timestamp {
    NOW.parse().unwrap()
}

fn authority() -> Authority {
    Authority::generate("test CA", now()).unwrap()
}

fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect()
}

/// The chain that a server with a certificate for `names` presents.
fn presented(authority: &Authority, names: &[&str]) -> Vec<CertificateDer<'static>> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    chain(&authority.issue(&names, now()).unwrap().chain_pem)
}

fn verify(
    pin: CaFingerprint,
    chain: &[CertificateDer<'_>],
    name: &str,
    at: &str,
) -> Result<(), rustls::Error> {
    let verifier = PinVerifier { pin, provider: Arc::new(aws_lc_rs::default_provider()) };
    let seconds = at.parse::<jiff::Timestamp>().unwrap().as_second().unsigned_abs();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], at).map(|_| ())
}

/// In words, as the caller gets to see it.
fn reason(error: rustls::Error) -> String {
    untrusted_reason(&io::Error::new(io::ErrorKind::InvalidData, error)).unwrap()
}

#[test]
fn the_pinned_ca_and_the_right_name_are_trusted() {
    let authority = authority();
    let chain = presented(&authority, &["localhost", "127.0.0.1", "::1"]);
    for name in ["localhost", "127.0.0.1", "::1"] {
        verify(authority.fingerprint(), &chain, name, NOW).unwrap();
    }
}

#[test]
fn another_ca_is_not_trusted() {
    let chain = presented(&authority(), &["localhost"]);
    let error = verify(authority().fingerprint(), &chain, "localhost", NOW).unwrap_err();
    assert!(reason(error).contains("don't come from the CA with fingerprint"));
}

#[test]
fn the_right_ca_with_another_name_is_not_trusted() {
    let authority = authority();
    let chain = presented(&authority, &["localhost"]);
    let error = verify(authority.fingerprint(), &chain, "relay.example", NOW).unwrap_err();
    assert_eq!(reason(error), "its certificate is for another name");
}

#[test]
fn showing_the_right_ca_beside_anothers_leaf_is_not_trusted() {
    let (right, wrong) = (authority(), authority());
    let leaf = presented(&wrong, &["localhost"]).remove(0);
    let shown = [leaf, chain(right.certificate_pem()).remove(0)];
    let error = verify(right.fingerprint(), &shown, "localhost", NOW).unwrap_err();
    assert!(reason(error).contains("doesn't verify"));
}

#[test]
fn a_self_signed_leaf_of_the_same_name_is_not_trusted() {
    let right = authority();
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    for shown in [vec![own.der().clone()], vec![own.der().clone(), chain(right.certificate_pem()).remove(0)]]
    {
        assert!(verify(right.fingerprint(), &shown, "localhost", NOW).is_err());
    }
}

#[test]
fn a_leaf_that_is_itself_pinned_is_no_ca() {
    let authority = authority();
    let chain = presented(&authority, &["localhost"]);
    assert!(verify(CaFingerprint::of(&chain[0]), &chain, "localhost", NOW).is_err());
}

#[test]
fn a_leaf_alone_is_not_trusted() {
    let authority = authority();
    let chain = presented(&authority, &["localhost"]);
    assert!(verify(authority.fingerprint(), &chain[..1], "localhost", NOW).is_err());
}

#[test]
fn time_counts() {
    let authority = authority();
    let chain = presented(&authority, &["localhost"]);
    let at = |time| verify(authority.fingerprint(), &chain, "localhost", time);
    at("2036-11-19T00:00:00Z").unwrap();
    assert_eq!(reason(at("2036-11-21T00:00:00Z").unwrap_err()), "its certificate has expired");
    assert!(reason(at("2026-11-18T00:00:00Z").unwrap_err()).starts_with("its certificate isn't valid yet"));
}

#[test]
fn an_authority_is_the_same_after_a_restart() {
    let before = authority();
    let after = Authority::from_pem(before.certificate_pem(), &before.key_pem()).unwrap();
    assert_eq!(before.fingerprint(), after.fingerprint());
    let chain = presented(&after, &["localhost"]);
    verify(before.fingerprint(), &chain, "localhost", NOW).unwrap();
}

#[test]
fn a_fingerprint_is_hex_with_or_without_colons() {
    let pin = authority().fingerprint();
    let text = pin.to_string();
    assert_eq!(text.parse::<CaFingerprint>().unwrap(), pin);
    let pairs: Vec<&str> = (0..32).map(|i| &text[2 * i..2 * i + 2]).collect();
    assert_eq!(pairs.join(":").to_uppercase().parse::<CaFingerprint>().unwrap(), pin);
    for bad in ["", "ab", &text[..62], &format!("{text}00"), "zz"] {
        assert!(bad.parse::<CaFingerprint>().is_err(), "{bad}");
    }
}
