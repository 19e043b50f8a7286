//! `/v1/kits`.

use std::sync::Arc;

use aegis_core::{Kind, ObjectKey};
use aegis_engine::realm::Object;
use aegis_kinds::{Kit as KitKind, KitEdit, KitSpec, Spec};
use aegis_store::Batch;
use aegis_wire::runtime::{Kit, RuntimeError};
use jiff::Timestamp;

use super::call::{Answer, Call};
use crate::{
    apps::{deletions, verb},
    keyspace, record,
    state::Daemon,
};

pub(super) async fn install(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let wish: Kit = call.read()?;
    let config = wish.config.map(serde_json::from_value).transpose();
    let spec = KitSpec {
        version: wish.version,
        image: wish.image,
        description: wish.description,
        config: config.map_err(|error| RuntimeError::invalid(format!("the kit's config: {error}")))?,
        target: None,
    };
    daemon.edit("kit install", verb::<KitKind>(&wish.name, KitEdit::Install(Box::new(spec)))).await?;
    let mut batch = Batch::new();
    record::put(&mut batch, row(&wish.name), &daemon.clock.now());
    record::commit(&*daemon.store, batch).await?;
    Answer::created(&show(&daemon, &find(&daemon, &wish.name)?)?)
}

pub(super) async fn list(daemon: Arc<Daemon>, _: Call) -> Result<Answer, RuntimeError> {
    let objects = daemon.realm.list(&[KitKind::NAME]).map_err(|error| record::failed(&error))?;
    let kits = objects.iter().map(|object| show(&daemon, object)).collect::<Result<Vec<_>, _>>()?;
    Answer::ok(&kits)
}

pub(super) async fn get(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    Answer::ok(&show(&daemon, &find(&daemon, call.segment(0))?)?)
}

pub(super) async fn uninstall(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let object = find(&daemon, call.segment(0))?;
    daemon.edit("kit uninstall", deletions([object.key])).await?;
    let mut batch = Batch::new();
    batch.delete(row(call.segment(0)));
    record::commit(&*daemon.store, batch).await?;
    Ok(Answer::Done)
}

fn row(name: &str) -> String {
    format!("{}{name}", keyspace::KITS)
}

fn find(daemon: &Daemon, name: &str) -> Result<Object, RuntimeError> {
    let key = ObjectKey::new(KitKind::NAME, name.to_owned());
    let found = daemon.realm.get(&key).map_err(|error| record::failed(&error))?;
    found.ok_or_else(|| {
        RuntimeError::not_found(format!("there is no kit '{name}'")).hint("list them: `aegis kit list`")
    })
}

fn show(daemon: &Daemon, object: &Object) -> Result<Kit, RuntimeError> {
    let damaged = || RuntimeError::internal(format!("{} can't be read", object.key));
    let exported = aegis_kinds::export(&object.key.kind, &object.body).map_err(|_| damaged())?;
    let Some((Spec::Kit(spec), ..)) = exported else { return Err(damaged()) };
    let installed_at: Option<Timestamp> = record::get(&*daemon.store, &row(&object.key.name))?;
    Ok(Kit {
        name: object.key.name.clone(),
        version: spec.version,
        image: spec.image,
        description: spec.description,
        config: spec.config.and_then(|config| serde_json::to_value(config).ok()),
        installed_at,
    })
}
