//! What stands in a certificate: enough to decide whether it must be issued anew.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use super::CertificateError;

/// What stands in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The host names and addresses that it is for, sorted.
    pub names: Vec<String>,
    /// When it ends.
    pub not_after: Timestamp,
}

impl CertificateFacts {
    /// Reads the first certificate of a PEM text.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let unreadable = |reason: String| CertificateError::Unreadable { what: "certificate", reason };
        let der =
            CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
        let (_, certificate) =
            X509Certificate::from_der(&der).map_err(|error| unreadable(error.to_string()))?;
        let alternatives =
            certificate.subject_alternative_name().map_err(|error| unreadable(error.to_string()))?;
        let mut names: Vec<String> = alternatives
            .into_iter()
            .flat_map(|found| found.value.general_names.iter())
            .filter_map(name)
            .collect();
        names.sort();
        let not_after = Timestamp::from_second(certificate.validity().not_after.timestamp())
            .map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { names, not_after })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(host) => Some((*host).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from).ok();
            let address = v4.or_else(|| <[u8; 16]>::try_from(*bytes).map(IpAddr::from).ok())?;
            Some(address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::tls::Authority;

    #[test]
    fn names_and_end_are_read_back() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let issued = Authority::generate("test", now).unwrap().issue(&names, now).unwrap();
        let facts = CertificateFacts::from_pem(&issued.chain_pem).unwrap();
        assert_eq!(facts.names, ["127.0.0.1", "::1", "localhost"]);
        assert_eq!(facts.not_after.to_string(), "2036-11-20T00:00:00Z");
        assert!(CertificateFacts::from_pem("nothing").is_err());
    }
}
