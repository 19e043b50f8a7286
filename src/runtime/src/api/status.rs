//! `GET /v1/status`.

use std::sync::Arc;

use aegis_core::Kind;
use aegis_kinds::Kit;
use aegis_wire::runtime::{RuntimeError, Status};

use super::call::{Answer, Call};
use crate::{record, state::Daemon};

pub(super) async fn status(daemon: Arc<Daemon>, _: Call) -> Result<Answer, RuntimeError> {
    let kits = daemon.realm.list(&[Kit::NAME]).map_err(|error| record::failed(&error))?.len();
    Answer::ok(&Status {
        backend: daemon.backends.default_name().to_owned(),
        accelerator: daemon.backends.accelerator().map(str::to_owned),
        capabilities: daemon.backends.capabilities(),
        backends: daemon.backends.statuses().to_vec(),
        kits: kits as u64,
        instances: daemon.instances.live(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        router: daemon.router.get().map(|address| format!("http://{address}")).unwrap_or_default(),
    })
}
