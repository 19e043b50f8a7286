//! Any bytes, read as an envelope, are refused or are exactly what was sealed; the same for what is inside one.
#![no_main]

use std::sync::LazyLock;

use aegis_core::session::{Inbound, Outbound};
use aegis_wire::{
    PublicKey, SigningKey, Unverified,
    edge::{Command, Event},
    envelope::{Body, Route, open, seal},
    token::{EnrollmentClaims, NodeClaims, UserClaims},
};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

const NOW: i64 = 1_790_000_000_000;
const ROUTE: Route<'_> = Route { sender: "n-0123456789abcdef0123", stream: "s" };

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_seed(&[1; 32]));
static PUBLIC: LazyLock<PublicKey> = LazyLock::new(|| KEY.public());

fn inbound() -> Inbound {
    Inbound::new(ROUTE.sender, ROUTE.stream)
}

/// What is read from any bytes, once sealed and sent, arrives as it was.
fn travels<B: Body + PartialEq + std::fmt::Debug>(bytes: &Bytes) {
    let Ok(body) = B::decode(bytes.clone()) else { return };
    let sealed = seal(&KEY, ROUTE, &mut Outbound::default(), NOW, &body).expect("it is small");
    let arrived = Unverified::from_bytes(sealed.to_bytes()).expect("it was made here");
    let verified = open::<B>(arrived, &PUBLIC, &mut inbound(), NOW).expect("it was signed here");
    assert_eq!(verified.body, body);
}

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(unverified) = Unverified::from_bytes(bytes.clone()) {
        // Nobody but this process has the key, and it signs nothing here.
        assert!(open::<Event>(unverified.clone(), &PUBLIC, &mut inbound(), NOW).is_err());
        assert!(open::<Command>(unverified, &PUBLIC, &mut inbound(), NOW).is_err());
    }
    travels::<Event>(&bytes);
    travels::<Command>(&bytes);
    if let Ok(text) = std::str::from_utf8(data) {
        // Whatever they make of it, they don't panic; without a key nothing verifies.
        let _ = (EnrollmentClaims::peek(text), NodeClaims::peek(text));
        assert!(UserClaims::verify(text, &[], NOW / 1000).is_err());
    }
});
