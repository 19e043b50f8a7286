//! A controller's own CA, for those who don't bring certificates.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::CaFingerprint;

/// How long certificates are good. They are pinned and replaced with the controller's data, not by a deadline.
const YEARS: i16 = 10;

/// Why certificates can't be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The PEM text isn't what it should be.
    #[error("unreadable {what}: {reason}")]
    Unreadable {
        /// Which part.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The chain has no CA at its end.
    #[error("the certificate chain holds no CA; put the server's certificate first and the CA's last")]
    NoCa,
    /// A name that no certificate can have.
    #[error("'{0}' can't stand in a certificate")]
    BadName(String),
    /// The TLS library refuses certificate and key.
    #[error("certificate and key can't be used: {0}")]
    Refused(String),
    /// Making a certificate failed.
    #[error("can't make a certificate: {0}")]
    Making(String),
}

fn making(error: impl std::fmt::Display) -> CertificateError {
    CertificateError::Making(error.to_string())
}

/// A CA that can issue server certificates.
pub struct Authority {
    certificate_pem: String,
    fingerprint: CaFingerprint,
    issuer: Issuer<'static, KeyPair>,
}

/// A server certificate with its key.
pub struct Issued {
    /// Leaf and CA, as [`super::ServerIdentity::from_pem`] takes them.
    pub chain_pem: String,
    /// The leaf's private key.
    pub key_pem: String,
}

impl Authority {
    /// A new CA called `name`, good from the day before `now` on, for ten years.
    pub fn generate(name: &str, now: jiff::Timestamp) -> Result<Self, CertificateError> {
        let key = KeyPair::generate().map_err(making)?;
        let mut params = dated(CertificateParams::default(), now)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(making)?;
        Self::from_pem(&certificate.pem(), &key.serialize_pem())
    }

    /// The CA of these files.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CertificateError> {
        let unreadable = |what, reason: String| CertificateError::Unreadable { what, reason };
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| unreadable("CA certificate", error.to_string()))?;
        let key = KeyPair::from_pem(key).map_err(|error| unreadable("CA key", error.to_string()))?;
        let issuer = Issuer::from_ca_cert_der(&der, key)
            .map_err(|error| unreadable("CA certificate", error.to_string()))?;
        Ok(Self { certificate_pem: certificate.to_owned(), fingerprint: CaFingerprint::of(&der), issuer })
    }

    /// The certificate, for its file.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }
    /// The private key, for its file (0600).
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }
    /// What clients pin.
    pub fn fingerprint(&self) -> CaFingerprint {
        self.fingerprint
    }

    /// A certificate for a server that is reached under `names`: host names and addresses.
    pub fn issue(&self, names: &[String], now: jiff::Timestamp) -> Result<Issued, CertificateError> {
        let params =
            CertificateParams::new(names).map_err(|_| CertificateError::BadName(names.join(", ")))?;
        let mut params = dated(params, now)?;
        params.distinguished_name.push(DnType::CommonName, "aegis controller");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(making)?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(making)?;
        Ok(Issued {
            chain_pem: format!("{}{}", leaf.pem(), self.certificate_pem),
            key_pem: key.serialize_pem(),
        })
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.fingerprint)
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issued(…)")
    }
}

/// Good from the day before `now`, so that hosts whose clock is behind can connect, for [`YEARS`].
fn dated(mut params: CertificateParams, now: jiff::Timestamp) -> Result<CertificateParams, CertificateError> {
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let from = today.yesterday().map_err(making)?;
    let until = today.checked_add(jiff::Span::new().years(YEARS)).map_err(making)?;
    let day = |date: jiff::civil::Date| {
        // Months and days are positive: jiff's are 1 to 12 and 1 to 31.
        date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = day(from);
    params.not_after = day(until);
    Ok(params)
}
