//! How hosts stand with the apps, kits and secrets that a controller hands them.

use std::{collections::BTreeSet, time::Duration};

use aegis_core::NodeId;
use aegis_wire::{
    edge::ReportPhase,
    operator::{Delivery, ListDeliveries, ListNodes, OperatorClient},
};

use crate::{failure::Failure, fleet::visible, output::table};

/// How often they are asked for while somebody waits for them.
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// Of the objects of a kind; or of one.
pub async fn of(client: &OperatorClient, kind: &str, name: Option<&str>) -> Result<Vec<Delivery>, Failure> {
    let which = ListDeliveries { kind: Some(kind.to_owned()), name: name.map(str::to_owned) };
    Ok(client.list_deliveries(which).await?)
}

/// In a few words: `2 of 3 ready, 1 failed`.
pub fn summary<'a>(deliveries: impl Iterator<Item = &'a Delivery>) -> String {
    let (mut all, mut ready, mut failed) = (0, 0, 0);
    for delivery in deliveries {
        all += 1;
        match delivery.phase {
            Some(ReportPhase::Ready) => ready += 1,
            Some(ReportPhase::Failed) => failed += 1,
            Some(ReportPhase::Pending) | None => {}
        }
    }
    let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    if all == 0 { "no host".to_owned() } else { format!("{ready} of {all} ready{failures}") }
}

/// Host by host.
pub fn hosts_table(deliveries: &[Delivery]) -> String {
    let row = |delivery: &Delivery| {
        let phase = delivery.phase.map_or_else(|| "unknown".to_owned(), |phase| phase.to_string());
        let since = delivery.since.map(|since| since.to_string()).unwrap_or_default();
        let message = visible(&delivery.message).into_owned();
        [delivery.node_id.to_string(), delivery.node_name.clone(), phase, since, message]
    };
    table(["NODE", "NAME", "STATE", "SINCE", "MESSAGE"], deliveries.iter().map(row))
}

/// Waits until every host that is connected has these apps as they are declared. One that can't is a failure at once.
pub async fn wait(client: &OperatorClient, apps: &[String]) -> Result<(), Failure> {
    for app in apps {
        loop {
            let connected = ListNodes { connected: true, ..ListNodes::default() };
            let there: BTreeSet<NodeId> =
                client.list_nodes(connected).await?.into_iter().map(|node| node.node_id).collect();
            match look(app, &of(client, "App", Some(app)).await?, &there)? {
                Look::Done => break,
                Look::Later => tokio::time::sleep(ASKED_EVERY).await,
            }
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Look {
    Done,
    Later,
}

fn look(app: &str, deliveries: &[Delivery], there: &BTreeSet<NodeId>) -> Result<Look, Failure> {
    let failed = deliveries.iter().find(|delivery| delivery.phase == Some(ReportPhase::Failed));
    if let Some(failed) = failed {
        let message = format!(
            "everything is applied, but App/{app} failed on {}: {}",
            failed.node_name, failed.message
        );
        let hint = format!("`aegis describe App/{app} --realm controller` shows it host by host");
        return Err(Failure::generic(message).hint(hint));
    }
    let waiting = deliveries
        .iter()
        .any(|delivery| there.contains(&delivery.node_id) && delivery.phase != Some(ReportPhase::Ready));
    Ok(if waiting { Look::Later } else { Look::Done })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use aegis_core::ObjectKey;

    use super::*;

    fn delivery(number: u8, phase: Option<ReportPhase>) -> Delivery {
        Delivery {
            key: ObjectKey::new("App", "web"),
            node_id: NodeId::of_public_key(&[number; 32]),
            node_name: format!("web-{number}"),
            phase,
            message: if phase == Some(ReportPhase::Failed) {
                "no \x1b[2Jimage".into()
            } else {
                String::new()
            },
            since: None,
        }
    }

    #[test]
    fn a_summary_counts_and_a_table_steers_no_terminal() {
        let all = [
            delivery(1, Some(ReportPhase::Ready)),
            delivery(2, Some(ReportPhase::Failed)),
            delivery(3, None),
        ];
        assert_eq!(summary(all.iter()), "1 of 3 ready, 1 failed");
        assert_eq!(summary([].iter()), "no host");
        let table = hosts_table(&all);
        assert!(table.contains("unknown") && table.contains("no ^[[2Jimage"), "{table}");
    }

    #[test]
    fn hosts_that_are_away_are_not_waited_for_and_a_failure_is_told_at_once() {
        let there = |numbers: &[u8]| -> BTreeSet<NodeId> {
            numbers.iter().map(|number| NodeId::of_public_key(&[*number; 32])).collect()
        };
        let pending = [delivery(1, Some(ReportPhase::Ready)), delivery(2, None)];
        assert_eq!(look("web", &pending, &there(&[1])).unwrap(), Look::Done);
        assert_eq!(look("web", &pending, &there(&[1, 2])).unwrap(), Look::Later);
        let failed = [delivery(1, Some(ReportPhase::Failed)), delivery(2, None)];
        let failure = look("web", &failed, &there(&[2])).unwrap_err();
        assert!(failure.message().contains("App/web failed on web-1"), "{}", failure.message());
    }
}
