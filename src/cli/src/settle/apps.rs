//! Until this machine's daemon has done what is declared of apps.

use aegis_core::{ExitCode, Kind, ObjectKey, Revision};
use aegis_engine::realm::Realm;
use aegis_kinds::App;
use aegis_wire::runtime::realm::{GetAppStatus, RealmAppStatus};
use tokio::time::sleep;

use super::{ASKED_EVERY, say};
use crate::{failure::Failure, runtime_realm::RuntimeRealm};

/// Waits for each; all of them are heard of before the first that didn't end well is reported.
pub(super) async fn wait(realm: &RuntimeRealm, apps: &[String]) -> Result<ExitCode, Failure> {
    let mut failed = None;
    for app in apps {
        let status = until_settled(realm, app).await?;
        if let Some(status) = status.filter(|status| !status.is_ready) {
            failed.get_or_insert_with(|| (app.clone(), line(&status)));
        }
    }
    match failed {
        None => Ok(ExitCode::Success),
        Some((app, line)) => Err(Failure::generic(format!("everything is applied, but App/{app} is {line}"))
            .hint(format!("`aegis logs {app}` may show why, `aegis describe App/{app}` where it stands"))),
    }
}

/// The status once the daemon has nothing more to do for now; none: somebody removed the app.
async fn until_settled(realm: &RuntimeRealm, app: &str) -> Result<Option<RealmAppStatus>, Failure> {
    let key = ObjectKey::new(App::NAME, app);
    let mut said = String::new();
    loop {
        let Some(object) = realm.object(&key).await? else { return Ok(None) };
        let status = realm.client.realm(&GetAppStatus { app: app.to_owned() }).await?;
        if let Some(status) = status.filter(|status| is_of(status, object.revision)) {
            let line = line(&status);
            if line != said {
                say(&format!("App/{app} {line}"));
                said = line;
            }
            if status.settled {
                return Ok(Some(status));
            }
        }
        sleep(ASKED_EVERY).await;
    }
}

/// Whether it is about the object as it is now.
fn is_of(status: &RealmAppStatus, revision: Revision) -> bool {
    status.revision >= revision
}

/// `rolled back: REASON`
fn line(status: &RealmAppStatus) -> String {
    if status.reason.is_empty() {
        status.condition.clone()
    } else {
        format!("{}: {}", status.condition, status.reason)
    }
}
