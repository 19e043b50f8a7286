//! Ed25519 keys: the node's, and the controller's signing key.

use std::{fmt, sync::Arc};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use base64::{
    Engine, prelude::BASE64_STANDARD, prelude::BASE64_STANDARD_NO_PAD, prelude::BASE64_URL_SAFE_NO_PAD,
};
use ed25519_dalek::{Signature, pkcs8::EncodePrivateKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Why a key can't be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It isn't 32 bytes long.
    #[error("a key has 32 bytes, this one {0}")]
    Length(usize),
    /// The bytes are no point of the curve, or one of the few under which any signature can be made to fit.
    #[error("these 32 bytes are no Ed25519 public key")]
    NoKey,
    /// It isn't base64.
    #[error("the key isn't base64")]
    NotBase64,
    /// The system gave no random bytes.
    #[error("no random bytes from the system: {0}")]
    NoRandomness(String),
}

/// Fills an array with random bytes of the system: nonces, token ids, seeds.
pub fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| KeyError::NoRandomness(error.to_string()))?;
    Ok(bytes)
}

/// A private key. On disk it is its 32-byte seed. Wiped from memory when dropped.
///
/// Signing and checking are aws-lc's, which rustls brings anyway: less than half the time of the portable
/// implementation, which makes the keys and checks many signatures at once (docs/adr/0016-signatures.md).
#[derive(Clone)]
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    /// None where aws-lc wouldn't take the seed: then the portable implementation signs, with the same result.
    signer: Option<Arc<Ed25519KeyPair>>,
}

impl SigningKey {
    /// A new key from the system's random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let seed = Zeroizing::new(random::<32>()?);
        Ok(Self::from_seed(&seed))
    }
    /// The key of this seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let signer = Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Arc::new);
        Self { key: ed25519_dalek::SigningKey::from_bytes(seed), signer }
    }
    /// The key of the seed in a key file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let seed: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Length(bytes.len()))?;
        Ok(Self::from_seed(seed))
    }
    /// The seed, for the key file.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }
    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.verifying_key())
    }
    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let portable = || ed25519_dalek::Signer::sign(&self.key, message).to_bytes();
        let quick = |signer: &Arc<Ed25519KeyPair>| signer.sign(message).as_ref().try_into().ok();
        self.signer.as_ref().and_then(quick).unwrap_or_else(portable)
    }
    /// As PKCS#8, which is what the JWT library takes.
    pub(crate) fn pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.key.to_pkcs8_der().ok().map(|document| Zeroizing::new(document.as_bytes().to_vec()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().fingerprint())
    }
}

/// A public key that signatures can be checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// The key of these bytes. Points of small order are refused: with them one signature fits many messages.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Length(bytes.len()))?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NoKey)?;
        if key.is_weak() { Err(KeyError::NoKey) } else { Ok(Self(key)) }
    }
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
    /// As in `node.key.pub`: base64.
    pub fn to_base64(&self) -> String {
        BASE64_STANDARD.encode(self.as_bytes())
    }
    /// The key of a base64 text; white space around it is ignored.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&BASE64_STANDARD.decode(text.trim()).map_err(|_| KeyError::NotBase64)?)
    }
    /// `SHA256:` and the digest in base64 without padding, in the manner of OpenSSH; for people.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(self.as_bytes())))
    }
    /// The JWK thumbprint (RFC 7638), which a node token is bound to in `cnf.jkt`.
    pub fn thumbprint(&self) -> String {
        let x = BASE64_URL_SAFE_NO_PAD.encode(self.as_bytes());
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(jwk))
    }
    /// Whether `signature` is this key's over exactly `message`. No malleable encodings, and no weak key: those are
    /// refused when the key is read.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.as_bytes()).verify(message, signature).is_ok()
    }
}

/// Whether all signatures are good, each over its message by its key. Not which one isn't.
///
/// A random combination of them all is checked at once, so that forgeries can't make up for one another.
pub fn verify_batch(claims: &[(&[u8], &[u8], &PublicKey)]) -> bool {
    let signatures: Result<Vec<_>, _> =
        claims.iter().map(|(_, signature, _)| Signature::from_slice(signature)).collect();
    let Ok(signatures) = signatures else { return false };
    let messages: Vec<_> = claims.iter().map(|(message, ..)| *message).collect();
    let keys: Vec<_> = claims.iter().map(|(.., key)| key.0).collect();
    ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok()
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_base64(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The public half of a controller's signing key: what a daemon pins, and what tokens are checked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerKey {
    /// What tokens name it by (`kid`).
    pub key_id: String,
    /// The key.
    #[serde(rename = "key")]
    pub public: PublicKey,
}

impl ServerKey {
    /// What its envelopes give as sender: `controller:` and the key id.
    pub fn sender(&self) -> String {
        format!("controller:{}", self.key_id)
    }
}

/// A controller's signing key with its id: the first 16 hex digits of SHA-256 over the public key.
#[derive(Debug, Clone)]
pub struct ServerSigningKey {
    key_id: String,
    key: SigningKey,
}

impl ServerSigningKey {
    /// Gives the key its id.
    pub fn new(key: SigningKey) -> Self {
        let key_id = hex::encode(&Sha256::digest(key.public().as_bytes())[..8]);
        Self { key_id, key }
    }
    /// The id.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }
    /// The private key.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }
    /// The public half.
    pub fn public(&self) -> ServerKey {
        ServerKey { key_id: self.key_id.clone(), public: self.key.public() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_seed_gives_back_its_key() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_bytes(&*key.seed()).unwrap();
        assert_eq!(key.public(), again.public());
        assert_ne!(key.public(), SigningKey::generate().unwrap().public());
        assert_eq!(SigningKey::from_bytes(&[1; 31]).unwrap_err(), KeyError::Length(31));
        assert_eq!(PublicKey::from_base64(&key.public().to_base64()).unwrap(), key.public());
    }

    #[test]
    fn a_signature_fits_one_key_and_one_message() {
        let (key, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let signature = key.sign(b"order");
        assert!(key.public().verify(b"order", &signature));
        assert!(!key.public().verify(b"other", &signature));
        assert!(!other.public().verify(b"order", &signature));
        assert!(!key.public().verify(b"order", &[0; 64]));
        assert!(!key.public().verify(b"order", &[]));
    }

    #[test]
    fn both_implementations_sign_alike() {
        let key = SigningKey::from_seed(&[5; 32]);
        let portable = SigningKey { signer: None, ..key.clone() };
        assert!(key.signer.is_some());
        assert_eq!(key.sign(b"order"), portable.sign(b"order"));
    }

    #[test]
    fn a_batch_is_good_when_every_signature_is() {
        let keys: Vec<_> = (1..=20).map(|seed| SigningKey::from_seed(&[seed; 32])).collect();
        let publics: Vec<_> = keys.iter().map(SigningKey::public).collect();
        let messages: Vec<_> = (0..20_u8).map(|number| vec![number; usize::from(number)]).collect();
        let signatures: Vec<_> = keys.iter().zip(&messages).map(|(key, message)| key.sign(message)).collect();
        let claims = |signatures: &[[u8; 64]]| {
            let rows = messages.iter().zip(signatures).zip(&publics);
            let rows: Vec<_> = rows.map(|((m, s), k)| (m.clone(), *s, k.clone())).collect();
            verify_batch(&rows.iter().map(|(m, s, k)| (m.as_slice(), s.as_slice(), k)).collect::<Vec<_>>())
        };
        assert!(claims(&signatures));
        for wrong in 0..20 {
            let mut altered = signatures.clone();
            altered[wrong][3] ^= 1;
            assert!(!claims(&altered), "{wrong}");
            let mut swapped = signatures.clone();
            swapped.swap(wrong, (wrong + 1) % 20);
            assert!(!claims(&swapped), "{wrong}");
        }
        assert!(!verify_batch(&[(b"x".as_slice(), &[0; 64], &publics[0])]));
        assert!(!verify_batch(&[(b"x".as_slice(), &[], &publics[0])]));
    }

    #[test]
    fn weak_points_are_no_keys() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(PublicKey::from_bytes(&neutral).unwrap_err(), KeyError::NoKey);
        assert_eq!(PublicKey::from_bytes(&[0; 32]).unwrap_err(), KeyError::NoKey);
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = SigningKey::from_seed(&[7; 32]);
        let shown = format!("{:?} {:?}", key, ServerSigningKey::new(key.clone()));
        assert!(shown.contains(&key.public().fingerprint()));
        assert!(!shown.contains(&hex::encode([7; 32])) && !shown.contains("7, 7"), "{shown}");
    }

    #[test]
    fn the_thumbprint_is_rfc_8037s() {
        // RFC 8037, appendix A.3.
        let x = BASE64_URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let key = PublicKey::from_bytes(&x).unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
