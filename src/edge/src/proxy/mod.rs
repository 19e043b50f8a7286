//! Dialling out through an HTTP proxy, as the environment says (`HTTPS_PROXY`, `https_proxy`, `NO_PROXY`).

mod bypass;
mod connect;

use std::{fmt, sync::Arc};

use aegis_wire::{
    Endpoint,
    dial::{Dialer, TcpDialer},
};
use base64::{Engine, prelude::BASE64_STANDARD};

pub use connect::ProxyDialer;

/// The variables as they were found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxyEnv {
    /// `https_proxy`, else `HTTPS_PROXY`.
    pub proxy: Option<String>,
    /// `no_proxy`, else `NO_PROXY`.
    pub bypass: Option<String>,
}

impl ProxyEnv {
    /// Reads them; the lower-case name wins, as with curl. An empty one counts as not set.
    pub fn read(var: &dyn Fn(&str) -> Option<String>) -> Self {
        let either =
            |names: [&str; 2]| names.iter().find_map(|name| var(name).filter(|value| !value.is_empty()));
        Self { proxy: either(["https_proxy", "HTTPS_PROXY"]), bypass: either(["no_proxy", "NO_PROXY"]) }
    }
}

/// An HTTP proxy to tunnel through.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The value of `Proxy-Authorization`, when there are credentials.
    authorization: Option<String>,
}

/// Shows where the proxy is, never the credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Proxy({}{})",
            self.endpoint,
            if self.authorization.is_some() { ", with credentials" } else { "" }
        )
    }
}

/// Why the proxy variable can't be used. Its value isn't repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// TLS to the proxy, SOCKS.
    #[error("HTTPS_PROXY names a '{0}://' proxy, which isn't supported; use http://HOST:PORT")]
    Scheme(String),
    /// Anything else.
    #[error("HTTPS_PROXY isn't a proxy's address; use http://[USER:PASSWORD@]HOST:PORT")]
    Malformed,
}

/// The proxy for connections to `endpoint`, or none when the environment names none or exempts the endpoint.
pub fn proxy_for(endpoint: &Endpoint, env: &ProxyEnv) -> Result<Option<Proxy>, ProxyError> {
    let Some(address) = &env.proxy else { return Ok(None) };
    if env.bypass.as_deref().is_some_and(|list| bypass::exempts(list, endpoint)) {
        return Ok(None);
    }
    parse(address).map(Some)
}

/// The dialer for connections to `endpoint`: through the proxy that [`proxy_for`] names, else plain TCP.
pub fn dialer_for(endpoint: &Endpoint, env: &ProxyEnv) -> Result<Arc<dyn Dialer>, ProxyError> {
    Ok(match proxy_for(endpoint, env)? {
        Some(proxy) => Arc::new(ProxyDialer::new(proxy, Arc::new(TcpDialer))),
        None => Arc::new(TcpDialer),
    })
}

fn parse(address: &str) -> Result<Proxy, ProxyError> {
    let rest = match address.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        Some((scheme, _)) => return Err(ProxyError::Scheme(scheme.to_owned())),
        None => address,
    };
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (credentials, host) = match rest.rsplit_once('@') {
        Some((credentials, host)) => (Some(credentials), host),
        None => (None, rest),
    };
    // Without a port it is HTTP's own.
    let endpoint =
        host.parse().or_else(|_| format!("{host}:80").parse()).map_err(|_| ProxyError::Malformed)?;
    let authorization = match credentials {
        Some(text) => {
            let (user, password) = text.split_once(':').unwrap_or((text, ""));
            let mut plain = percent_decoded(user).ok_or(ProxyError::Malformed)?;
            plain.push(b':');
            plain.extend(percent_decoded(password).ok_or(ProxyError::Malformed)?);
            Some(format!("Basic {}", BASE64_STANDARD.encode(plain)))
        }
        None => None,
    };
    Ok(Proxy { endpoint, authorization })
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?
            }
            other => other,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(proxy: &str, bypass: &str) -> ProxyEnv {
        let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ProxyEnv { proxy: set(proxy), bypass: set(bypass) }
    }

    fn to() -> Endpoint {
        "relay.example:443".parse().unwrap()
    }

    #[test]
    fn the_lower_case_variable_wins_and_an_empty_one_is_none() {
        let read = |pairs: &'static [(&str, &str)]| {
            ProxyEnv::read(&|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(read(&[("HTTPS_PROXY", "a"), ("https_proxy", "b"), ("NO_PROXY", "c")]), env("b", "c"));
        assert_eq!(read(&[("HTTPS_PROXY", "a"), ("https_proxy", ""), ("no_proxy", "")]), env("a", ""));
    }

    #[test]
    fn proxy_addresses_are_understood() {
        for (text, endpoint, authorization) in [
            ("http://proxy:3128", "proxy:3128", None),
            ("proxy:3128/", "proxy:3128", None),
            ("HTTP://proxy", "proxy:80", None),
            ("http://[::1]:8080", "[::1]:8080", None),
            ("http://user:secret@proxy:1", "proxy:1", Some("Basic dXNlcjpzZWNyZXQ=")),
            ("http://user:p%40ss@proxy:1", "proxy:1", Some("Basic dXNlcjpwQHNz")),
            ("http://user@proxy:1", "proxy:1", Some("Basic dXNlcjo=")),
        ] {
            let proxy = proxy_for(&to(), &env(text, "")).unwrap().unwrap();
            assert_eq!(proxy.endpoint.to_string(), endpoint, "{text}");
            assert_eq!(proxy.authorization.as_deref(), authorization, "{text}");
        }
        assert_eq!(proxy_for(&to(), &env("", "")).unwrap(), None);
    }

    #[test]
    fn a_wrong_proxy_is_refused_without_showing_the_password() {
        for text in [
            "socks5://user:secret@p:1",
            "https://user:secret@p:1",
            "http://user:secret@:1",
            "http://user:se%zz@p:1",
        ] {
            let error = proxy_for(&to(), &env(text, "")).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let shown = format!("{:?}", proxy_for(&to(), &env("http://user:secret@p:1", "")).unwrap().unwrap());
        assert_eq!(shown, "Proxy(p:1, with credentials)");
    }

    #[test]
    fn an_exempt_endpoint_has_no_proxy_even_a_broken_one() {
        assert_eq!(proxy_for(&to(), &env("socks5://p:1", "relay.example")).unwrap(), None);
    }
}
