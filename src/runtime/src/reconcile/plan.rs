//! What has to be done to an app: a pure function of what is there and what is wanted.

use super::Held;

/// A release that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its id.
    pub id: String,
    /// Of its content.
    pub fingerprint: String,
    /// The image, as it was declared.
    pub image: String,
    /// What the image was.
    pub image_digest: String,
}

/// Where an instance stands, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It boots, or isn't known to be ready.
    Starting,
    /// It can be used: it runs, is paused, or is put aside until a request wakes it.
    Ready,
    /// The daemon stopped under it.
    Interrupted,
    /// It has ended for good, and why. Nobody starts it again but a person: there is no restart supervisor.
    Ended(String),
}

/// An instance that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Of which release.
    pub release: String,
    /// Where it stands.
    pub phase: Phase,
    /// Whether it was started here. One that somebody serves by hand is left alone while the app isn't declared to
    /// serve.
    pub is_declared: bool,
}

/// What there is of an app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Releases, the newest last.
    pub releases: Vec<Published>,
    /// Instances that aren't forgotten.
    pub instances: Vec<Instance>,
    /// The instance that requests go to.
    pub serving: Option<String>,
}

/// What is wanted of an app that is declared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Goal {
    /// Of the release that is to be there; `None`: releases are published by hand.
    pub fingerprint: Option<String>,
    /// Whether an instance of it is to serve.
    pub serve: bool,
    /// What isn't to be tried again.
    pub held: Option<Held>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A release is made of what is declared.
    Publish,
    /// An instance of this release is made.
    Start(String),
    /// This instance is waited for.
    AwaitReady(String),
    /// Requests go to this instance.
    Switch(String),
    /// This instance, which was stopped with the daemon, boots again.
    Wake(String),
    /// This instance goes.
    Stop(String),
    /// This release goes.
    RemoveRelease(String),
}

/// The next steps; when they are done, it is planned again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Towards `goal`; `None`: the app isn't declared, and nothing of it is to be left.
    pub fn new(observed: &Observed, goal: Option<&Goal>) -> Self {
        let steps = match goal {
            None => removal(observed),
            Some(goal) => rollout(observed, goal),
        };
        Self { steps }
    }

    /// Whether there is nothing left to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

fn removal(observed: &Observed) -> Vec<Step> {
    let instances = observed.instances.iter().map(|instance| Step::Stop(instance.id.clone()));
    let releases = observed.releases.iter().map(|release| Step::RemoveRelease(release.id.clone()));
    instances.chain(releases).collect()
}

fn rollout(observed: &Observed, goal: &Goal) -> Vec<Step> {
    let newest = observed.releases.last();
    let held = goal.held.as_ref().filter(|held| Some(&held.fingerprint) == goal.fingerprint.as_ref());
    if let Some(fingerprint) = &goal.fingerprint
        && held.is_none()
        && newest.is_none_or(|newest| newest.fingerprint != *fingerprint)
    {
        return vec![Step::Publish];
    }
    // What somebody serves by hand is replaced, too, once the app is declared to serve: it never runs twice.
    // One that failed stays for its log, as long as that is why something else serves.
    let failed = held.and_then(|held| held.instance.as_ref()).filter(|_| goal.serve);
    let is_mine = |instance: &Instance| match instance.phase {
        Phase::Ended(_) => instance.is_declared && failed != Some(&instance.id),
        _ => instance.is_declared || goal.serve,
    };
    let stop_but = |keep: &dyn Fn(&Instance) -> bool| -> Vec<Step> {
        let gone = observed.instances.iter().filter(|instance| is_mine(instance) && !keep(instance));
        gone.map(|instance| Step::Stop(instance.id.clone())).collect()
    };
    if !goal.serve {
        return stop_but(&|_| false);
    }
    let is_serving = |instance: &Instance| observed.serving.as_ref() == Some(&instance.id);
    let serving = observed.instances.iter().find(|instance| is_serving(instance));
    let wanted = match held {
        Some(held) => held.release.as_ref(),
        None => newest.map(|newest| &newest.id),
    };
    let Some(wanted) = wanted else {
        // Nothing can run. What serves goes on; what was tried is gone.
        return stop_but(&is_serving);
    };
    if let Some(serving) = serving.filter(|serving| serving.release == *wanted) {
        let mut steps = stop_but(&is_serving);
        if serving.phase == Phase::Interrupted {
            steps.push(Step::Wake(serving.id.clone()));
        }
        return steps;
    }
    // One that was stopped with the daemon before it was ever ready is begun anew.
    let candidate = observed.instances.iter().find(|instance| {
        instance.release == *wanted
            && instance.is_declared
            && failed != Some(&instance.id)
            && !is_serving(instance)
            && instance.phase != Phase::Interrupted
    });
    let mut steps = stop_but(&|instance| {
        is_serving(instance) || candidate.is_some_and(|candidate| candidate.id == instance.id)
    });
    steps.push(match candidate {
        None => Step::Start(wanted.clone()),
        Some(ready) if ready.phase == Phase::Ready => Step::Switch(ready.id.clone()),
        Some(other) => Step::AwaitReady(other.id.clone()),
    });
    steps
}
