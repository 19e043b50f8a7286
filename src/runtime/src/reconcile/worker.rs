//! One app's worker: look, plan, carry out, and wait until there is a reason to look again.

use std::time::Duration;

use aegis_core::{Kind, ObjectKey, Revision};
use aegis_kinds::App;
use aegis_store::Store;
use tokio::time::sleep;

use super::{
    AppStatus, Bell, Condition, Content, Declared, Fault, Goal, Held, Instance, Observed, Phase, Plan,
    Reconciler, Step, Workloads,
};

/// How long until something that went wrong is tried again: 1 s, 2 s, 4 s … at most this.
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);
/// How often an image's tag is looked at, in case it was moved.
const RESYNC: Duration = Duration::from_mins(10);
/// More turns than any rollout takes; what needs more goes round in a circle, and waits as if it had failed.
const TURNS: usize = 16;

/// How a look at an app ended.
enum End {
    /// There is nothing more to do for now.
    Settled(Condition, String),
    /// It is to be tried again later.
    Later(String),
    /// Something else was declared meanwhile.
    Superseded,
    /// The app isn't declared, and nothing of it is left.
    Gone,
}

/// What is known while a worker looks at an app.
struct Look {
    /// Of the app's object; 0: it isn't declared.
    revision: Revision,
    declared: Option<Declared>,
    status: AppStatus,
    /// The image's digest, once it was resolved in this look.
    digest: Option<String>,
}

impl<S: Store, W: Workloads> Reconciler<S, W> {
    /// Until the app is gone.
    pub(super) async fn work(&self, app: &str, bell: &Bell) {
        loop {
            let mut look = Look {
                revision: Revision(0),
                declared: None,
                status: self.status(app).unwrap_or_default(),
                digest: None,
            };
            let end = match self.look(app, &mut look, bell).await {
                Ok(end) => end,
                Err(Fault::Blocked(reason)) => {
                    tracing::warn!(app, reason, "the app waits for something");
                    End::Settled(Condition::Waiting, reason)
                }
                Err(Fault::Passing(reason) | Fault::Final(reason)) => End::Later(reason),
            };
            let mut status = look.status;
            status.last_attempt_ms = (self.now_ms)();
            status.revision = look.revision;
            let is_again = matches!(end, End::Later(_));
            let wait = match end {
                End::Superseded => continue,
                End::Gone => {
                    self.forget_status(app).await;
                    // Somebody may have declared it again in this moment: then its worker goes on.
                    let mut apps = self.apps();
                    if !matches!(self.declared(app), Ok(None)) {
                        continue;
                    }
                    apps.remove(app);
                    return;
                }
                End::Settled(condition, reason) => {
                    (status.condition, status.reason, status.settled) = (condition, reason, true);
                    status.failures = 0;
                    RESYNC
                }
                End::Later(reason) => {
                    (status.condition, status.reason, status.settled) = (Condition::Waiting, reason, false);
                    let wait = backoff(status.failures);
                    status.failures = status.failures.saturating_add(1);
                    tracing::warn!(app, reason = status.reason, ?wait, "the app isn't as declared yet");
                    wait
                }
            };
            self.note(app, &status).await;
            tokio::select! {
                () = bell.wish.notified() => {}
                // The attempt's own traces are no reason for the next one.
                () = bell.event.notified(), if !is_again => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Looks at the app until there is nothing more to do.
    async fn look(&self, app: &str, look: &mut Look, bell: &Bell) -> Result<End, Fault> {
        for _ in 0..TURNS {
            let object = self.realm.get(&ObjectKey::new(App::NAME, app))?;
            look.revision = object.map_or(Revision(0), |object| object.revision);
            let declared = self.declared(app)?;
            if look.declared.as_ref().map(|before| &before.spec.image)
                != declared.as_ref().map(|now| &now.spec.image)
            {
                look.digest = None;
            }
            look.declared = declared;
            look.status.revision = look.revision;
            self.heed(app, &mut look.status).await;
            let observed = self.workloads.observe(app).await?;
            let Some(declared) = look.declared.clone() else {
                if self.carry_out_removal(app, &observed).await? {
                    return Ok(End::Gone);
                }
                continue;
            };
            let content = if declared.publishes() {
                match self.resolved(app, &declared, &observed, look).await {
                    Ok(content) => Some(content),
                    Err(fault) => {
                        self.stop_tried(app, &declared, &observed).await?;
                        return Err(fault);
                    }
                }
            } else {
                None
            };
            let fingerprint = content.as_ref().map(Content::fingerprint);
            if look.status.held.as_ref().is_some_and(|held| Some(&held.fingerprint) != fingerprint.as_ref()) {
                look.status.held = None;
            }
            let goal = Goal { fingerprint, serve: declared.spec.serve, held: look.status.held.clone() };
            let plan = Plan::new(&observed, Some(&goal));
            if plan.is_empty() {
                return Ok(settled(&declared, &observed, &goal));
            }
            for step in plan.steps {
                match (&step, &content) {
                    (Step::Publish, Some(content)) => {
                        self.say(app, look, "publishing a release").await;
                        self.workloads.publish(app, content, &content.fingerprint()).await?;
                    }
                    (Step::AwaitReady(instance), _) => {
                        self.say(app, look, &format!("waiting until {instance} is ready")).await;
                        let ready = self.workloads.ready(app, instance, declared.readiness());
                        let ready = tokio::select! {
                            ready = ready => ready,
                            () = bell.wish.notified() => return Ok(End::Superseded),
                        };
                        if let Err(fault) = ready {
                            self.roll_back(app, look, instance, &observed, fault).await?;
                        }
                    }
                    (Step::Start(release), _) => {
                        self.say(app, look, &format!("starting an instance of {release}")).await;
                        match self.workloads.start(app, release).await {
                            Ok(_) => {}
                            Err(Fault::Final(reason)) => {
                                self.hold(app, look, release, None, &observed, reason).await;
                            }
                            Err(other) => return Err(other),
                        }
                    }
                    (step, _) => self.carry_out(app, step).await?,
                }
            }
        }
        Ok(End::Later("it doesn't come to an end".into()))
    }

    /// Removes what there is of an app that isn't declared; whether nothing was left.
    async fn carry_out_removal(&self, app: &str, observed: &Observed) -> Result<bool, Fault> {
        let plan = Plan::new(observed, None);
        for step in &plan.steps {
            self.carry_out(app, step).await?;
        }
        if plan.is_empty() {
            self.workloads.forget(app).await?;
        }
        Ok(plan.is_empty())
    }

    async fn carry_out(&self, app: &str, step: &Step) -> Result<(), Fault> {
        tracing::info!(app, ?step, "reconciling");
        match step {
            Step::Switch(instance) => self.workloads.switch(app, instance).await,
            Step::Wake(instance) => self.workloads.wake(app, instance).await,
            Step::Stop(instance) => self.workloads.stop(app, instance).await,
            Step::RemoveRelease(release) => self.workloads.remove_release(app, release).await,
            Step::Publish | Step::Start(_) | Step::AwaitReady(_) => Ok(()),
        }
    }

    /// What was to serve next goes when nobody knows what is to serve; what serves goes on.
    async fn stop_tried(&self, app: &str, declared: &Declared, observed: &Observed) -> Result<(), Fault> {
        let is_live = |one: &&Instance| !matches!(one.phase, Phase::Ended(_));
        let tried = observed.instances.iter().filter(|one| Some(&one.id) != observed.serving.as_ref());
        for one in tried.filter(is_live).filter(|_| declared.spec.serve) {
            self.carry_out(app, &Step::Stop(one.id.clone())).await?;
        }
        Ok(())
    }

    /// The content with its image's digest. When the registry can't be reached, what was last published of the same
    /// image will do: nothing that runs depends on a registry.
    async fn resolved(
        &self,
        app: &str,
        declared: &Declared,
        observed: &Observed,
        look: &mut Look,
    ) -> Result<Content, Fault> {
        let mut content = declared.content();
        if look.digest.is_none() {
            if observed.releases.is_empty() {
                self.say(app, look, &format!("pulling {}", content.image)).await;
            }
            let published = observed.releases.iter().rev().find(|release| release.image == content.image);
            look.digest = Some(match (self.workloads.resolve(&content.image).await, published) {
                (Ok(digest), _) => digest,
                (Err(fault), Some(published)) => {
                    tracing::warn!(app, %fault, "the image can't be looked at; the one that is here will do");
                    published.image_digest.clone()
                }
                (Err(fault), None) => return Err(fault),
            });
        }
        content.image_digest = look.digest.clone().unwrap_or_default();
        Ok(content)
    }

    /// What served before goes on. The new instance goes; one that can't be ready stays for its log, if it has ended.
    async fn roll_back(
        &self,
        app: &str,
        look: &mut Look,
        instance: &str,
        observed: &Observed,
        fault: Fault,
    ) -> Result<(), Fault> {
        let release = observed.instances.iter().find(|one| one.id == instance).map(|one| one.release.clone());
        if let Fault::Final(reason) = &fault {
            // Noted first: after a crash it isn't tried again.
            let release = release.unwrap_or_default();
            self.hold(app, look, &release, Some(instance), observed, reason.clone()).await;
            return Ok(());
        }
        self.workloads.stop(app, instance).await?;
        Err(fault)
    }

    /// Notes that what is declared isn't to be tried again, and what is to serve in its place.
    async fn hold(
        &self,
        app: &str,
        look: &mut Look,
        failed: &str,
        instance: Option<&str>,
        observed: &Observed,
        reason: String,
    ) {
        let Some(declared) = &look.declared else { return };
        let content = Content { image_digest: look.digest.clone().unwrap_or_default(), ..declared.content() };
        let serving = observed.serving.as_ref();
        let serving = observed.instances.iter().find(|one| Some(&one.id) == serving);
        let release = serving.map(|one| one.release.clone()).filter(|release| release != failed);
        tracing::warn!(app, reason, "the release can't run");
        look.status.held = Some(Held {
            fingerprint: content.fingerprint(),
            release,
            reason,
            instance: instance.map(str::to_owned),
        });
        self.note(app, &look.status).await;
    }

    /// Says what is going on.
    async fn say(&self, app: &str, look: &mut Look, what: &str) {
        let status = &mut look.status;
        (status.condition, status.settled) = (Condition::Progressing, false);
        what.clone_into(&mut status.reason);
        status.revision = look.revision;
        self.note(app, &look.status).await;
    }

    /// Lets an earlier release serve, until something else is declared. Without `release`: the one before the one that
    /// serves, or before the newest. Gives the release.
    pub async fn roll_back_to(&self, app: &str, release: Option<&str>) -> Result<String, Fault> {
        let declared = self.declared(app)?.ok_or_else(|| Fault::Blocked(format!("there is no app {app}")))?;
        let observed = self.workloads.observe(app).await?;
        let serving = observed.instances.iter().find(|one| Some(&one.id) == observed.serving.as_ref());
        let current = serving.map(|one| one.release.as_str());
        let current = current.or(observed.releases.last().map(|release| release.id.as_str()));
        let at = |id: &str| observed.releases.iter().position(|release| release.id == id);
        let found = match release {
            Some(id) => at(id),
            None => current.and_then(at).and_then(|at| at.checked_sub(1)),
        };
        let found = found.and_then(|at| observed.releases.get(at)).ok_or_else(|| {
            Fault::Blocked(match release {
                Some(id) => format!("{app} has no release {id}"),
                None => format!("{app} has no release before this one"),
            })
        })?;
        let mut look = Look {
            revision: declared.revision,
            declared: Some(declared.clone()),
            status: self.status(app).unwrap_or_default(),
            digest: None,
        };
        let content = self.resolved(app, &declared, &observed, &mut look).await?;
        let held = Held {
            fingerprint: content.fingerprint(),
            release: Some(found.id.clone()),
            reason: format!("{} serves, as somebody asked for", found.id),
            instance: None,
        };
        self.ask(app, &held).await?;
        self.wish(app);
        Ok(found.id.clone())
    }

    /// The release that is to serve in the place of what is declared, if there is one.
    pub fn held_release(&self, app: &str) -> Option<String> {
        let declared = self.declared(app).ok()??;
        let status = self.status(app)?;
        // What is held holds only for what was declared then.
        let holds = declared.spec.serve && status.revision == declared.revision;
        status.held.filter(|_| holds)?.release
    }
}

fn backoff(failures: u32) -> Duration {
    LONGEST_BACKOFF.min(Duration::from_secs(1u64.checked_shl(failures.min(16)).unwrap_or(u64::MAX)))
}

/// What is to be said when there is nothing more to do.
fn settled(declared: &Declared, observed: &Observed, goal: &Goal) -> End {
    let serving = observed.instances.iter().find(|one| Some(&one.id) == observed.serving.as_ref());
    let ended = serving.filter(|_| declared.spec.serve).map(|instance| &instance.phase);
    // What was to serve in the place of something else can end as well as that.
    if let Some(Phase::Ended(reason)) = ended
        && goal.held.as_ref().is_none_or(|held| held.release.is_some())
    {
        return End::Settled(Condition::Ended, reason.clone());
    }
    if let Some(held) = &goal.held {
        let condition = if held.release.is_some() { Condition::RolledBack } else { Condition::Failed };
        return End::Settled(condition, held.reason.clone());
    }
    if let Some(instance) = serving.filter(|_| declared.spec.serve) {
        return End::Settled(Condition::Ready, format!("{} serves {}", instance.id, instance.release));
    }
    let release = observed.releases.last().filter(|_| goal.fingerprint.is_some());
    let said = release.map(|release| format!("{} is published", release.id));
    End::Settled(Condition::Ready, said.unwrap_or_default())
}
