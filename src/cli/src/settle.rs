//! `apply --wait`: until hosts and rollouts have done what was declared.

mod apps;

use std::time::Duration;

use aegis_core::{ExitCode, HumanDuration, Kind, ObjectKey};
use aegis_engine::{
    intent::Intent,
    plan::{Item, Plan},
    realm::Realm,
};
use aegis_kinds::{EdgeNode, Rollout, Spec};
use aegis_wire::operator::{ListNodes, OperatorClient, RolloutPhase};

use crate::{
    deliveries,
    failure::Failure,
    realm::ControllerRealm,
    realms::AnyRealm,
    rollouts::{self, Awaited, Rollouts, exit_code, line, until_over},
};

/// How often hosts are asked for while somebody waits for them.
const ASKED_EVERY: Duration = Duration::from_millis(200);

/// What a plan declares and others have to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// Hosts by id, and whether they are to drain.
    drains: Vec<(String, bool)>,
    /// Rollouts, and whether the plan begins them anew.
    rollouts: Vec<(String, bool)>,
    /// Apps.
    apps: Vec<String>,
}

/// Waits until all of it is so, at most so long.
pub async fn wait(unsettled: Vec<(AnyRealm, Unsettled)>, bound: Duration) -> Result<ExitCode, Failure> {
    let waits_for = |waits: fn(&Unsettled) -> bool| unsettled.iter().any(|(_, one)| waits(one));
    let (rollouts, apps) = (waits_for(|one| !one.rollouts.is_empty()), waits_for(|one| !one.apps.is_empty()));
    let settled = async {
        let mut code = ExitCode::Success;
        for (realm, unsettled) in &unsettled {
            code = match realm {
                AnyRealm::Controller(realm) => unsettled.wait_for_hosts(realm).await?,
                AnyRealm::Local(realm) => apps::wait(realm, &unsettled.apps).await?,
            };
        }
        Ok(code)
    };
    tokio::time::timeout(bound, settled).await.unwrap_or_else(|_| {
        let bound = HumanDuration::from(bound);
        let (what, hint) = match (rollouts, apps) {
            (_, true) => ("not every app is as declared yet", "`aegis get App` shows which"),
            (true, false) => {
                ("not every host or rollout is done yet", "`aegis rollout ls` and `aegis edge ls` show which")
            }
            (false, false) => ("not every connected host follows yet", "`aegis edge ls` shows which"),
        };
        let message = format!("everything is applied, but after {bound} {what}");
        Err(Failure::new(ExitCode::DeadlineExceeded, message).hint(hint))
    })
}

impl Unsettled {
    /// Of this plan.
    pub fn of(plan: &Plan) -> Self {
        let (mut drains, mut rollouts, mut apps) = (Vec::new(), Vec::new(), Vec::new());
        for item in plan.items() {
            let Intent::Declare(wish) = &item.intent else { continue };
            match &wish.0 {
                Spec::EdgeNode(spec) if item.key.kind == EdgeNode::NAME => {
                    drains.extend(spec.drain.map(|drain| (item.key.name.clone(), drain)));
                }
                Spec::Rollout(_) => rollouts.push((item.key.name.clone(), begins_anew(item))),
                Spec::App(_) => apps.push(item.key.name.clone()),
                _ => {}
            }
        }
        Self { drains, rollouts, apps }
    }

    async fn wait_for_hosts(&self, realm: &ControllerRealm) -> Result<ExitCode, Failure> {
        self.hosts(&realm.0).await?;
        let mut awaited = Vec::new();
        for (name, anew) in &self.rollouts {
            let generation = if *anew { revision(realm, name).await? } else { None };
            awaited.push(Awaited { name: name.clone(), generation });
        }
        let code = ends(&realm.0, &awaited).await?;
        deliveries::wait(&realm.0, &self.apps).await?;
        Ok(code)
    }

    /// Until every connected host says that it is draining, or isn't, as was declared.
    async fn hosts(&self, client: &OperatorClient) -> Result<(), Failure> {
        while !self.drains.is_empty() {
            let nodes = client.list_nodes(ListNodes { connected: true, ..ListNodes::default() }).await?;
            let waiting = nodes.iter().any(|node| {
                // What counts is what the host itself says: that it is declared shows in its status at once.
                self.drains.iter().any(|(id, drain)| node.node_id.as_str() == id && *drain != node.draining)
            });
            if !waiting {
                break;
            }
            tokio::time::sleep(ASKED_EVERY).await;
        }
        Ok(())
    }
}

/// A change of labels and annotations begins no rollout.
fn begins_anew(item: &Item) -> bool {
    let of_spec = |element: &aegis_core::Element| !element.field_name().starts_with("metadata.");
    item.plan.steps.iter().any(|step| step.element.as_ref().is_none_or(of_spec))
}

async fn revision(realm: &ControllerRealm, name: &str) -> Result<Option<u64>, Failure> {
    let object = realm.object(&ObjectKey::new(Rollout::NAME, name)).await?;
    Ok(object.map(|object| object.revision.0))
}

/// Waits for each, one after the other; all of them are heard of before the first that didn't end well is reported.
async fn ends(controller: &impl Rollouts, awaited: &[Awaited]) -> Result<ExitCode, Failure> {
    let mut failed = None;
    for one in awaited {
        let status = until_over(controller, one, |status| {
            say(&format!("Rollout/{} {}", status.name, line(status)));
            Ok(())
        })
        .await?;
        if status.phase != RolloutPhase::Complete {
            failed.get_or_insert(status);
        }
    }
    match failed {
        None => Ok(ExitCode::Success),
        Some(status) => Err(Failure::new(
            exit_code(status.phase),
            format!("everything is applied, but Rollout/{} is {}", status.name, rollouts::line(&status)),
        )
        .hint(format!("`aegis rollout status {}` shows it host by host", status.name))),
    }
}

#[allow(clippy::print_stderr, reason = "progress goes to stderr")]
fn say(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use aegis_wire::{ApiError, operator::RolloutStatus};

    use super::*;

    /// Each rollout is in the phase that its name says.
    struct Fake;

    impl Rollouts for Fake {
        async fn status(&self, name: &str) -> Result<RolloutStatus, ApiError> {
            let phase = name.parse().map_err(|_| ApiError::not_found(name))?;
            Ok(RolloutStatus { name: name.to_owned(), ..rollouts::tests::status(phase, 3) })
        }
    }

    fn awaited(names: &[&str]) -> Vec<Awaited> {
        names.iter().map(|name| Awaited { name: (*name).to_owned(), generation: None }).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rollout_that_did_not_end_well_is_the_end_of_the_apply() {
        assert_eq!(ends(&Fake, &awaited(&["complete"])).await.unwrap(), ExitCode::Success);
        for (names, exit) in [
            (["complete", "halted"], ExitCode::FleetHalted),
            (["rolled_back", "failed"], ExitCode::FleetHalted),
            (["failed", "complete"], ExitCode::Generic),
            (["aborted", "complete"], ExitCode::Cancelled),
        ] {
            assert_eq!(ends(&Fake, &awaited(&names)).await.unwrap_err().exit, exit, "{names:?}");
        }
    }
}
