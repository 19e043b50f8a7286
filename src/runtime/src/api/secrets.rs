//! Secrets: they go in, and only their names come out.

use std::sync::Arc;

use aegis_core::{Kind, ObjectKey, Secret as Hidden};
use aegis_kinds::{Secret, SecretEdit, SecretScope};
use aegis_wire::runtime::{PutSecret, Rotated, RuntimeError, SecretNames};

use super::call::{Answer, Call};
use crate::{
    apps::{deletions, verb},
    realm::edit,
    secrets::{Scope, check_name},
    state::Daemon,
};

pub(super) async fn put_of_app(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let app = daemon.app_name(call.segment(0))?;
    put(&daemon, SecretScope::App(app), call.segment(1), call.read()?).await
}

pub(super) async fn put_of_workspace(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    put(&daemon, SecretScope::Workspace, call.segment(0), call.read()?).await
}

async fn put(
    daemon: &Daemon,
    scope: SecretScope,
    name: &str,
    PutSecret { value }: PutSecret,
) -> Result<Answer, RuntimeError> {
    let value = Hidden::new(value);
    check_name(name)?;
    let object = Secret::object_name(&scope, name);
    let digest = daemon.secrets.digest(&object, value.expose())?;
    let wishes = verb::<Secret>(&object, SecretEdit::Set { scope, digest });
    let realm = daemon.local_realm().with_value(ObjectKey::new(Secret::NAME, object), value);
    edit(&realm, "secret set", wishes).await?;
    Ok(Answer::Done)
}

pub(super) async fn names_of_app(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let app = daemon.app_name(call.segment(0))?;
    let names = match daemon.app_row(&app)? {
        Some(row) => daemon.secrets.names(Scope::App(&row.id))?,
        None => Vec::new(),
    };
    Answer::ok(&SecretNames { names })
}

pub(super) async fn names_of_workspace(daemon: Arc<Daemon>, _: Call) -> Result<Answer, RuntimeError> {
    Answer::ok(&SecretNames { names: daemon.secrets.names(Scope::Workspace)? })
}

pub(super) async fn delete_of_app(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let app = daemon.app_name(call.segment(0))?;
    let hint = format!("list them: `aegis secret list {app}`");
    delete(&daemon, &SecretScope::App(app), call.segment(1), hint).await
}

pub(super) async fn delete_of_workspace(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let hint = "list them: `aegis secret list-workspace`".to_owned();
    delete(&daemon, &SecretScope::Workspace, call.segment(0), hint).await
}

async fn delete(
    daemon: &Daemon,
    scope: &SecretScope,
    name: &str,
    hint: String,
) -> Result<Answer, RuntimeError> {
    let key = ObjectKey::new(Secret::NAME, Secret::object_name(scope, name));
    let found = daemon.realm.get(&key).map_err(|error| crate::record::failed(&error))?;
    if found.is_none() {
        return Err(RuntimeError::not_found(format!("there is no secret '{name}'")).hint(hint));
    }
    daemon.edit("secret delete", deletions([key])).await?;
    Ok(Answer::Done)
}

pub(super) async fn rotate(daemon: Arc<Daemon>, _: Call) -> Result<Answer, RuntimeError> {
    let rotated = tokio::task::spawn_blocking(move || daemon.secrets.rotate()).await;
    let sealed = rotated.map_err(|error| RuntimeError::internal(error.to_string()))??;
    Answer::ok(&Rotated { sealed: sealed as u64 })
}
