//! The TLS settings of both ends: version 1.3 only, HTTP/2 only.

use std::sync::Arc;

use rustls::{
    ClientConfig, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::TLS13,
};

use super::{CaFingerprint, authority::CertificateError, pin::PinVerifier};

/// What HTTP/2 is called in the handshake.
const ALPN: &[u8] = b"h2";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A server's certificates, leaf first, CA last, and the leaf's private key.
pub struct ServerIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ServerIdentity {
    /// Reads both from PEM. `chain` holds the leaf, then intermediates if any, then the CA: clients find the pinned
    /// CA in what the server sends.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, CertificateError> {
        let unreadable = |what, error: rustls::pki_types::pem::Error| CertificateError::Unreadable {
            what,
            reason: error.to_string(),
        };
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unreadable("certificate chain", error))?;
        if chain.len() < 2 {
            return Err(CertificateError::NoCa);
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| unreadable("private key", error))?;
        Ok(Self { chain, key })
    }

    /// The fingerprint of the CA, the last certificate of the chain.
    pub fn ca_fingerprint(&self) -> Option<CaFingerprint> {
        self.chain.last().map(CaFingerprint::of)
    }
}

impl std::fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerIdentity(CA {:?})", self.ca_fingerprint())
    }
}

/// How a server does TLS.
#[derive(Debug, Clone)]
pub struct TlsConfig(pub(crate) Arc<ServerConfig>);

impl TlsConfig {
    /// The settings for this identity. Session tickets are off: a daemon reconnects rarely, and they cost memory a
    /// connection.
    pub fn new(identity: ServerIdentity) -> Result<Self, CertificateError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| CertificateError::Refused(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(identity.chain, identity.key)
            .map_err(|error| CertificateError::Refused(error.to_string()))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }
}

/// How a client does TLS: it trusts the CA with this fingerprint, and no other.
pub(crate) fn client_config(pin: &CaFingerprint) -> ClientConfig {
    let provider = provider();
    let verifier = Arc::new(PinVerifier { pin: *pin, provider: provider.clone() });
    #[allow(clippy::expect_used, reason = "the provider of this very crate has the TLS 1.3 suites")]
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("aws-lc-rs speaks TLS 1.3");
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config
}
