//! The two calls of an enrolment, and what the host checks of the answers.

use aegis_wire::{
    SigningKey,
    dial::{Dialer, connect, connect_plaintext},
    edge::Capabilities,
    enrollment::{AttestRequest, ChallengeRequest, Credential, Enrolled, EnrollmentClient, prove},
    token::NodeClaims,
};
use std::sync::Arc;

use super::EnrollError;
use crate::bootstrap::Offer;

pub(super) struct Handshake(EnrollmentClient);

impl Handshake {
    /// Connects to the controller that the token names, and only to the one that has the CA it names.
    pub async fn connect(
        offer: &Offer,
        plaintext: bool,
        dialer: Arc<dyn Dialer>,
    ) -> Result<Self, EnrollError> {
        let channel = if plaintext {
            connect_plaintext(&offer.endpoint, dialer).await
        } else {
            connect(&offer.endpoint, &offer.ca_fingerprint, dialer).await
        };
        Ok(Self(EnrollmentClient::new(channel.map_err(EnrollError::Unreached)?)))
    }

    pub async fn attest(
        &mut self,
        key: &SigningKey,
        capabilities: &Capabilities,
    ) -> Result<[u8; 32], EnrollError> {
        let request = AttestRequest { public_key: key.public(), capabilities: capabilities.clone() };
        self.0.attest(request).await.map_err(EnrollError::Unreached)
    }

    pub async fn challenge(
        &mut self,
        key: &SigningKey,
        token: &str,
        nonce: [u8; 32],
        capabilities: Capabilities,
    ) -> Result<Enrolled, EnrollError> {
        let credential = Credential::Enrollment(token.to_owned());
        let signature = prove(key, &credential, &nonce);
        let request =
            ChallengeRequest { public_key: key.public(), nonce, signature, credential, capabilities };
        self.0.challenge(request).await.map_err(EnrollError::Challenge)
    }
}

/// Believes the answer only if it is for this key and tenant and by the key that the enrolment token names.
pub(super) fn check(
    enrolled: &Enrolled,
    key: &SigningKey,
    offer: &Offer,
    now: i64,
) -> Result<NodeClaims, EnrollError> {
    if enrolled.server_key != offer.server_key {
        return Err(EnrollError::Answer(
            "its signing key isn't the one that the enrolment token names".to_owned(),
        ));
    }
    let claims = NodeClaims::verify(&enrolled.node_token, std::slice::from_ref(&offer.server_key), now)
        .map_err(|error| EnrollError::Answer(format!("its node token: {error}")))?;
    if claims.sub != enrolled.node_id || claims.tid != enrolled.tenant || enrolled.tenant != offer.tenant {
        return Err(EnrollError::Answer("its node token is for another node or tenant".to_owned()));
    }
    if !claims.is_bound_to(&key.public()) {
        return Err(EnrollError::Answer("its node token is bound to another key".to_owned()));
    }
    Ok(claims)
}
