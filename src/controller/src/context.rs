//! The file with which the first operator reaches the controller. It holds the only token with the scope `controller`.

use std::path::Path;

use aegis_core::TenantId;
use aegis_store::{Batch, CommitError};
use aegis_wire::{
    CaFingerprint, Endpoint,
    token::{Role, Scope, UserClaims},
};
use serde::{Deserialize, Serialize};

use crate::{
    RunError,
    files::{read_if_there, write_private},
    state::Controller,
};

/// Its name in the data directory.
pub(crate) const FILE: &str = "admin-context.yaml";
/// How long its token is good, in seconds: ten years.
const SECONDS: u64 = 10 * 365 * 24 * 3600;

/// What is in a context file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Context {
    endpoint: Endpoint,
    ca_fingerprint: CaFingerprint,
    tenant: TenantId,
    token: String,
}

/// Writes the file if it is missing or doesn't fit any more. A token that is still good is kept.
pub(crate) async fn write_admin_context(controller: &Controller, endpoint: Endpoint) -> Result<(), RunError> {
    let path = controller.data_dir.join(FILE);
    let have = read(&path)?;
    let tenant = TenantId::new("default").map_err(|error| RunError::damaged(&path, &error))?;
    let is_good = |have: &Context| {
        UserClaims::verify(&have.token, &controller.keys, controller.now_seconds()).is_ok_and(|claims| {
            claims.scope == Some(Scope::Controller) && claims.role == Role::Admin && claims.tid == tenant
        })
    };
    let token = match have.as_ref().filter(|have| is_good(have)) {
        Some(have) => have.token.clone(),
        None => new_token(controller, &tenant).await?,
    };
    let wish = Context { endpoint, ca_fingerprint: controller.ca, tenant, token };
    if have.as_ref() == Some(&wish) {
        return Ok(());
    }
    write_private(&path, text(&wish).as_bytes()).map_err(|error| RunError::io(&path, &error))
}

/// What is in the file. One that can't be read is replaced: it can be made again.
fn read(path: &Path) -> Result<Option<Context>, RunError> {
    let content = read_if_there(path).map_err(|error| RunError::io(path, &error))?;
    Ok(content.and_then(|bytes| serde_saphyr::from_str(&String::from_utf8_lossy(&bytes)).ok()))
}

async fn new_token(controller: &Controller, tenant: &TenantId) -> Result<String, RunError> {
    let minted = controller
        .mint_user_token(tenant, "admin", Role::Admin, Some(Scope::Controller), SECONDS)
        .map_err(|error| RunError::Damaged { path: FILE.into(), reason: error.message })?;
    let mut batch = Batch::new();
    let event = controller.event("controller", tenant.as_str(), "token.user", &minted.claims.jti, FILE);
    controller.audit(&mut batch, event);
    controller.store.commit(batch).await.map_err(|error| match error {
        CommitError::Store(error) => RunError::Store(error),
        CommitError::Stale { key, .. } => RunError::Damaged { path: FILE.into(), reason: key },
    })?;
    Ok(minted.token)
}

fn text(context: &Context) -> String {
    // An IPv6 endpoint begins with a bracket, so it needs quotes; the rest is plain.
    format!(
        "# Whoever has this file may do everything with this controller.\nendpoint: \"{}\"\nca_fingerprint: {}\n\
         tenant: {}\ntoken: {}\n",
        context.endpoint, context.ca_fingerprint, context.tenant, context.token
    )
}
