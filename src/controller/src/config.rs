//! The controller's config file. Flags win over it.
//!
#![doc = concat!("```yaml\n", include_str!("../../../packaging/controller.yaml"), "```")]

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use aegis_core::TenantId;
use aegis_wire::Endpoint;
use serde::Deserialize;

use crate::RunError;

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ControllerConfig {
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// How daemons and operators reach this controller.
    pub public_endpoint: Option<Endpoint>,
    /// The operator's own certificates.
    pub tls: Option<TlsFiles>,
    /// No TLS; only where the listening address is a loopback one.
    pub plaintext: bool,
    /// Tenants to make at start.
    pub tenants: Vec<TenantId>,
    /// Limits of the enrolment calls.
    pub enrollment: EnrollmentLimits,
}

/// Certificates that the operator brings. The CA that clients pin is the last in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsFiles {
    /// PEM: the server's certificate first, the CA's last.
    pub certificate: PathBuf,
    /// PEM: the private key of the first.
    pub key: PathBuf,
}

/// How often one source address may try to enrol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EnrollmentLimits {
    /// Attempts a second, in the long run.
    pub rate_per_second: u32,
    /// Attempts at once, after a pause.
    pub burst: u32,
}

impl Default for EnrollmentLimits {
    fn default() -> Self {
        Self { rate_per_second: 10, burst: 50 }
    }
}

/// Reads the file.
pub(crate) fn load(path: &Path) -> Result<ControllerConfig, RunError> {
    let text = std::fs::read_to_string(path).map_err(|error| RunError::io(path, &error))?;
    parse(&text).map_err(|reason| RunError::Config { path: path.to_owned(), reason })
}

fn parse(text: &str) -> Result<ControllerConfig, String> {
    if text.trim().is_empty() {
        return Ok(ControllerConfig::default());
    }
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const EXAMPLE: &str = include_str!("../../../packaging/controller.yaml");

    #[test]
    fn the_example_is_read_and_leaves_out_only_what_it_must() {
        let config = parse(EXAMPLE).unwrap();
        assert_eq!((config.tls, config.plaintext), (None, false));
        assert_eq!(config.listen.unwrap().to_string(), "0.0.0.0:50056");
        assert_eq!(config.enrollment, EnrollmentLimits::default(), "the example tells the default");
    }

    #[test]
    fn the_example_shows_every_key_and_each_is_read() {
        // A key that is commented out follows its mark at once; prose doesn't.
        let uncommented = |line: &str| match line.strip_prefix('#') {
            Some(key) if key.starts_with(char::is_alphabetic) => format!("{key}\n"),
            _ => format!("{line}\n"),
        };
        let text: String = EXAMPLE.lines().map(uncommented).collect();
        // Without `..`: a new key has no way around this test.
        let ControllerConfig { listen, public_endpoint, tls, plaintext, tenants, enrollment } =
            parse(&text).unwrap();
        assert!(listen.is_some() && plaintext && tenants.len() == 2);
        assert_eq!(public_endpoint.unwrap().to_string(), "fleet.example.com:50056");
        let TlsFiles { certificate, key } = tls.unwrap();
        assert_eq!([certificate, key], ["/etc/aegis/server.pem", "/etc/aegis/server.key"].map(PathBuf::from));
        let EnrollmentLimits { rate_per_second, burst } = enrollment;
        assert!(text.contains(&format!("ratePerSecond: {rate_per_second}\n  burst: {burst}")));
    }

    #[test]
    fn every_field_is_read_and_no_other_accepted() {
        let config = parse(
            "listen: 127.0.0.1:7\npublicEndpoint: a.example:1\ntls: {certificate: /c, key: /k}\n\
             plaintext: true\ntenants: [t-web]\nenrollment: {ratePerSecond: 1000, burst: 2000}\n",
        )
        .unwrap();
        assert_eq!(config.listen.unwrap().port(), 7);
        assert_eq!(config.public_endpoint.unwrap().to_string(), "a.example:1");
        assert!(config.plaintext);
        assert_eq!(config.tenants[0].as_str(), "t-web");
        assert_eq!(config.enrollment, EnrollmentLimits { rate_per_second: 1000, burst: 2000 });
        assert_eq!(parse("# nothing\n").unwrap_or_default(), ControllerConfig::default());
        assert!(parse("listn: 127.0.0.1:7\n").unwrap_err().contains("listn"));
        assert!(parse("tenants: [NO]\n").is_err());
        assert!(parse("publicEndpoint: nowhere\n").is_err());
    }
}
