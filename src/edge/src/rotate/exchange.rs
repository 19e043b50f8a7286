//! The two calls of a rotation, and what the host checks of the answer.

use std::time::Duration;

use aegis_wire::{
    ApiError, SigningKey,
    dial::{connect, connect_plaintext},
    enrollment::{AttestRequest, EnrollmentClient, RotateRequest, Rotated},
    token::NodeClaims,
};

use super::{RotateDeps, RotateError, STEPS};
use crate::{
    capabilities::capabilities,
    config::EdgeConfig,
    run::{Identity, RunError},
};

/// How long the controller may take to answer each of the calls.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Asks the controller to make `new` the key of this node, or if it is that, for another token. Gives the token and
/// until when it is good. May be said again, whatever became of the answer.
pub(super) async fn ask(
    deps: RotateDeps<'_>,
    config: &EdgeConfig,
    identity: &Identity,
    new: &SigningKey,
) -> Result<(String, jiff::Timestamp), RotateError> {
    let mut client = client(deps, config).await?;
    let attest = AttestRequest { public_key: new.public(), capabilities: capabilities(config, deps.host) };
    let nonce = in_time(client.attest(attest)).await.map_err(RotateError::Unreached)?;
    (deps.passed)(STEPS[1]);
    let (node_id, token) = (identity.node_id.clone(), identity.token.clone());
    let request = RotateRequest::sign(node_id, token, nonce, &identity.key, new);
    let answer = in_time(client.rotate(request)).await.map_err(RotateError::of_answer)?;
    let token_expires = check(&answer, identity, new, deps.clock.now_seconds())?;
    (deps.passed)(STEPS[2]);
    Ok((answer.node_token, token_expires))
}

/// Connects to the controller of the config, and only to the one that has the CA that it pins.
async fn client(deps: RotateDeps<'_>, config: &EdgeConfig) -> Result<EnrollmentClient, RotateError> {
    let endpoint = config.endpoint.as_ref().ok_or(RunError::Incomplete("endpoint"))?;
    let dialer = (deps.dialer)(endpoint)?;
    let channel = match (config.plaintext, &config.ca_fingerprint) {
        (true, _) => connect_plaintext(endpoint, dialer).await,
        (false, Some(pin)) => connect(endpoint, pin, dialer).await,
        (false, None) => return Err(RunError::Incomplete("caFingerprint").into()),
    };
    Ok(EnrollmentClient::new(channel.map_err(RotateError::Unreached)?))
}

async fn in_time<T>(call: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let late = |_| ApiError::unavailable(format!("the controller gave no answer in {ANSWER_WITHIN:?}"));
    tokio::time::timeout(ANSWER_WITHIN, call).await.map_err(late)?
}

/// Believes the answer only if it is by the pinned key, and for this node, tenant and key.
fn check(
    answer: &Rotated,
    identity: &Identity,
    new: &SigningKey,
    now: i64,
) -> Result<jiff::Timestamp, RotateError> {
    let refused = |why: String| Err(RotateError::Answer(why));
    if answer.server_key != identity.server_key {
        return refused("its signing key isn't the one that was pinned at enrolment".to_owned());
    }
    let keys = std::slice::from_ref(&identity.server_key);
    let claims = match NodeClaims::verify(&answer.node_token, keys, now) {
        Ok(claims) => claims,
        Err(error) => return refused(format!("its node token: {error}")),
    };
    if claims.sub != identity.node_id || claims.tid != identity.tenant {
        return refused("its node token is for another node or tenant".to_owned());
    }
    if !claims.is_bound_to(&new.public()) {
        return refused("its node token is bound to another key".to_owned());
    }
    Ok(jiff::Timestamp::from_second(claims.exp).unwrap_or(jiff::Timestamp::MAX))
}
