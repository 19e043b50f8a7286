//! Closing the difference that was planned.
//!
//! Own before create, forget after delete: a crash at any point orphans nothing, and running again converges. Every
//! write is on condition of the revision that was read; a stale one is planned again, never blindly repeated.

use std::collections::HashSet;

use aegis_core::{Kind, ObjectKey, Outcome, outcome::Summary, ownership::Policy};
use aegis_kinds::{EdgeNode, Next};
use aegis_wire::error::ApiError;

use crate::{
    event::{ObjectEvent, Report, UndeclaredObject},
    intent::Intent,
    plan::{Item, Plan},
    realm::{Realm, Write, Written},
};

/// How often one object is planned again when somebody else writes it at the same time.
const ATTEMPTS: usize = 5;
/// Writes in one request: one durable commit each.
const BATCH: usize = 500;

/// The report of a plan that isn't applied.
pub fn preview(plan: &Plan) -> Report {
    let mut objects: Vec<ObjectEvent> = plan.items().map(ObjectEvent::planned).collect();
    objects.extend(plan.cached.iter().map(ObjectEvent::settled));
    Report {
        owner: plan.by.owner.clone(),
        source: plan.by.source.clone(),
        dry_run: true,
        revision: None,
        local_revision: None,
        objects,
        summary: plan.summary(),
        undeclared: UndeclaredObject::all(&plan.undeclared),
        warnings: Vec::new(),
    }
}

/// The report of a plan that may not be begun, as others own what it, or a plan beside it, would change.
pub fn refuse(plan: &Plan) -> Report {
    let mut sink = |_: &ObjectEvent| {};
    let mut run = Run::new(plan, &mut sink);
    run.refuse(plan);
    run.report
}

/// Applies `plan`, and reports each object once to `sink`, as it ends, and all of them in the result.
///
/// A plan with conflicts isn't begun: its conflicting objects end as failed, the others that were to change as skipped.
/// When `stop` says so no further batch is begun: what is left ends as skipped. An error is only given when the plan
/// couldn't be begun; from then on a failure is part of the report.
pub async fn apply<R: Realm>(
    realm: &R,
    plan: Plan,
    stop: &(dyn Fn() -> bool + Send + Sync),
    sink: &mut (dyn FnMut(&ObjectEvent) + Send),
) -> Result<Report, ApiError> {
    let mut run = Run::new(&plan, sink);
    if plan.has_conflicts() {
        run.refuse(&plan);
        return Ok(run.report);
    }
    if plan.writes() {
        run.report.revision = Some(realm.begin(&plan.by, plan.owns.clone()).await?);
    }
    let Plan { phases, policy, cached, .. } = plan;
    for phase in phases {
        let mut ready = Vec::new();
        for item in phase {
            if let Some(need) = item.needs.iter().find(|need| run.failed.contains(*need)) {
                let reason = format!("{need}, which it needs, was not applied");
                run.end(&item, Outcome::Skipped, Some(reason));
            } else if item.plan.next == Next::Same {
                run.end(&item, item.plan.outcome, None);
            } else {
                ready.push(item);
            }
        }
        for _ in 0..ATTEMPTS {
            if ready.is_empty() {
                break;
            }
            ready = run.write(realm, ready, stop).await;
            ready = run.plan_again(realm, ready, &policy).await;
        }
        for item in ready {
            run.end(&item, Outcome::Failed, Some("others keep changing it; run the command again".into()));
        }
    }
    for settled in &cached {
        run.emit(ObjectEvent::settled(settled));
    }
    if let Some(revision) = run.report.revision
        && let Err(error) =
            realm.finish(revision, std::mem::take(&mut run.forgets), &run.report.summary).await
    {
        // Everything is written; only the end isn't noted, and the next run does that.
        run.report.warnings.push(format!("the end of revision {revision} could not be recorded: {error}"));
    }
    Ok(run.report)
}

struct Run<'a> {
    report: Report,
    failed: HashSet<ObjectKey>,
    forgets: Vec<ObjectKey>,
    sink: &'a mut (dyn FnMut(&ObjectEvent) + Send),
}

impl<'a> Run<'a> {
    fn new(plan: &Plan, sink: &'a mut (dyn FnMut(&ObjectEvent) + Send)) -> Self {
        let report = Report {
            owner: plan.by.owner.clone(),
            source: plan.by.source.clone(),
            dry_run: false,
            revision: None,
            local_revision: None,
            objects: Vec::new(),
            summary: Summary::default(),
            undeclared: UndeclaredObject::all(&plan.undeclared),
            warnings: Vec::new(),
        };
        Self { report, failed: HashSet::new(), forgets: Vec::new(), sink }
    }

    /// Ends a plan that may not be begun, as others own what it would change.
    fn refuse(&mut self, plan: &Plan) {
        for item in plan.items() {
            if !item.plan.conflicts.is_empty() {
                self.end(item, Outcome::Failed, Some("others own what this would change".into()));
            } else if item.plan.next == Next::Same {
                self.end(item, item.plan.outcome, None);
            } else {
                self.end(item, Outcome::Skipped, Some("other objects of the plan have conflicts".into()));
            }
        }
        for settled in &plan.cached {
            self.emit(ObjectEvent::settled(settled));
        }
    }

    /// Writes `items`; gives back those that turned out stale.
    async fn write<R: Realm>(
        &mut self,
        realm: &R,
        items: Vec<Item>,
        stop: &(dyn Fn() -> bool + Send + Sync),
    ) -> Vec<Item> {
        let plan = self.report.revision.unwrap_or_default();
        let mut stale = Vec::new();
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let batch: Vec<Item> = items.by_ref().take(BATCH).collect();
            if stop() {
                for item in batch {
                    self.end(&item, Outcome::Skipped, Some("cancelled".into()));
                }
                continue;
            }
            let results = realm.write(plan, batch.iter().map(write).collect()).await;
            let mut written = match results {
                Ok(written) => written.into_iter(),
                Err(error) => {
                    for item in batch {
                        self.end(&item, Outcome::Failed, Some(error.to_string()));
                    }
                    continue;
                }
            };
            for item in batch {
                match written.next() {
                    Some(Written::Done(_)) => self.end(&item, item.plan.outcome, None),
                    Some(Written::Refused(reason)) => self.end(&item, Outcome::Failed, Some(reason)),
                    Some(Written::Stale) => stale.push(item),
                    None => {
                        let reason = "the answer says nothing of it; run the command again";
                        self.end(&item, Outcome::Failed, Some(reason.into()));
                    }
                }
            }
        }
        stale
    }

    /// Plans stale items over what is there now; gives back those that still have something to write.
    async fn plan_again<R: Realm>(&mut self, realm: &R, items: Vec<Item>, policy: &Policy) -> Vec<Item> {
        let mut again = Vec::new();
        for mut item in items {
            let have = match realm.object(&item.key).await {
                Ok(have) => have,
                Err(error) => {
                    self.end(&item, Outcome::Failed, Some(error.to_string()));
                    continue;
                }
            };
            if have.is_none() && item.key.kind == EdgeNode::NAME && !matches!(item.intent, Intent::Release) {
                self.end(&item, Outcome::Failed, Some("the host is no longer enrolled".into()));
                continue;
            }
            let body = have.as_ref().map_or(&[][..], |object| &object.body);
            match item.intent.plan(&item.key.kind, body, policy) {
                Err(error) => self.end(&item, Outcome::Failed, Some(error.to_string())),
                Ok(plan) => {
                    item.base = have.as_ref().map(|object| object.revision).unwrap_or_default();
                    item.plan = plan;
                    if item.plan.conflicts.is_empty() && item.plan.next != Next::Same {
                        again.push(item);
                    } else if item.plan.conflicts.is_empty() {
                        self.end(&item, item.plan.outcome, None);
                    } else {
                        self.end(&item, Outcome::Failed, Some("another owner changed it meanwhile".into()));
                    }
                }
            }
        }
        again
    }

    fn end(&mut self, item: &Item, outcome: Outcome, error: Option<String>) {
        match (outcome, &item.intent) {
            (Outcome::Failed | Outcome::Skipped, _) => drop(self.failed.insert(item.key.clone())),
            (_, Intent::Release | Intent::Delete) => self.forgets.push(item.key.clone()),
            _ => {}
        }
        let mut event = ObjectEvent::planned(item);
        (event.outcome, event.error) = (outcome, error);
        self.emit(event);
    }

    fn emit(&mut self, event: ObjectEvent) {
        self.report.summary.add(event.outcome);
        (self.sink)(&event);
        self.report.objects.push(event);
    }
}

fn write(item: &Item) -> Write {
    Write {
        key: item.key.clone(),
        base: item.base,
        next: match &item.plan.next {
            Next::Body(body) => Some(body.clone()),
            Next::Same | Next::Absent => None,
        },
        steps: item.plan.steps.iter().map(ToString::to_string).collect(),
        outcome: item.plan.outcome,
    }
}
