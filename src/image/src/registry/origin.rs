//! Where a request goes: scheme, host and port.

use std::{fmt, net::IpAddr};

use http::Uri;

use super::RegistryConfig;
use crate::ImageError;

/// One server. Credentials belong to one and never go to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether TLS is spoken.
    pub is_tls: bool,
    /// The host, an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Origin {
    /// The server of a registry. Docker's has another name than its images.
    pub fn of_registry(name: &str, config: &RegistryConfig) -> Result<Self, ImageError> {
        let server = if name == "docker.io" { "registry-1.docker.io" } else { name };
        let wrong = || registry_error(name, "it is no host name", false);
        let authority: http::uri::Authority = server.parse().map_err(|_| wrong())?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong());
        }
        let is_listed = |list: &[String]| list.iter().any(|entry| entry == server || *entry == host);
        let is_plain = is_listed(&config.insecure) || (is_loopback(&host) && !is_listed(&config.secure));
        let port = authority.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        Ok(Self { is_tls: !is_plain, host, port })
    }

    /// The server and path of an absolute URL.
    pub fn of_url(url: &str) -> Option<(Self, String)> {
        let uri: Uri = url.parse().ok()?;
        let is_tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Some((Self { is_tls, host, port }, path.to_owned()))
    }

    /// Whether this server may send a client on to `other`: never from TLS to none, and never from elsewhere to this
    /// machine's own services.
    pub fn may_lead_to(&self, other: &Self) -> bool {
        (other.is_tls || !self.is_tls) && (!is_loopback(&other.host) || is_loopback(&self.host))
    }
}

impl fmt::Display for Origin {
    /// As a `Host` header has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            write!(f, "{}", self.host)?;
        }
        let usual = if self.is_tls { 443 } else { 80 };
        if self.port == usual { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error of a registry.
pub fn registry_error(host: impl fmt::Display, reason: impl fmt::Display, is_transient: bool) -> ImageError {
    ImageError::Registry { host: host.to_string(), reason: reason.to_string(), is_transient }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_and_listed_hosts() {
        let config = RegistryConfig {
            insecure: vec!["reg.example:5000".to_owned()],
            secure: vec!["localhost:5443".to_owned()],
            ..RegistryConfig::default()
        };
        for (name, origin) in [
            ("docker.io", "https registry-1.docker.io"),
            ("ghcr.io", "https ghcr.io"),
            ("ghcr.io:8443", "https ghcr.io:8443"),
            ("localhost:5000", "http localhost:5000"),
            ("localhost:5443", "https localhost:5443"),
            ("127.1.2.3", "http 127.1.2.3"),
            ("[::1]:5000", "http [::1]:5000"),
            ("reg.example:5000", "http reg.example:5000"),
            ("reg.example", "https reg.example"),
            ("localhost.evil.example", "https localhost.evil.example"),
        ] {
            let found = Origin::of_registry(name, &config).unwrap();
            assert_eq!(format!("{} {found}", if found.is_tls { "https" } else { "http" }), origin);
        }
    }

    #[test]
    fn redirects_lead_neither_out_of_tls_nor_to_this_machine() {
        let origin = |url: &str| Origin::of_url(url).unwrap().0;
        let registry = origin("https://reg.example/v2/");
        assert!(registry.may_lead_to(&origin("https://cdn.example/x?y")));
        assert!(!registry.may_lead_to(&origin("http://cdn.example/x")));
        assert!(!registry.may_lead_to(&origin("https://127.0.0.1/x")));
        assert!(origin("http://localhost:1/").may_lead_to(&origin("http://localhost:2/")));
        assert_eq!(Origin::of_url("ftp://x/"), None);
    }
}
