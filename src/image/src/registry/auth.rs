//! What a registry wants in return for a 401: a password, or a token from its token service.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, Method, StatusCode, header};
use serde::Deserialize;

use super::{
    connection::{Ask, Connector},
    credentials::Credentials,
    origin::{Origin, registry_error},
};
use crate::{ImageError, manifest};

/// The longest answer of a token service.
const TOKEN_BYTES: u64 = 1024 * 1024;

/// A challenge of `WWW-Authenticate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A password.
    Basic,
    /// A token.
    Bearer {
        /// The token service.
        realm: String,
        /// Its name for the registry.
        service: Option<String>,
        /// What the token is for.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The challenge of a response; a token is preferred to a password.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let all = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let found: Vec<Self> = all.filter_map(Self::parse).collect();
        found.iter().find(|challenge| matches!(challenge, Self::Bearer { .. })).or(found.first()).cloned()
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, parameters) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let find = |wanted: &str| {
            parameters_of(parameters)
                .into_iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value)
        };
        Some(Self::Bearer { realm: find("realm")?, service: find("service"), scope: find("scope") })
    }
}

/// `a="b, c",d=e`, with commas within quotes.
fn parameters_of(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((name, rest)) = text.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_owned();
        let (value, rest) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        found.push((name, value.trim().to_owned()));
        text = rest;
    }
    found
}

/// The header of a password.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Asks the token service of a challenge for the header that opens `repository`; none if it refuses.
pub async fn token(
    connector: &Connector,
    registry: &Origin,
    (realm, service, scope): (&str, Option<&str>, Option<&str>),
    repository: &str,
    credentials: Option<&Credentials>,
) -> Result<Option<String>, ImageError> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let (origin, path) =
        Origin::of_url(realm).filter(|(origin, _)| registry.may_lead_to(origin)).ok_or_else(|| {
            let shown: String = realm.chars().take(200).collect();
            registry_error(
                registry,
                format!("its token service is at {shown:?}, where credentials aren't sent"),
                false,
            )
        })?;
    let pull = format!("repository:{repository}:pull");
    let mut form = format!("scope={}", escape(scope.unwrap_or(&pull)));
    if let Some(service) = service {
        form = format!("service={}&{form}", escape(service));
    }
    let separator = if path.contains('?') { '&' } else { '?' };
    let asked = format!("{path}{separator}{form}");
    let mut authorization = None;
    let mut ask = Ask {
        method: Method::GET,
        origin: &origin,
        path: &asked,
        accept: None,
        authorization: None,
        form: None,
    };
    match credentials {
        None => {}
        Some(Credentials::Basic { user, password }) => authorization = Some(basic(user, password)),
        Some(Credentials::Identity(refresh)) => {
            let token = escape(refresh);
            ask.form = Some(format!("grant_type=refresh_token&client_id=aegis&{form}&refresh_token={token}"));
            (ask.method, ask.path) = (Method::POST, &path);
        }
    }
    ask.authorization = authorization.as_deref();
    let response = connector.send(ask).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => return Ok(None),
        status => {
            let is_transient = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            return Err(registry_error(&origin, format!("its token service answers {status}"), is_transient));
        }
    }
    let text = response.into_body().whole(TOKEN_BYTES).await?;
    let answer: Answer = manifest::parse(&format!("answer of the token service {origin}"), &text)?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    Ok(token.map(|token| format!("Bearer {token}")))
}

/// Everything apart from letters, digits and the marks that never have a meaning.
fn escape(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_with_commas_in_quotes() {
        let text = r#"Bearer realm="https://auth.example/token",service="reg, one",scope="repository:a/b:pull,push""#;
        let Some(Challenge::Bearer { realm, service, scope }) = Challenge::parse(text) else { panic!() };
        assert_eq!(realm, "https://auth.example/token");
        assert_eq!(service.as_deref(), Some("reg, one"));
        assert_eq!(scope.as_deref(), Some("repository:a/b:pull,push"));
        assert_eq!(Challenge::parse("Basic realm=x"), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer service=x"), None);
        assert_eq!(escape("a b&c=d"), "a%20b%26c%3Dd");
    }
}
