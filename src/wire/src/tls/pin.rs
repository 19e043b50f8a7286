//! The pin: a CA is known by the SHA-256 of its certificate, and nothing else is trusted.

use std::{fmt, io, str::FromStr, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The SHA-256 of a CA certificate's DER, written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CaFingerprint([u8; 32]);

/// The text is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no CA fingerprint; it is 64 hex digits")]
pub struct InvalidFingerprint(String);

impl CaFingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for CaFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for CaFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CaFingerprint {
    type Err = InvalidFingerprint;
    /// Takes colons between the digits too, as `openssl x509 -fingerprint` prints them.
    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let invalid = || InvalidFingerprint(text.to_owned());
        let digits = hex::decode(text.replace(':', "")).map_err(|_| invalid())?;
        Ok(Self(digits.try_into().map_err(|_| invalid())?))
    }
}

impl TryFrom<String> for CaFingerprint {
    type Error = InvalidFingerprint;
    fn try_from(text: String) -> Result<Self, InvalidFingerprint> {
        text.parse()
    }
}

impl From<CaFingerprint> for String {
    fn from(pin: CaFingerprint) -> String {
        pin.to_string()
    }
}

/// None of the presented certificates has the pinned fingerprint.
#[derive(Debug, thiserror::Error)]
#[error("its certificates don't come from the CA with fingerprint {0}")]
struct PinMismatch(CaFingerprint);

/// Trusts the one CA that has the pinned fingerprint, and verifies everything else as usual: chain, name, time.
#[derive(Debug)]
pub(crate) struct PinVerifier {
    pub(crate) pin: CaFingerprint,
    pub(crate) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mismatch = || CertificateError::Other(OtherError(Arc::new(PinMismatch(self.pin))));
        // The leaf itself doesn't count: a pinned CA signs leaves, it doesn't serve.
        let root = intermediates.iter().find(|c| CaFingerprint::of(c) == self.pin).ok_or_else(mismatch)?;
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// If a handshake failed because of the server's certificate: what is wrong with it, in words.
pub(crate) fn untrusted_reason(error: &io::Error) -> Option<String> {
    let Some(rustls::Error::InvalidCertificate(certificate)) =
        error.get_ref()?.downcast_ref::<rustls::Error>()
    else {
        return None;
    };
    Some(match certificate {
        CertificateError::Other(OtherError(other)) => other.to_string(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate isn't valid yet; compare the clocks of both hosts".to_owned()
        }
        other => format!("its certificate doesn't verify: {other}"),
    })
}

#[cfg(test)]
#[path = "pin_tests.rs"]
mod tests;
