//! Walks the steps of a kind and lets through those that the owner may take.

use std::collections::{BTreeMap, BTreeSet};

use super::{Conflict, MetaChange, Owners, Plan, Planned, Policy, Step, Stored, meta_element};
use crate::{Effect, Element, Kind, Meta, Owner, Refusal};

/// For whom steps are taken.
#[derive(Clone, Copy)]
pub(super) enum Mode<'a> {
    /// A source that declares the object.
    Declared(&'a Policy),
    /// A source that declares it no more, while others still own parts of it.
    Released(&'a Policy),
    /// A command of a person.
    Imperative,
}

pub(super) struct Planner<'a, K: Kind> {
    mode: Mode<'a>,
    have: Option<&'a Stored<K::Observed>>,
    /// What is there before the first step.
    existing: BTreeSet<Element>,
    spec: Option<K::Observed>,
    meta: Meta,
    owners: Owners,
    plan: Plan<K>,
}

impl<'a, K: Kind> Planner<'a, K> {
    pub(super) fn new(have: Option<&'a Stored<K::Observed>>, mode: Mode<'a>) -> Self {
        let plan = Plan {
            steps: Vec::new(),
            conflicts: Vec::new(),
            kept: Vec::new(),
            reverted_by: BTreeMap::new(),
            next: None,
            writes: false,
        };
        Self {
            mode,
            have,
            existing: have.map(|h| elements::<K>(&h.spec, &h.meta)).unwrap_or_default(),
            spec: have.map(|h| h.spec.clone()),
            meta: have.map(|h| h.meta.clone()).unwrap_or_default(),
            owners: have.map(|h| h.owners.clone()).unwrap_or_default(),
            plan,
        }
    }

    /// Plans towards a spec.
    pub(super) fn to(mut self, spec: &K::Spec, meta: &Meta) -> Result<Plan<K>, Refusal> {
        for change in K::diff(Some(spec), self.have.map(|h| &h.spec))? {
            let touched = K::touches(&change);
            if self.may(touched.as_ref(), &change.to_string()) {
                self.spec = K::replay(self.spec.take(), &change);
                self.push(touched, Step::Spec(change));
            }
        }
        for change in meta_diff(meta, &self.meta) {
            let touched = Some(change.touches());
            if self.may(touched.as_ref(), &change.to_string()) {
                change.replay(&mut self.meta);
                self.push(touched, Step::Meta(change));
            }
        }
        match self.mode {
            Mode::Declared(policy) => {
                let mut declared: BTreeSet<Element> = K::declares(spec).into_iter().collect();
                declared.extend(meta_elements(meta));
                for element in &declared {
                    if !self.plan.conflicts.iter().any(|c| c.element == *element) {
                        self.owners.entry(element.clone()).or_default().insert(policy.owner.clone());
                    }
                }
                self.release(&declared, policy);
            }
            Mode::Released(policy) => self.release(&BTreeSet::new(), policy),
            Mode::Imperative => {}
        }
        Ok(self.finish())
    }

    /// Plans towards absence.
    pub(super) fn gone(mut self) -> Result<Plan<K>, Refusal> {
        for change in K::diff(None, self.have.map(|h| &h.spec))? {
            let touched = K::touches(&change);
            self.spec = K::replay(self.spec.take(), &change);
            self.push(touched, Step::Spec(change));
        }
        if self.spec.is_some() {
            for change in meta_diff(&Meta::default(), &self.meta.clone()) {
                change.replay(&mut self.meta);
                self.push(Some(change.touches()), Step::Meta(change));
            }
        } else if matches!(self.mode, Mode::Imperative) {
            for element in self.existing.clone() {
                self.note_reverts(&element);
            }
        }
        Ok(self.finish())
    }

    /// Whether the owner may take a step. A conflict or a kept element is noted.
    fn may(&mut self, touched: Option<&(Element, Effect)>, wanted: &str) -> bool {
        let (policy, Some((element, effect))) = (
            match self.mode {
                Mode::Imperative => return true,
                Mode::Declared(policy) | Mode::Released(policy) => policy,
            },
            touched,
        ) else {
            return true;
        };
        let owners = self.owners.get(element).cloned().unwrap_or_default();
        let mine = owners.contains(&policy.owner);
        let others: BTreeSet<Owner> = owners.into_iter().filter(|o| *o != policy.owner).collect();
        match effect {
            Effect::Set if others.is_empty() => true,
            // Somebody changed by hand what this owner declared: it puts it back, whoever else had agreed.
            Effect::Set if mine && others.iter().any(Owner::is_cli) => {
                if let Some(owners) = self.owners.get_mut(element) {
                    owners.retain(|owner| !owner.is_cli());
                }
                true
            }
            Effect::Set if policy.force_conflicts => {
                self.owners.remove(element);
                true
            }
            Effect::Set => {
                self.plan.conflicts.push(Conflict {
                    element: element.clone(),
                    owners: others,
                    wanted: format!("{} {wanted}", self.sign(element, Effect::Set)),
                });
                false
            }
            Effect::Remove if mine && policy.prune => others.is_empty(),
            Effect::Remove => {
                if mine {
                    self.plan.kept.push(element.clone());
                }
                false
            }
        }
    }

    /// Gives up what this owner no longer declares, where a step hasn't removed it.
    fn release(&mut self, declared: &BTreeSet<Element>, policy: &Policy) {
        for (element, owners) in &mut self.owners {
            if policy.prune && !declared.contains(element) {
                owners.remove(&policy.owner);
            }
        }
    }

    fn push(&mut self, touched: Option<(Element, Effect)>, step: Step<K::Change>) {
        let sign = touched.as_ref().map_or('-', |(element, effect)| self.sign(element, *effect));
        if let (Mode::Imperative, Some((element, effect))) = (self.mode, &touched) {
            self.note_reverts(element);
            // What a manifest owns stays its own: its next apply puts it back without a conflict.
            if *effect == Effect::Set {
                self.owners.entry(element.clone()).or_default().insert(Owner::cli());
            }
        }
        self.plan.steps.push(Planned { sign, element: touched.map(|(element, _)| element), step });
    }

    fn sign(&self, element: &Element, effect: Effect) -> char {
        match effect {
            Effect::Remove => '-',
            Effect::Set if self.existing.contains(element) => '~',
            Effect::Set => '+',
        }
    }

    fn note_reverts(&mut self, element: &Element) {
        let manifests: BTreeSet<Owner> =
            self.owners.get(element).into_iter().flatten().filter(|o| !o.is_cli()).cloned().collect();
        if !manifests.is_empty() {
            self.plan.reverted_by.insert(element.clone(), manifests);
        }
    }

    fn finish(mut self) -> Plan<K> {
        self.plan.next = self.spec.map(|spec| {
            // Nobody owns what isn't there.
            let there = elements::<K>(&spec, &self.meta);
            self.owners.retain(|element, owners| !owners.is_empty() && there.contains(element));
            Stored { spec, meta: self.meta, owners: self.owners }
        });
        self.plan.writes = self.plan.next.as_ref() != self.have;
        self.plan
    }
}

fn elements<K: Kind>(spec: &K::Observed, meta: &Meta) -> BTreeSet<Element> {
    K::declares(&K::export(spec)).into_iter().chain(meta_elements(meta)).collect()
}

fn meta_elements(meta: &Meta) -> impl Iterator<Item = Element> {
    let labels = meta.labels.keys().map(|key| meta_element(true, key));
    labels.chain(meta.annotations.keys().map(|key| meta_element(false, key)))
}

fn meta_diff(want: &Meta, have: &Meta) -> Vec<MetaChange> {
    let mut changes = Vec::new();
    for (is_label, want, have) in
        [(true, &want.labels, &have.labels), (false, &want.annotations, &have.annotations)]
    {
        for (key, value) in want.iter().filter(|(key, value)| have.get(*key) != Some(value)) {
            changes.push(MetaChange { is_label, key: key.clone(), value: Some(value.clone()) });
        }
        for key in have.keys().filter(|key| !want.contains_key(*key)) {
            changes.push(MetaChange { is_label, key: key.clone(), value: None });
        }
    }
    changes
}
