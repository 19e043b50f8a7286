//! The history of either realm, in one form.

use aegis_wire::{
    Code,
    operator::{History, HistoryChange, HistoryEntry, ListHistory, PlanNumber},
    runtime::realm::{GetPlan, ListPlans, RealmPlan},
};
use jiff::Timestamp;

use crate::{failure::Failure, realms::AnyRealm};

/// Applied plans, newest first.
pub async fn all(realm: &AnyRealm, which: ListHistory) -> Result<Vec<HistoryEntry>, Failure> {
    match realm {
        AnyRealm::Controller(realm) => Ok(realm.client().list_history(which).await?),
        AnyRealm::Local(realm) => {
            let ListHistory { limit, owner } = which;
            let plans = realm.client.realm(&ListPlans { limit, owner }).await?;
            Ok(plans.into_iter().map(entry).collect())
        }
    }
}

/// One of them; none: there is no such plan.
pub async fn one(realm: &AnyRealm, revision: u64) -> Result<Option<History>, Failure> {
    match realm {
        AnyRealm::Controller(realm) => match realm.client().get_history(PlanNumber(revision)).await {
            Ok(history) => Ok(Some(history)),
            Err(error) if error.code == Code::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        },
        AnyRealm::Local(realm) => {
            let plan = aegis_core::Revision(revision);
            let detail = realm.client.realm(&GetPlan { plan }).await?;
            Ok(detail.map(|detail| {
                let changes = detail.changes.into_iter().map(|change| HistoryChange {
                    key: change.key,
                    outcome: change.outcome,
                    steps: change.steps,
                    before: change.before.into(),
                });
                History { changes: changes.collect(), entry: entry(detail.plan) }
            }))
        }
    }
}

fn entry(plan: RealmPlan) -> HistoryEntry {
    let time = |ms| Timestamp::from_millisecond(ms).unwrap_or_default();
    HistoryEntry {
        revision: PlanNumber(plan.revision.0),
        started_at: time(plan.started_at_ms),
        finished_at: (plan.finished_at_ms != 0).then(|| time(plan.finished_at_ms)),
        subject: plan.subject,
        owner: plan.owner,
        source: plan.source,
        summary: plan.summary,
    }
}
