//! One test for each rule of the envelope: take the check out, and its test fails.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use aegis_core::{
    NodeId, TenantId,
    fleet::{CommandId, RunId},
};

use super::*;
use crate::{
    edge::{Command, Event, Order, SignedOrder},
    token::Role,
};

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
        assert_eq!(
            verified,
            Verified { kind: "heartbeat", sequence: index, vouched: None, body: heartbeat() }
        );
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
        order_digest: Bytes::new(),
    };
    let expected: &[u8] = b"\0\0\0\x11aegis-envelope-v1\0\0\0\x03ack\0\0\0\x01n\0\0\0\x02st\
        \0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\x08\0\0\0\0\0\0\0\x02\0\0\0\x03xyz";
    assert_eq!(signed_bytes(&envelope), expected);
}

fn order(subject: &str) -> SignedOrder {
    let node = NodeId::of_public_key(&[3; 32]);
    Order {
        command: CommandId::of(&RunId::at(1, [0; 4]), 0),
        node,
        tenant: TenantId::new("default").unwrap(),
        subject: subject.to_owned(),
        role: Role::Operator,
        security_context: "default".to_owned(),
        tool: "host.facts".to_owned(),
        arguments_sha256: Order::digest_of(b"{}"),
        expires_at_ms: NOW + 60_000,
        deadline: Duration::from_millis(1_500),
    }
    .to_signed()
}

fn invoke(order: SignedOrder) -> Command {
    Command::InvokeTool { order, arguments: Bytes::from_static(b"{}"), window: 4096 }
}

fn open_command(envelope: proto::Envelope) -> Result<Verified<Command>, OpenError> {
    open(Unverified(envelope), &key().public(), &mut inbound(), NOW)
}

fn sealed_order() -> proto::Envelope {
    seal(&key(), ROUTE, &mut Outbound::default(), NOW, &invoke(order("ann"))).unwrap().into_proto()
}

#[test]
fn one_signature_vouches_for_the_envelope_and_its_order() {
    let verified = open_command(sealed_order()).unwrap();
    assert_eq!(verified.vouched, Some(order("ann").digest()));
    let Command::InvokeTool { order: carried, .. } = verified.body else { panic!("{:?}", verified.body) };
    assert_eq!(carried.read().unwrap().subject, "ann");
    assert!(carried.read().unwrap().is_for(b"{}") && !carried.read().unwrap().is_for(b"{ }"));
}

#[test]
fn an_orders_digest_is_under_the_signature() {
    let alterations: [fn(&mut proto::Envelope); 4] = [
        |envelope| envelope.order_digest = Bytes::copy_from_slice(&order("eve").digest()),
        |envelope| envelope.order_digest = Bytes::new(),
        |envelope| envelope.order_digest = Bytes::from_static(&[0; 31]),
        |envelope| envelope.body = invoke(order("eve")).encode(),
    ];
    for alter in alterations {
        let mut envelope = sealed_order();
        alter(&mut envelope);
        assert_eq!(open_command(envelope).unwrap_err(), OpenError::BadSignature);
    }
    // None can be put beside an envelope that has none.
    let added = altered(|envelope| envelope.order_digest = Bytes::from_static(&[0; 32]));
    assert_eq!(added, Err(OpenError::BadSignature));
}

#[test]
fn an_order_that_isnt_the_vouched_one_is_seen_by_who_obeys_it() {
    // Whoever signs envelopes, but no orders, can only put another's digest beside an order of its own.
    let mut envelope = sealed_order();
    envelope.body = invoke(order("eve")).encode();
    envelope.signature = Bytes::copy_from_slice(&key().sign(&message_of(&envelope)));
    let verified = open_command(envelope).unwrap();
    let Command::InvokeTool { order: carried, .. } = verified.body else { panic!("{:?}", verified.body) };
    assert_ne!(verified.vouched, Some(carried.digest()));
}

#[test]
fn of_many_envelopes_at_once_a_bad_one_spoils_no_other() {
    let keys: Vec<_> = (1..=9).map(|seed| SigningKey::from_seed(&[seed; 32])).collect();
    let many = |broken: Option<usize>| -> Vec<_> {
        let each = keys.iter().enumerate().map(|(index, key)| {
            let mut envelope =
                seal(key, ROUTE, &mut Outbound::default(), NOW, &heartbeat()).unwrap().into_proto();
            if broken == Some(index) {
                envelope.time_ms += 1;
            }
            (Unverified(envelope), key.public())
        });
        verify_all(each.collect()).into_iter().map(|result| result.is_ok()).collect()
    };
    assert_eq!(many(None), [true; 9]);
    for broken in 0..9 {
        let good: Vec<_> = (0..9).map(|index| index != broken).collect();
        assert_eq!(many(Some(broken)), good);
    }
    assert_eq!(verify_all(vec![]), vec![]);
}
