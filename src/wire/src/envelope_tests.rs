//! One test for each rule of the envelope: take the check out, and its test fails.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::edge::{Command, Event};

const NOW: i64 = 1_790_000_000_000;
const ROUTE: Route<'_> = Route { sender: "n-0123456789abcdef0123", stream: "s-1" };

fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn inbound() -> Inbound {
    Inbound::new(ROUTE.sender, ROUTE.stream)
}

fn heartbeat() -> Event {
    Event::Heartbeat { draining: false, in_flight: 2 }
}

/// The first `count` envelopes of the stream.
fn sealed(count: usize) -> Vec<proto::Envelope> {
    let mut outbound = Outbound::default();
    let mut next = || seal(&key(), ROUTE, &mut outbound, NOW, &heartbeat()).unwrap().into_proto();
    (0..count).map(|_| next()).collect()
}

fn open_at(envelope: proto::Envelope, inbound: &mut Inbound, now: i64) -> Result<Verified<Event>, OpenError> {
    open(Unverified(envelope), &key().public(), inbound, now)
}

/// Opens the first envelope of the stream after `alter` was at it.
fn altered(alter: impl FnOnce(&mut proto::Envelope)) -> Result<Verified<Event>, OpenError> {
    let mut envelope = sealed(1).remove(0);
    alter(&mut envelope);
    open_at(envelope, &mut inbound(), NOW)
}

#[test]
fn what_was_sealed_opens_in_order() {
    let mut inbound = inbound();
    for (index, envelope) in (1..).zip(sealed(3)) {
        let verified = open_at(envelope, &mut inbound, NOW).unwrap();
        assert_eq!(verified, Verified { kind: "heartbeat", sequence: index, body: heartbeat() });
    }
}

#[test]
fn a_missing_signature_is_refused() {
    assert_eq!(altered(|envelope| envelope.signature = Bytes::new()), Err(OpenError::BadSignature));
}

#[test]
fn a_zero_signature_is_refused() {
    assert_eq!(altered(|envelope| envelope.signature = vec![0; 64].into()), Err(OpenError::BadSignature));
}

#[test]
fn another_keys_signature_is_refused() {
    let other = SigningKey::from_seed(&[2; 32]);
    let envelope = seal(&other, ROUTE, &mut Outbound::default(), NOW, &heartbeat()).unwrap();
    let result = open::<Event>(envelope.into(), &key().public(), &mut inbound(), NOW);
    assert_eq!(result, Err(OpenError::BadSignature));
}

#[test]
fn every_part_is_under_the_signature() {
    let alterations: [fn(&mut proto::Envelope); 8] = [
        |envelope| envelope.body = Event::Heartbeat { draining: true, in_flight: 2 }.encode(),
        |envelope| envelope.body = Bytes::new(),
        |envelope| envelope.kind = "ack".to_owned(),
        |envelope| envelope.sender = "n-ffffffffffffffffffff".to_owned(),
        |envelope| envelope.stream_id = "s-2".to_owned(),
        |envelope| envelope.sequence = 2,
        |envelope| envelope.time_ms += 1,
        // The same bytes, cut elsewhere: the lengths are signed too.
        |envelope| {
            envelope.sender.push('s');
            envelope.stream_id.remove(0);
        },
    ];
    for alter in alterations {
        assert_eq!(altered(alter), Err(OpenError::BadSignature));
    }
}

#[test]
fn a_replay_is_refused() {
    let (mut inbound, envelope) = (inbound(), sealed(1).remove(0));
    open_at(envelope.clone(), &mut inbound, NOW).unwrap();
    let rejection = Rejection::Sequence { expected: 2, given: 1 };
    assert_eq!(open_at(envelope, &mut inbound, NOW), Err(OpenError::Rejected(rejection)));
}

#[test]
fn another_order_and_a_gap_are_refused() {
    let (mut inbound, mut envelopes) = (inbound(), sealed(3));
    let rejection = Rejection::Sequence { expected: 1, given: 2 };
    assert_eq!(open_at(envelopes.remove(1), &mut inbound, NOW), Err(OpenError::Rejected(rejection)));
    open_at(envelopes.remove(0), &mut inbound, NOW).unwrap();
    let rejection = Rejection::Sequence { expected: 2, given: 3 };
    assert_eq!(open_at(envelopes.remove(0), &mut inbound, NOW), Err(OpenError::Rejected(rejection)));
}

#[test]
fn another_streams_envelope_is_refused() {
    let mut other = Inbound::new(ROUTE.sender, "s-2");
    let result = open_at(sealed(1).remove(0), &mut other, NOW);
    assert_eq!(result, Err(OpenError::Rejected(Rejection::Stream)));
}

#[test]
fn another_senders_envelope_is_refused_though_the_key_fits() {
    let mut other = Inbound::new("controller:1", ROUTE.stream);
    let result = open_at(sealed(1).remove(0), &mut other, NOW);
    assert_eq!(result, Err(OpenError::Rejected(Rejection::Sender(ROUTE.sender.to_owned()))));
}

#[test]
fn thirty_seconds_off_is_good_and_thirty_one_is_not() {
    for off in [-30_000, 30_000] {
        assert!(open_at(sealed(1).remove(0), &mut inbound(), NOW + off).is_ok());
    }
    for off in [-31_000, 31_000] {
        let result = open_at(sealed(1).remove(0), &mut inbound(), NOW + off);
        assert_eq!(result, Err(OpenError::Rejected(Rejection::Time { off_ms: 31_000 })));
    }
    let mut outbound = Outbound::default();
    let before_1970 = seal(&key(), ROUTE, &mut outbound, -1, &heartbeat()).unwrap().into_proto();
    assert!(matches!(
        open_at(before_1970, &mut inbound(), NOW),
        Err(OpenError::Rejected(Rejection::Time { .. }))
    ));
}

/// Signs whatever it is given: a sender with a key and bad intentions.
fn signed(mut envelope: proto::Envelope) -> proto::Envelope {
    envelope.signature = key().sign(&signed_bytes(&envelope)).to_vec().into();
    envelope
}

#[test]
fn a_well_signed_body_of_another_kind_is_refused() {
    let mut envelope = sealed(1).remove(0);
    envelope.kind = "ack".to_owned();
    assert!(matches!(open_at(signed(envelope), &mut inbound(), NOW), Err(OpenError::Malformed(_))));
}

#[test]
fn a_well_signed_command_is_no_event() {
    let mut envelope = sealed(1).remove(0);
    envelope.body = Command::Drain { enabled: true }.encode();
    assert!(matches!(open_at(signed(envelope), &mut inbound(), NOW), Err(OpenError::Malformed(_))));
}

#[test]
fn a_huge_time_is_refused_without_overflow() {
    let mut envelope = sealed(1).remove(0);
    envelope.time_ms = u64::MAX;
    assert!(matches!(
        open_at(signed(envelope), &mut inbound(), NOW),
        Err(OpenError::Rejected(Rejection::Time { .. }))
    ));
}

#[test]
fn more_than_four_mebibytes_are_neither_sent_nor_read() {
    let reason = "x".repeat(MAX_BODY);
    let result = seal(&key(), ROUTE, &mut Outbound::default(), NOW, &Command::Shutdown { reason });
    assert!(matches!(result, Err(TooLarge(_))));
    let mut envelope = sealed(1).remove(0);
    envelope.body = vec![0; MAX_BODY + 1].into();
    assert_eq!(open_at(signed(envelope), &mut inbound(), NOW), Err(OpenError::TooLarge));
}

#[test]
fn a_name_of_a_megabyte_is_refused() {
    let mut envelope = sealed(1).remove(0);
    envelope.kind = "k".repeat(1 << 20);
    assert_eq!(open_at(signed(envelope), &mut inbound(), NOW), Err(OpenError::BadSignature));
}

#[test]
fn bytes_and_back() {
    let mut outbound = Outbound::default();
    let envelope = seal(&key(), ROUTE, &mut outbound, NOW, &heartbeat()).unwrap();
    let read = Unverified::from_bytes(envelope.to_bytes()).unwrap();
    assert_eq!((read.sender(), read.stream()), (ROUTE.sender, ROUTE.stream));
    assert_eq!(read, Unverified::from(envelope));
    assert!(Unverified::from_bytes(Bytes::from_static(&[0xff])).is_err());
}

/// Other versions must be able to check what this one signs: the layout is a contract.
#[test]
fn the_signed_bytes_are_laid_out_as_the_proto_file_says() {
    let envelope = proto::Envelope {
        kind: "ack".into(),
        sender: "n".into(),
        stream_id: "st".into(),
        sequence: 1,
        time_ms: 2,
        body: Bytes::from_static(b"xyz"),
        signature: Bytes::new(),
    };
    let expected: &[u8] = b"\0\0\0\x11aegis-envelope-v1\0\0\0\x03ack\0\0\0\x01n\0\0\0\x02st\
        \0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\x08\0\0\0\0\0\0\0\x02\0\0\0\x03xyz";
    assert_eq!(signed_bytes(&envelope), expected);
}
