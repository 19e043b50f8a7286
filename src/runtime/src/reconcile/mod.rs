//! Declared apps, kept as they are declared: published, served, replaced, rolled back, removed.
//!
//! Level-triggered: whatever happened, a worker an app looks at what is declared and what is there, plans the next steps
//! ([`Plan::new`], pure) and carries them out, until there is none. It can't fail: what goes wrong is a part of the
//! app's status, so the loop never dies. The old instance serves until the new one is ready.

mod declared;
#[cfg(test)]
mod fake;
mod plan;
mod status;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aegis_core::{Kind, ObjectKey};
use aegis_engine::realm::Realm;
use aegis_kinds::{App, Idle, Kit, ReadinessPort, Resources};
use aegis_store::{Changed, Store, StoreError, realm::StoreRealm};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

pub use declared::Declared;
pub use plan::{Goal, Instance, Observed, Phase, Plan, Published, Step};
pub use status::{AppStatus, Condition, Held};

/// What a release is made of: an app with its kit, and the digest that its image had. Two that are equal in all of it
/// have the same fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The image, as it is declared.
    pub image: String,
    /// What the image was when it was resolved: `sha256:…`.
    pub image_digest: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The guest's ports that can be reached: the guest's and, where it is declared, the host's.
    pub expose: Vec<(u16, Option<u16>)>,
    /// Variables.
    pub env: std::collections::BTreeMap<String, String>,
    /// Limits.
    pub resources: Resources,
    /// When its guest is put aside.
    pub idle: Idle,
    /// Secrets of the workspace that it gets.
    pub secrets: Vec<String>,
    /// Secrets that must be there before it boots, the app's own or the workspace's.
    pub required_secrets: Vec<String>,
    /// The workspace, when it isn't the app's own.
    pub workspace: Option<String>,
    /// The backend, when it is declared.
    pub backend: Option<String>,
    /// The kit and its version.
    pub kit: Option<(String, String)>,
    /// A name for people.
    pub label: Option<String>,
}

/// When an instance counts as ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// The guest's port that must accept connections; `None`: nothing was declared, so the first exposed one.
    pub port: Option<ReadinessPort>,
    /// How long it may take, from the start of the wait.
    pub timeout: Duration,
}

/// Why a step couldn't be done, and what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It may work by itself later, as with a registry that can't be reached: it is tried again, ever more rarely.
    #[error("{0}")]
    Passing(String),
    /// It can only work once something else changes, such as a secret that isn't set.
    #[error("{0}")]
    Blocked(String),
    /// This release can't run: it isn't tried again until what is declared changes.
    #[error("{0}")]
    Final(String),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Passing(error.to_string())
    }
}

/// What the reconciler needs of the daemon. Every call can be repeated: one that was cut off shows in [`Observed`].
pub trait Workloads: Send + Sync + 'static {
    /// The names of all apps of which there is anything: a release or an instance.
    fn known(&self) -> Result<Vec<String>, Fault>;
    /// What there is of an app.
    fn observe(&self, app: &str) -> impl Future<Output = Result<Observed, Fault>> + Send;
    /// What an image is now, pulled if it isn't here: its digest.
    fn resolve(&self, image: &str) -> impl Future<Output = Result<String, Fault>> + Send;
    /// Makes a release and gives its id. It is the newest from then on.
    fn publish(
        &self,
        app: &str,
        content: &Content,
        fingerprint: &str,
    ) -> impl Future<Output = Result<String, Fault>> + Send;
    /// Makes an instance of a release and begins to boot it; requests don't go to it yet. Gives its id. A secret that
    /// is missing is [`Fault::Blocked`].
    fn start(&self, app: &str, release: &str) -> impl Future<Output = Result<String, Fault>> + Send;
    /// Waits until an instance is ready. When it can't boot, has ended or takes too long: [`Fault::Final`], with the
    /// reason. May be dropped at any time.
    fn ready(
        &self,
        app: &str,
        instance: &str,
        readiness: Readiness,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Lets requests and host ports go to this instance from now on.
    fn switch(&self, app: &str, instance: &str) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Boots an instance again that was stopped with the daemon.
    fn wake(&self, app: &str, instance: &str) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Stops an instance and forgets that it serves. One that is gone is no fault.
    fn stop(&self, app: &str, instance: &str) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Removes a release. One that is gone is no fault.
    fn remove_release(&self, app: &str, release: &str) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Removes what else there is of an app that is no longer declared, after its instances and releases.
    fn forget(&self, app: &str) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// What makes an app's worker look again. The two are apart because what a worker does is itself a reason to look again,
/// and must neither cut short the pause after a failure nor begin a wait anew.
#[derive(Debug, Default)]
struct Bell {
    /// Something else may be wanted, or something be there that was missing.
    wish: Notify,
    /// Something happened to one of its instances.
    event: Notify,
}

/// Keeps every declared app as it is declared.
pub struct Reconciler<S, W> {
    realm: StoreRealm<S>,
    workloads: Arc<W>,
    now_ms: aegis_store::realm::NowMs,
    apps: Mutex<HashMap<String, Arc<Bell>>>,
    /// Told whenever a status was written.
    noted: Notify,
}

impl<S, W> fmt::Debug for Reconciler<S, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reconciler")
    }
}

impl<S: Store, W: Workloads> Reconciler<S, W> {
    /// Of the apps in `realm`. Nothing is done until it [runs](Self::run).
    pub fn new(realm: StoreRealm<S>, workloads: Arc<W>, now_ms: aegis_store::realm::NowMs) -> Arc<Self> {
        let apps = Mutex::default();
        Arc::new(Self { realm, workloads, now_ms, apps, noted: Notify::new() })
    }

    /// Runs until it is dropped or the store is closed.
    pub async fn run(self: Arc<Self>) {
        // Watch first: what is written while everything is read is told again.
        let mut watch = self.realm.watch();
        let mut workers = tokio::task::JoinSet::new();
        self.everything(&mut workers).await;
        while let Some(changed) = watch.next().await {
            while workers.try_join_next().is_some() {}
            match changed {
                Changed::Everything => self.everything(&mut workers).await,
                Changed::Keys(_, keys) => {
                    let is_of = |kind: &str| keys.iter().any(|key| key.contains(&format!("/{kind}/")));
                    // A kit or a secret may be what any app waits for, and to look costs little.
                    if is_of(Kit::NAME) || is_of(aegis_kinds::Secret::NAME) {
                        self.everything(&mut workers).await;
                        continue;
                    }
                    let apps = keys.iter().filter_map(|key| key.rsplit_once(&format!("/{}/", App::NAME)));
                    for (_, app) in apps {
                        self.look_at(app, &mut workers);
                    }
                }
            }
        }
    }

    /// Looks at an app again: something happened to it that isn't in the store.
    pub fn trigger(&self, app: &str) {
        if let Some(bell) = self.apps().get(app) {
            bell.event.notify_one();
        }
    }

    /// Looks at an app again: somebody wants something else of it.
    fn wish(&self, app: &str) {
        if let Some(bell) = self.apps().get(app) {
            bell.wish.notify_one();
        }
    }

    async fn everything(self: &Arc<Self>, workers: &mut tokio::task::JoinSet<()>) {
        let mut names = std::collections::BTreeSet::new();
        match self.realm.objects(&[App::NAME]).await {
            Ok(apps) => names.extend(apps.into_iter().map(|app| app.key.name)),
            Err(error) => tracing::error!(%error, "the declared apps can't be read"),
        }
        match self.workloads.known() {
            Ok(known) => names.extend(known),
            Err(error) => tracing::error!(%error, "the apps that there are can't be read"),
        }
        names.extend(self.noted_apps());
        for name in names {
            self.look_at(&name, workers);
        }
    }

    /// Wakes the app's worker, or starts it.
    fn look_at(self: &Arc<Self>, app: &str, workers: &mut tokio::task::JoinSet<()>) {
        let mut apps = self.apps();
        if let Some(bell) = apps.get(app) {
            bell.wish.notify_one();
            return;
        }
        let bell = Arc::new(Bell::default());
        apps.insert(app.to_owned(), Arc::clone(&bell));
        drop(apps);
        let (this, app) = (Arc::clone(self), app.to_owned());
        workers.spawn(async move { this.work(&app, &bell).await });
    }

    fn apps(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Bell>>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The declaration of an app; `None`: it isn't declared.
    pub fn declared(&self, app: &str) -> Result<Option<Declared>, Fault> {
        let Some(object) = self.realm.get(&ObjectKey::new(App::NAME, app))? else { return Ok(None) };
        Declared::read(&object, |kit| Ok(self.realm.get(&ObjectKey::new(Kit::NAME, kit))?)).map(Some)
    }
}
