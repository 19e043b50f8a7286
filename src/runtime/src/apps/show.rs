//! Apps as the API shows them.

use aegis_core::Kind;
use aegis_kinds::App as AppKind;
use aegis_wire::runtime::{App, Expose, RuntimeError};

use crate::{record, state::Daemon};

/// One app.
pub(crate) fn show(daemon: &Daemon, name: &str) -> Result<App, RuntimeError> {
    let declared = daemon.seen(name)?;
    let content = declared.content();
    let row = daemon.app_row(name)?.ok_or_else(|| super::gone(name))?;
    let status = daemon.reconciler.get().and_then(|reconciler| reconciler.status(name));
    // Of an app that is only there by hand there is nothing to be said.
    let condition =
        status.filter(|_| declared.publishes()).map(|status| status.to_string()).unwrap_or_default();
    Ok(App {
        id: row.id,
        name: name.to_owned(),
        image: content.image,
        kit: declared.spec.kit.clone(),
        command: content.command,
        expose: content.expose.iter().map(|(guest, host)| Expose { guest: *guest, host: *host }).collect(),
        serve: declared.spec.serve,
        condition,
        created_at: row.created_at,
    })
}

/// All apps, by name.
pub(crate) fn list(daemon: &Daemon) -> Result<Vec<App>, RuntimeError> {
    let objects = daemon.realm.list(&[AppKind::NAME]).map_err(|error| record::failed(&error))?;
    let mut apps = Vec::with_capacity(objects.len());
    for object in objects {
        match show(daemon, &object.key.name) {
            Ok(app) => apps.push(app),
            // Deleted in the meantime.
            Err(error) if error.status == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(apps)
}
