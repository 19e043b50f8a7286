//! The outer envelope of every message on the stream, in both directions (2-protocol.md, "Envelopes").
//!
//! Three types keep the steps apart. [`Envelope`] is signed and can only be sent. [`Unverified`] has arrived and shows
//! nothing but where it claims to come from. [`Verified`] is what [`open`] gives, and only it has a body.

use aegis_core::session::{Header, Inbound, Outbound, Rejection};
use bytes::Bytes;
use prost::Message as _;
use sha2::{Digest, Sha256};

use crate::{
    keys::{self, PublicKey, SigningKey},
    proto,
};

/// The largest body, in bytes. A larger one is neither sent nor read.
pub const MAX_BODY: usize = 4 * 1024 * 1024;
/// The largest envelope on the wire: the body, and room for the rest.
pub(crate) const MAX_ENVELOPE: usize = MAX_BODY + 4 * 1024;
/// The longest kind, sender or stream id, in bytes.
const MAX_NAME: usize = 256;
/// In front of what is signed, so that no signature made for anything else fits an envelope.
const DOMAIN: &[u8] = b"aegis-envelope-v1";
/// In front of what is signed where an order is vouched for beside the envelope.
const SEAL: &[u8] = b"aegis-seal-v1";

/// What an envelope can carry.
pub trait Body: Sized {
    /// The kind's name, such as `heartbeat`. It is signed beside the body.
    fn kind(&self) -> &'static str;
    /// The exact bytes that are signed and sent.
    fn encode(&self) -> Bytes;
    /// The digest of the order that it carries, if it carries one: the signature vouches for it, too.
    fn order_digest(&self) -> Option<[u8; 32]> {
        None
    }
    /// Reads the bytes of a verified envelope.
    fn decode(bytes: Bytes) -> Result<Self, Malformed>;
}

/// The bytes aren't a message of the kind that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// Why an envelope isn't accepted. After any of them the stream ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The signature is missing, zero, by another key, or over other bytes.
    #[error("the envelope's signature doesn't fit")]
    BadSignature,
    /// Well signed, but replayed, out of order, from another stream, or from another time.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Well signed, but the body is no message, or is of another kind than the envelope says.
    #[error("the envelope can't be read: {0}")]
    Malformed(#[from] Malformed),
    /// Larger than [`MAX_BODY`].
    #[error("the envelope is larger than 4 MiB")]
    TooLarge,
}

/// The body is larger than [`MAX_BODY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes doesn't fit an envelope of 4 MiB")]
pub struct TooLarge(pub usize);

/// Who sends on which stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// The node's id, or `controller:` and the key id.
    pub sender: &'a str,
    /// The stream's id, chosen by the daemon at random.
    pub stream: &'a str,
}

/// A signed envelope, to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope(proto::Envelope);

/// An envelope that has arrived. What it says of itself may be a lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Unverified(proto::Envelope);

/// What a well-signed envelope carried, in its place of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified<B> {
    /// The kind's name.
    pub kind: &'static str,
    /// The number in its direction.
    pub sequence: u64,
    /// The digest of the order that the signature vouches for beside the envelope. Whether it is the order in the body
    /// is for who obeys it to check.
    pub vouched: Option<[u8; 32]>,
    /// The message.
    pub body: B,
}

/// An envelope whose signature is good. Its place in the stream isn't checked yet, and nothing of it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Attested(proto::Envelope);

/// Signs `body` as the next message of `route` at the wall clock time `now_ms` (milliseconds since 1970).
pub fn seal<B: Body>(
    key: &SigningKey,
    route: Route<'_>,
    outbound: &mut Outbound,
    now_ms: i64,
    body: &B,
) -> Result<Envelope, TooLarge> {
    let bytes = body.encode();
    if bytes.len() > MAX_BODY {
        return Err(TooLarge(bytes.len()));
    }
    let mut envelope = proto::Envelope {
        kind: body.kind().to_owned(),
        sender: route.sender.to_owned(),
        stream_id: route.stream.to_owned(),
        sequence: outbound.next_sequence(),
        // A clock before 1970 is refused by the other side, as it should be.
        time_ms: u64::try_from(now_ms).unwrap_or(0),
        body: bytes,
        signature: Bytes::new(),
        order_digest: body.order_digest().map(|digest| Bytes::copy_from_slice(&digest)).unwrap_or_default(),
    };
    envelope.signature = Bytes::copy_from_slice(&key.sign(&message_of(&envelope)));
    Ok(Envelope(envelope))
}

/// Checks the signature, then the place in the stream, then reads the body. `now_ms` is the own wall clock.
///
/// The order matters: nothing is parsed and no counter moves for bytes that nobody vouches for.
pub fn open<B: Body>(
    unverified: Unverified,
    key: &PublicKey,
    inbound: &mut Inbound,
    now_ms: i64,
) -> Result<Verified<B>, OpenError> {
    verify(unverified, key)?.open(inbound, now_ms)
}

/// Checks the signature, and nothing else.
pub fn verify(unverified: Unverified, key: &PublicKey) -> Result<Attested, OpenError> {
    let message = unverified.message()?;
    if !key.verify(&message, &unverified.0.signature) {
        return Err(OpenError::BadSignature);
    }
    Ok(Attested(unverified.0))
}

/// Checks many signatures at once, which takes about a third of the time that one after the other would.
///
/// When all are good, so is each; when not, each is checked alone, so that one bad envelope spoils no other.
pub fn verify_all(envelopes: Vec<(Unverified, PublicKey)>) -> Vec<Result<Attested, OpenError>> {
    let messages: Vec<_> = envelopes.iter().map(|(envelope, _)| envelope.message().ok()).collect();
    let mut claims = Vec::with_capacity(envelopes.len());
    for ((envelope, key), message) in envelopes.iter().zip(&messages) {
        if let Some(message) = message {
            claims.push((message.as_slice(), envelope.0.signature.as_ref(), key));
        }
    }
    if claims.len() == envelopes.len() && claims.len() > 1 && keys::verify_batch(&claims) {
        return envelopes.into_iter().map(|(envelope, _)| Ok(Attested(envelope.0))).collect();
    }
    envelopes.into_iter().map(|(envelope, key)| verify(envelope, &key)).collect()
}

impl Attested {
    /// Checks the place in the stream, then reads the body.
    pub fn open<B: Body>(self, inbound: &mut Inbound, now_ms: i64) -> Result<Verified<B>, OpenError> {
        let envelope = self.0;
        let header = Header {
            sender: &envelope.sender,
            stream: &envelope.stream_id,
            sequence: envelope.sequence,
            time_ms: i64::try_from(envelope.time_ms).unwrap_or(i64::MAX),
        };
        inbound.accept(&header, now_ms)?;
        let vouched = match envelope.order_digest.as_ref() {
            [] => None,
            digest => Some(digest.try_into().map_err(|_| Malformed("a digest has 32 bytes".to_owned()))?),
        };
        let body = B::decode(envelope.body)?;
        if body.kind() != envelope.kind {
            return Err(
                Malformed(format!("it is labelled '{}' and holds '{}'", envelope.kind, body.kind())).into()
            );
        }
        Ok(Verified { kind: body.kind(), sequence: envelope.sequence, vouched, body })
    }
}

/// What is signed: the envelope's bytes; or, where an order is vouched for beside it, the digests of both.
fn message_of(envelope: &proto::Envelope) -> Vec<u8> {
    let bytes = signed_bytes(envelope);
    if envelope.order_digest.is_empty() {
        return bytes;
    }
    [SEAL, Sha256::digest(bytes).as_slice(), &envelope.order_digest].concat()
}

/// The bytes under the signature. Each part has its length in front, so that no two envelopes share them.
fn signed_bytes(envelope: &proto::Envelope) -> Vec<u8> {
    let (sequence, time) = (envelope.sequence.to_be_bytes(), envelope.time_ms.to_be_bytes());
    let parts: [&[u8]; 7] = [
        DOMAIN,
        envelope.kind.as_bytes(),
        envelope.sender.as_bytes(),
        envelope.stream_id.as_bytes(),
        &sequence,
        &time,
        &envelope.body,
    ];
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        // Lengths are below 2^32: gRPC itself can't carry more in one message.
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

impl Envelope {
    /// The bytes of the protobuf message.
    pub fn to_bytes(&self) -> Bytes {
        self.0.encode_to_vec().into()
    }
    pub(crate) fn into_proto(self) -> proto::Envelope {
        self.0
    }
}

impl Unverified {
    /// Reads the bytes of the protobuf message.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, Malformed> {
        proto::Envelope::decode(bytes).map(Self).map_err(|error| Malformed(error.to_string()))
    }
    pub(crate) fn from_proto(envelope: proto::Envelope) -> Self {
        Self(envelope)
    }
    /// What its signature must be over.
    fn message(&self) -> Result<Vec<u8>, OpenError> {
        let envelope = &self.0;
        if envelope.body.len() > MAX_BODY {
            return Err(OpenError::TooLarge);
        }
        let names = [&envelope.kind, &envelope.sender, &envelope.stream_id];
        if names.iter().any(|name| name.len() > MAX_NAME) || !matches!(envelope.order_digest.len(), 0 | 32) {
            return Err(OpenError::BadSignature);
        }
        Ok(message_of(envelope))
    }
    /// Who claims to have sent it: tells which key to check it with.
    pub fn sender(&self) -> &str {
        &self.0.sender
    }
    /// The stream that it claims to belong to. The first event of a stream names it.
    pub fn stream(&self) -> &str {
        &self.0.stream_id
    }
}

/// What was sent, as it arrives: for tests without a network.
impl From<Envelope> for Unverified {
    fn from(envelope: Envelope) -> Self {
        Self(envelope.0)
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
