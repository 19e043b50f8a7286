//! What the audit log says of a run. Hosts to which the same happened together share a record; each is named in one.

use std::collections::BTreeMap;

use aegis_core::fleet::{RunState, TargetOutcome};
use aegis_wire::operator::TargetResult;

use super::live::LiveRun;
use crate::{
    audit::{Event, MAX_DETAIL, Outcome},
    state::Controller,
};

/// What a turn of a run adds to the log.
#[derive(Default)]
pub(super) struct Notes {
    /// Who cancels the run.
    pub cancelled_by: Option<String>,
    /// Whether that began just now.
    pub cancelling: bool,
    /// How the run ended, if it did.
    pub finished: Option<RunState>,
    /// Targets by what happened to them.
    happened: BTreeMap<(&'static str, String), (Outcome, Vec<u32>)>,
}

impl Notes {
    pub fn is_empty(&self) -> bool {
        self.happened.is_empty() && !self.cancelling && self.finished.is_none()
    }

    pub fn dispatched(&mut self, targets: &[u32]) {
        if !targets.is_empty() {
            self.add("dispatch", "sent to", Outcome::Ok).extend(targets);
        }
    }

    pub fn ended(&mut self, result: &TargetResult) {
        let target = result.target;
        match (result.refusal, result.outcome) {
            (Some(rule), _) => {
                self.add("result", &format!("refused ({rule})"), Outcome::Refused).push(target);
            }
            (None, outcome) => {
                let went_well = if outcome == TargetOutcome::Ok { Outcome::Ok } else { Outcome::Failed };
                self.add("result", outcome.as_str(), went_well).push(target);
            }
        }
    }

    /// A host's result came after the run had given its target another end.
    pub fn late(&mut self, target: u32) {
        self.add("result", "came too late and doesn't count", Outcome::Refused).push(target);
    }

    fn add(&mut self, action: &'static str, what: &str, outcome: Outcome) -> &mut Vec<u32> {
        &mut self.happened.entry((action, what.to_owned())).or_insert((outcome, Vec::new())).1
    }

    /// The records, in the order of what happened.
    pub fn records(&mut self, controller: &Controller, run: &LiveRun) -> Vec<Event> {
        let (tenant, id) = (run.wanted.tenant.as_str(), run.id.as_str());
        let event = |subject: &str, action: &str, outcome: Outcome, detail: &str| Event {
            outcome,
            ..controller.event(subject, tenant, action, id, detail)
        };
        let mut records = Vec::new();
        if self.cancelling {
            let by = self.cancelled_by.take().unwrap_or_default();
            records.push(event(&by, "run.cancel", Outcome::Ok, ""));
        }
        for ((action, what), (outcome, targets)) in std::mem::take(&mut self.happened) {
            for detail in
                lists(&what, targets.iter().map(|target| run.targets[*target as usize].node_id.as_str()))
            {
                records.push(event(&run.wanted.subject, action, outcome, &detail));
            }
        }
        if let Some(state) = self.finished {
            let outcome = if state == RunState::Ok { Outcome::Ok } else { Outcome::Failed };
            records.push(event(&run.wanted.subject, "run.end", outcome, state.as_str()));
        }
        records
    }
}

/// `what: n-1 n-2 …`, as often as the bound of a record makes it necessary.
pub(super) fn lists<'a>(what: &str, ids: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut details: Vec<String> = Vec::new();
    for id in ids {
        match details.last_mut() {
            Some(detail) if detail.len() + 1 + id.len() <= MAX_DETAIL => {
                detail.push(' ');
                detail.push_str(id);
            }
            _ => details.push(format!("{what}: {id}")),
        }
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_is_named_in_a_record_that_isnt_cut() {
        let ids: Vec<String> = (0..1000).map(|number| format!("n-{number:020}")).collect();
        let details = lists("ok", ids.iter().map(String::as_str));
        assert!(details.iter().all(|detail| detail.len() <= MAX_DETAIL && detail.starts_with("ok: n-")));
        assert!(details.len() < 30, "{}", details.len());
        for id in &ids {
            assert_eq!(details.iter().filter(|detail| detail.contains(id.as_str())).count(), 1);
        }
    }
}
