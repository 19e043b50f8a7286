//! `/v1/realm/{call}`: what is declared, as the engine in `aegis` asks for it.

use std::sync::Arc;

use aegis_wire::runtime::RuntimeError;
use http::StatusCode;

use super::call::{Answer, Body, Call};
use crate::{realm, state::Daemon};

pub(super) async fn call(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let Body::Whole(body) = &call.body else {
        return Err(RuntimeError::bad_request("a stream isn't taken here"));
    };
    let status = |app: &str| daemon.reconciler.get().and_then(|reconciler| reconciler.status(app));
    let of = (&daemon.realm, &daemon.secrets, &daemon.clock);
    let answer = realm::call(of, status, call.segment(0), body).await?;
    Ok(Answer::Json(StatusCode::OK, answer.into()))
}
