//! Two writers, one object: whose each element is, and what a plan may therefore do.
//!
//! The rules (1-product.md, "Ownership"): apply owns what its source declares, an imperative command owns what it
//! added. Apply never removes what somebody else owns; taking over a field that another owner set is a conflict;
//! an imperative change to something a manifest owns works, and says who will revert it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{Effect, Element, Kind, Meta, Owner, Refusal};

mod planner;

use planner::{Mode, Planner};

/// Who owns which element. An element may have several owners when they agree on its value.
pub type Owners = BTreeMap<Element, BTreeSet<Owner>>;

/// An object as it is kept where it lives: what it is, and whose each element is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored<T> {
    /// What is seen.
    pub spec: T,
    /// Labels and annotations.
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    pub meta: Meta,
    /// Whose the elements are. What isn't listed is nobody's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub owners: Owners,
}

/// One step of an object's plan: in its spec or in its metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Step<C> {
    /// A step of the kind.
    Spec(C),
    /// A label or annotation.
    Meta(MetaChange),
}

/// A label or annotation gets a value, or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaChange {
    /// Whether it is a label; else an annotation.
    pub is_label: bool,
    /// The entry's key.
    pub key: String,
    /// The value it gets; `None`: it goes.
    pub value: Option<String>,
}

impl MetaChange {
    fn touches(&self) -> (Element, Effect) {
        let effect = if self.value.is_some() { Effect::Set } else { Effect::Remove };
        (meta_element(self.is_label, &self.key), effect)
    }

    fn replay(&self, meta: &mut Meta) {
        let map = if self.is_label { &mut meta.labels } else { &mut meta.annotations };
        match &self.value {
            Some(value) => drop(map.insert(self.key.clone(), value.clone())),
            None => drop(map.remove(&self.key)),
        }
    }
}

impl fmt::Display for MetaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_label { "label" } else { "annotation" };
        match &self.value {
            Some(value) => write!(f, "{what} {}={value}", self.key),
            None => write!(f, "{what} {}", self.key),
        }
    }
}

fn meta_element(is_label: bool, key: &str) -> Element {
    Element::entry(if is_label { "metadata.labels" } else { "metadata.annotations" }, key)
}

/// A field that another owner set and this plan would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// The element.
    pub element: Element,
    /// Who owns it now.
    pub owners: BTreeSet<Owner>,
    /// The step that was wanted, as a plan's line.
    pub wanted: String,
}

/// For whom a plan is made, and how far it may go.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Who declares.
    pub owner: Owner,
    /// Whether what this owner declared before and no longer declares goes.
    pub prune: bool,
    /// Whether fields of other owners are taken over.
    pub force_conflicts: bool,
}

/// What has to be done to one object, and what it leads to.
#[derive(Debug, Clone)]
pub struct Plan<K: Kind> {
    /// The steps, in order, with what each does to its element.
    pub steps: Vec<Planned<K::Change>>,
    /// Fields that others own; when there are any, the object must not be written.
    pub conflicts: Vec<Conflict>,
    /// Elements that this owner declared before, no longer declares, and keeps as `prune` is off.
    pub kept: Vec<Element>,
    /// Elements of manifest owners that an imperative plan changes: the owner will revert each at its next apply.
    pub reverted_by: BTreeMap<Element, BTreeSet<Owner>>,
    /// The object afterwards; `None`: absent.
    pub next: Option<Stored<K::Observed>>,
    /// Whether `next` differs from what was read, be it only in its owners.
    pub writes: bool,
}

/// A step and its sign in a plan: `+` new, `~` changed, `-` gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned<C> {
    /// `+`, `~` or `-`.
    pub sign: char,
    /// The element, unless the object as a whole goes.
    pub element: Option<Element>,
    /// The step.
    pub step: Step<C>,
}

impl<C: fmt::Display> fmt::Display for Planned<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            Step::Spec(change) => write!(f, "{} {change}", self.sign),
            Step::Meta(change) => write!(f, "{} {change}", self.sign),
        }
    }
}

/// What `owner` has to do so that the object is as its source declares. No `want`: the source declares it no more
/// (only with `policy.prune`), so what this owner alone owns goes, and the rest stays with the others.
pub fn plan_declared<K: Kind>(
    want: Option<(&K::Spec, &Meta)>,
    have: Option<&Stored<K::Observed>>,
    policy: &Policy,
) -> Result<Plan<K>, Refusal> {
    let planner = Planner::<K>::new(have, Mode::Declared(policy));
    match (want, have) {
        (Some((spec, meta)), _) => planner.to(spec, meta),
        (None, Some(have)) if have.owners.values().flatten().any(|owner| *owner != policy.owner) => {
            Planner::<K>::new(Some(have), Mode::Released(policy)).to(&K::bare(&have.spec), &Meta::default())
        }
        (None, _) => planner.gone(),
    }
}

/// What one imperative verb has to do. Nothing is in conflict; what a manifest owns is listed in `reverted_by`.
pub fn plan_edit<K: Kind>(have: Option<&Stored<K::Observed>>, edit: &K::Edit) -> Result<Plan<K>, Refusal> {
    let want = K::edit(have.map(|h| &h.spec), edit)?;
    let meta = have.map(|h| h.meta.clone()).unwrap_or_default();
    Planner::<K>::new(have, Mode::Imperative).to(&want, &meta)
}

/// What `delete` has to do: the object goes, whoever owns its elements.
pub fn plan_delete<K: Kind>(have: Option<&Stored<K::Observed>>) -> Result<Plan<K>, Refusal> {
    Planner::<K>::new(have, Mode::Imperative).gone()
}

/// The part of `stored` that `owner` owns, as a spec and metadata; `None` when it owns nothing of it.
/// What the kind can't do without stays in the spec.
pub fn project<K: Kind>(
    stored: &Stored<K::Observed>,
    owner: &Owner,
) -> Result<Option<(K::Spec, Meta)>, Refusal> {
    let is_mine = |element: &Element| stored.owners.get(element).is_some_and(|owners| owners.contains(owner));
    if !stored.owners.values().any(|owners| owners.contains(owner)) {
        return Ok(None);
    }
    let bare = K::bare(&stored.spec);
    let mut part = None;
    for change in K::diff(Some(&bare), None)? {
        part = K::replay(part, &change);
    }
    for change in K::diff(Some(&K::export(&stored.spec)), part.as_ref())? {
        if K::touches(&change).is_none_or(|(element, _)| is_mine(&element)) {
            part = K::replay(part, &change);
        }
    }
    let mut meta = stored.meta.clone();
    meta.labels.retain(|key, _| is_mine(&meta_element(true, key)));
    meta.annotations.retain(|key, _| is_mine(&meta_element(false, key)));
    Ok(Some((part.as_ref().map_or(bare, K::export), meta)))
}
