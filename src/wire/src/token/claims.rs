//! What all tokens have in common: made and checked in one place.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    keys::{ServerKey, ServerSigningKey},
    reason::Reason,
};

/// How far in the future a token's begin may lie, in seconds: clocks differ. Its end is exact.
const BEGIN_LEEWAY: i64 = 30;
/// No token of ours comes near this; what is longer isn't read.
const MAX_TOKEN: usize = 8 * 1024;

/// Why a token isn't accepted, or can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No JWT, or not with the claims that this kind has.
    #[error("this is no token of the right form: {0}")]
    Malformed(String),
    /// Signed in another way than ours, or not at all.
    #[error("the token's algorithm is '{0}', not EdDSA")]
    WrongAlgorithm(String),
    /// Made by a key that isn't known here.
    #[error("the token is signed by the unknown key '{0}'")]
    UnknownKey(String),
    /// Altered, or by another key than it says.
    #[error("the token's signature doesn't fit")]
    BadSignature,
    /// A token of another kind.
    #[error("the token is for '{given}', not for '{expected}'")]
    WrongAudience {
        /// What it must be for.
        expected: &'static str,
        /// What it is for.
        given: String,
    },
    /// Its time is over.
    #[error("the token expired at {0}")]
    Expired(jiff::Timestamp),
    /// Its time hasn't come.
    #[error("the token is valid from {0} on; compare the clocks of both hosts")]
    NotYetValid(jiff::Timestamp),
    /// An enrolment token that is good for more than 15 minutes, or one that nobody could use.
    #[error("such a token is never made: {0}")]
    Refused(String),
    /// Making it failed.
    #[error("can't sign a token: {0}")]
    Signing(String),
}

impl TokenError {
    /// What the bearer may act on.
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Expired(_) => Some(Reason::TokenEnded),
            Self::NotYetValid(_) => Some(Reason::ClockSkew),
            _ => None,
        }
    }
}

/// A kind of token.
pub(crate) trait Claims: Serialize + DeserializeOwned {
    const AUDIENCE: &'static str;
    /// When it begins: seconds since 1970.
    fn begins(&self) -> i64;
    /// When it ends: seconds since 1970. At this second it is no longer good.
    fn ends(&self) -> i64;
}

#[derive(Serialize)]
struct WithAudience<'a, C> {
    aud: &'static str,
    #[serde(flatten)]
    claims: &'a C,
}

pub(crate) fn mint<C: Claims>(claims: &C, key: &ServerSigningKey) -> Result<String, TokenError> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(key.key_id().to_owned());
    let document =
        key.key().pkcs8().ok_or_else(|| TokenError::Signing("the key has no PKCS#8 form".to_owned()))?;
    let encoding = EncodingKey::from_ed_der(&document);
    jsonwebtoken::encode(&header, &WithAudience { aud: C::AUDIENCE, claims }, &encoding)
        .map_err(|error| TokenError::Signing(error.to_string()))
}

/// Checks, in this order: form, algorithm, key, signature, audience, claims, time.
pub(crate) fn verify<C: Claims>(token: &str, keys: &[ServerKey], now: i64) -> Result<C, TokenError> {
    verify_until(token, keys, now, 0)
}

/// As [`verify`], with a token that ended less than `grace` seconds ago taken as well.
pub(crate) fn verify_until<C: Claims>(
    token: &str,
    keys: &[ServerKey],
    now: i64,
    grace: i64,
) -> Result<C, TokenError> {
    let key_id = key_id(token)?;
    let key = keys.iter().find(|key| key.key_id == key_id).ok_or(TokenError::UnknownKey(key_id))?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    // The library would ask the system's clock; audience and time are checked below.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let decoding = DecodingKey::from_ed_der(key.public.as_bytes());
    let payload = jsonwebtoken::decode::<Value>(token, &decoding, &validation)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::BadSignature,
            _ => TokenError::Malformed(error.to_string()),
        })?
        .claims;
    let claims: C = read(payload)?;
    if now >= claims.ends().saturating_add(grace) {
        return Err(TokenError::Expired(timestamp(claims.ends())));
    }
    if claims.begins() > now.saturating_add(BEGIN_LEEWAY) {
        return Err(TokenError::NotYetValid(timestamp(claims.begins())));
    }
    Ok(claims)
}

/// Reads a token without checking who made it.
pub(crate) fn peek<C: Claims>(token: &str) -> Result<C, TokenError> {
    key_id(token)?;
    let payload = token.split('.').nth(1).unwrap_or_default();
    read(segment(payload)?)
}

fn read<C: Claims>(payload: Value) -> Result<C, TokenError> {
    let given = payload.get("aud").and_then(Value::as_str).unwrap_or("nothing");
    if given != C::AUDIENCE {
        return Err(TokenError::WrongAudience { expected: C::AUDIENCE, given: given.to_owned() });
    }
    serde_json::from_value(payload).map_err(|error| TokenError::Malformed(error.to_string()))
}

#[derive(Deserialize)]
struct BareHeader {
    alg: String,
    kid: Option<String>,
}

/// The form and the algorithm are right: gives the id of the key that it says to be signed by.
fn key_id(token: &str) -> Result<String, TokenError> {
    if token.len() > MAX_TOKEN || token.split('.').count() != 3 {
        return Err(TokenError::Malformed("it hasn't three parts".to_owned()));
    }
    let header: BareHeader = segment(token.split('.').next().unwrap_or_default())?;
    if header.alg != "EdDSA" {
        return Err(TokenError::WrongAlgorithm(header.alg));
    }
    header.kid.ok_or_else(|| TokenError::Malformed("it doesn't name its key".to_owned()))
}

fn segment<T: DeserializeOwned>(text: &str) -> Result<T, TokenError> {
    let bytes =
        BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|error| TokenError::Malformed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| TokenError::Malformed(error.to_string()))
}

pub(crate) fn timestamp(seconds: i64) -> jiff::Timestamp {
    // What no calendar holds is shown as the end of it.
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
