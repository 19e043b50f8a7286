//! A daemon's releases and instances in memory, with images that behave as a test says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};

use super::{Content, Fault, Instance, Observed, Phase, Published, Readiness, Workloads};

/// How an image behaves.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub digest: String,
    /// How long an instance of it takes to become ready, and whether it then does.
    pub ready: (Duration, Result<(), String>),
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub images: BTreeMap<String, Image>,
    pub apps: BTreeMap<String, Observed>,
    /// Contents by release.
    pub contents: BTreeMap<String, Content>,
    /// Secrets that are set.
    pub secrets: Vec<String>,
    /// Whatever was done, in order.
    pub log: Vec<String>,
    /// How often something was done or a boot begun.
    pub steps: u32,
    /// Why no instance can boot for now.
    pub busy: Option<String>,
    /// How often an image was asked for.
    pub resolved: u32,
    /// Serving instances that were stopped while the app is still declared to serve: there must be none.
    pub gaps: Vec<String>,
    pub declared_serving: bool,
    next: u32,
}

#[derive(Default)]
pub(super) struct Fake {
    world: Mutex<World>,
    changed: Notify,
    /// Told of whatever happens to an instance, as a daemon tells its reconciler.
    pub tells: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Fake {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub fn image(&self, name: &str, digest: &str, ready_after: u64, ready: Result<(), &str>) {
        let ready = (Duration::from_secs(ready_after), ready.map_err(str::to_owned));
        self.world().images.insert(name.to_owned(), Image { digest: digest.to_owned(), ready });
    }
    /// Waits until `holds`; by the paused clock at most an hour.
    pub async fn until(&self, holds: impl Fn(&World) -> bool) {
        let waited = async {
            loop {
                let changed = self.changed.notified();
                if holds(&self.world()) {
                    return;
                }
                tokio::select! { () = changed => {}, () = sleep(Duration::from_millis(100)) => {} }
            }
        };
        let bound = tokio::time::timeout(Duration::from_hours(1), waited).await;
        assert!(bound.is_ok(), "it never came to that: {:#?}", self.world());
    }
    fn done(&self, what: String, change: impl FnOnce(&mut World)) {
        self.happens(|world| {
            world.log.push(what);
            world.steps += 1;
            change(world);
        });
    }
    pub fn happens(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world());
        self.changed.notify_waiters();
        if let Some(tell) = &*self.tells.lock().unwrap_or_else(PoisonError::into_inner) {
            tell();
        }
    }
    pub fn phase(&self, app: &str, instance: &str, phase: &Phase) {
        self.happens(|world| {
            let app = world.apps.entry(app.to_owned()).or_default();
            let found = app.instances.iter_mut().filter(|one| one.id == instance);
            found.for_each(|one| one.phase = phase.clone());
        });
    }
}

impl Workloads for Fake {
    fn known(&self) -> Result<Vec<String>, Fault> {
        Ok(self.world().apps.keys().cloned().collect())
    }
    async fn observe(&self, app: &str) -> Result<Observed, Fault> {
        Ok(self.world().apps.get(app).cloned().unwrap_or_default())
    }
    async fn resolve(&self, image: &str) -> Result<String, Fault> {
        self.world().resolved += 1;
        let image = self.world().images.get(image).map(|image| image.digest.clone());
        image.ok_or_else(|| Fault::Passing("the registry can't be reached".into()))
    }
    async fn publish(&self, app: &str, content: &Content, fingerprint: &str) -> Result<String, Fault> {
        let mut id = String::new();
        self.done(format!("publish {app} {}", content.image_digest), |world| {
            world.next += 1;
            id = format!("rel-{}", world.next);
            world.contents.insert(id.clone(), content.clone());
            world.apps.entry(app.to_owned()).or_default().releases.push(Published {
                id: id.clone(),
                fingerprint: fingerprint.to_owned(),
                image: content.image.clone(),
                image_digest: content.image_digest.clone(),
            });
        });
        Ok(id)
    }
    async fn start(&self, app: &str, release: &str) -> Result<String, Fault> {
        let missing = {
            let world = self.world();
            let required = &world.contents[release].required_secrets;
            required.iter().find(|secret| !world.secrets.contains(secret)).cloned()
        };
        if let Some(secret) = missing {
            return Err(Fault::Blocked(format!("secret {secret} isn't set")));
        }
        let mut id = String::new();
        self.done(format!("start {release}"), |world| {
            world.next += 1;
            id = format!("inst-{}", world.next);
            world.apps.entry(app.to_owned()).or_default().instances.push(Instance {
                id: id.clone(),
                release: release.to_owned(),
                phase: Phase::Starting,
                is_declared: true,
            });
        });
        Ok(id)
    }
    async fn ready(&self, app: &str, instance: &str, readiness: Readiness) -> Result<(), Fault> {
        self.phase(app, instance, &Phase::Starting);
        let (after, ready, busy) = {
            let mut world = self.world();
            world.steps += 1;
            // A loop that never sleeps would hold the paused clock still for good.
            assert!(world.steps < 2000, "it goes round in a circle");
            let found = world.apps[app].instances.iter().find(|one| one.id == instance);
            let Some(found) = found else { return Err(Fault::Final("it is gone".into())) };
            let (after, ready) = world.images[&world.contents[&found.release].image].ready.clone();
            (after, ready, world.busy.clone())
        };
        if let Some(busy) = busy {
            self.phase(app, instance, &Phase::Ended(busy.clone()));
            // Whoever is told is so before the answer comes.
            tokio::task::yield_now().await;
            return Err(Fault::Passing(busy));
        }
        if after > readiness.timeout {
            sleep(readiness.timeout).await;
            return Err(Fault::Final("it took too long".into()));
        }
        sleep(after).await;
        if let Err(reason) = ready {
            self.phase(app, instance, &Phase::Ended(reason.clone()));
            tokio::task::yield_now().await;
            return Err(Fault::Final(reason));
        }
        self.done(format!("ready {instance}"), |_| {});
        self.phase(app, instance, &Phase::Ready);
        Ok(())
    }
    async fn switch(&self, app: &str, instance: &str) -> Result<(), Fault> {
        self.done(format!("switch {instance}"), |world| {
            world.apps.entry(app.to_owned()).or_default().serving = Some(instance.to_owned());
        });
        Ok(())
    }
    async fn wake(&self, app: &str, instance: &str) -> Result<(), Fault> {
        self.done(format!("wake {instance}"), |world| {
            let app = world.apps.entry(app.to_owned()).or_default();
            app.instances
                .iter_mut()
                .filter(|one| one.id == instance)
                .for_each(|one| one.phase = Phase::Ready);
        });
        Ok(())
    }
    async fn stop(&self, app: &str, instance: &str) -> Result<(), Fault> {
        self.done(format!("stop {instance}"), |world| {
            let is_declared_serving = world.declared_serving;
            let app = world.apps.entry(app.to_owned()).or_default();
            if app.serving.as_deref() == Some(instance) {
                app.serving = None;
                if is_declared_serving {
                    world.gaps.push(instance.to_owned());
                }
            }
            let app = world.apps.values_mut();
            app.for_each(|app| app.instances.retain(|one| one.id != instance));
        });
        Ok(())
    }
    async fn remove_release(&self, app: &str, release: &str) -> Result<(), Fault> {
        self.done(format!("remove {release}"), |world| {
            world.apps.entry(app.to_owned()).or_default().releases.retain(|one| one.id != release);
        });
        Ok(())
    }
    async fn forget(&self, app: &str) -> Result<(), Fault> {
        self.done(format!("forget {app}"), |world| drop(world.apps.remove(app)));
        Ok(())
    }
}
