//! Where a controller is reached: host and port.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// `HOST:PORT`; an IPv6 address stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    host: Box<str>,
    port: u16,
}

/// The text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no endpoint; write HOST:PORT")]
pub struct InvalidEndpoint(String);

impl Endpoint {
    /// A host name or address (IPv6 without brackets) and a port.
    pub fn new(host: &str, port: u16) -> Result<Self, InvalidEndpoint> {
        let name = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
        let valid = host.parse::<IpAddr>().is_ok()
            || (!host.is_empty() && host.len() <= 253 && host.bytes().all(name));
        if valid {
            Ok(Self { host: host.into(), port })
        } else {
            Err(InvalidEndpoint(format!("{host}:{port}")))
        }
    }
    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }
    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
    /// The host as an address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
    /// Whether it can only mean this machine: a loopback address or `localhost`.
    pub fn is_loopback(&self) -> bool {
        &*self.host == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }
    /// Whether nobody can connect to it: `0.0.0.0`, `::`, or port 0.
    pub fn is_wildcard(&self) -> bool {
        self.port == 0 || self.ip().is_some_and(|ip| ip.is_unspecified())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;
    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        // An address with colons but without brackets could end in a port or in a group: refuse to guess.
        let host = match bracketed {
            Some(inner) if inner.contains(':') => inner,
            None if !host.contains(':') => host,
            _ => return Err(invalid()),
        };
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        Self::new(host, port.parse().map_err(|_| invalid())?).map_err(|_| invalid())
    }
}

impl TryFrom<String> for Endpoint {
    type Error = InvalidEndpoint;
    fn try_from(text: String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> String {
        endpoint.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["relay.example:443", "127.0.0.1:50056", "[::1]:50056"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "host",
            "host:",
            ":1",
            "::1:50056",
            "[::1]",
            "[a]:1",
            "h:65536",
            "h:+1",
            "a b:1",
            "a/b:1",
            "[::1:2",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn wildcards_and_loopback() {
        let endpoint = |text: &str| text.parse::<Endpoint>().unwrap();
        assert!(endpoint("0.0.0.0:1").is_wildcard());
        assert!(endpoint("[::]:1").is_wildcard());
        assert!(endpoint("host:0").is_wildcard());
        assert!(!endpoint("10.0.0.1:1").is_wildcard());
        assert!(endpoint("127.0.0.9:1").is_loopback());
        assert!(endpoint("localhost:1").is_loopback());
        assert!(!endpoint("localhost.example:1").is_loopback());
    }
}
