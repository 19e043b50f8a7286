//! Coming back after the node token has ended: a host that slept through the renewal attests anew, with the old token
//! in place of an enrolment token, on the connection that its stream is going to use.

use aegis_core::session::Input;
use aegis_wire::{
    ApiError, Reason, SigningKey,
    edge::Capabilities,
    enrollment::{AttestRequest, ChallengeRequest, Credential, Enrolled, EnrollmentClient, prove},
};

use super::{Connection, daemon::Running};

/// What a host attests anew with.
pub struct Reattestation {
    key: SigningKey,
    token: String,
    capabilities: Capabilities,
}

impl Reattestation {
    /// Asks for a nonce and gives the proof for it.
    pub async fn ask(self, mut client: EnrollmentClient) -> Result<Enrolled, ApiError> {
        let public_key = self.key.public();
        let attest =
            AttestRequest { public_key: public_key.clone(), capabilities: self.capabilities.clone() };
        let nonce = client.attest(attest).await?;
        let credential = Credential::Node(self.token);
        let signature = prove(&self.key, &credential, &nonce);
        let capabilities = self.capabilities;
        client.challenge(ChallengeRequest { public_key, nonce, signature, credential, capabilities }).await
    }
}

impl Running {
    /// Whether the next connection begins with it: by the own clock, or because the controller said so.
    pub(super) fn reattestation(&self) -> Option<Reattestation> {
        let ended = self.token_ended || self.deps.clock.now_seconds() >= self.identity.expires_at;
        ended.then(|| Reattestation {
            key: self.identity.key.clone(),
            token: self.identity.token.clone(),
            capabilities: self.capabilities.clone(),
        })
    }

    /// Notes what the end of a stream says of the token.
    pub(super) fn heed(&mut self, error: &ApiError) {
        self.token_ended |= error.reason == Some(Reason::TokenEnded);
    }

    /// The connection is there, with a new token if one was asked for. The token must be by the pinned key, for this
    /// node, tenant and key; what else the answer says doesn't matter.
    pub(super) fn on_connected(
        &mut self,
        connection: Box<dyn Connection>,
        enrolled: Option<Box<Enrolled>>,
    ) -> Vec<Input> {
        if let Some(enrolled) = enrolled {
            let now = self.deps.clock.now_seconds();
            if let Err(why) = self.identity.renew(&self.options.state, enrolled.node_token, now) {
                self.fail(&format!("a new node token is refused: {why}"));
                return vec![Input::DialFailed];
            }
            self.token_ended = false;
            tracing::info!("the node token had ended; the controller gave a new one");
        }
        // The key may have been replaced while the connection was made, or before it.
        self.look_at_identity();
        self.change_identity();
        self.connection = Some(connection);
        vec![Input::Connected]
    }
}
