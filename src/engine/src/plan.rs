//! The plan of many objects: pure, shown, and what gets applied.

use std::collections::{BTreeSet, HashMap, HashSet};

use aegis_core::{
    Kind, NodeId, ObjectKey, Outcome, Owner, Reference, Revision, graph, nearest::nearest, outcome::Summary,
    ownership::Policy,
};
use aegis_kinds::{AnyPlan, EdgeNode, Next, PlanError};

use crate::{
    intent::{Intent, Wish},
    realm::{Host, Object, Provenance},
};

mod names;
pub use names::Names;

/// What was read before a plan.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The realm's revision before anything was read.
    pub revision: Revision,
    /// The objects that the plan may be about.
    pub objects: HashMap<ObjectKey, Object>,
    /// The enrolled hosts.
    pub hosts: Vec<Host>,
    /// What the owner declared before.
    pub inventory: BTreeSet<ObjectKey>,
    /// Objects known to exist though they weren't read.
    pub known: HashSet<ObjectKey>,
}

/// One object of a plan.
#[derive(Debug, Clone)]
pub struct Item {
    /// The object; for a host its node id.
    pub key: ObjectKey,
    /// The host's name, where the object is a host.
    pub host: Option<String>,
    /// What is wanted: planned again if the object changes before it is written.
    pub intent: Intent,
    /// The revision that was read.
    pub base: Revision,
    /// What has to be done.
    pub plan: AnyPlan,
    /// Which document it comes from.
    pub document: Option<usize>,
    /// The objects of this plan that it needs.
    pub needs: Vec<ObjectKey>,
}

/// An object that needs no look: its document is as it was when it was last found unchanged, and so is the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The object; for a host its node id.
    pub key: ObjectKey,
    /// The host's name, where the object is a host.
    pub host: Option<String>,
}

/// A plan: what is going to happen, in which order.
#[derive(Debug)]
pub struct Plan {
    /// Who plans, and from what.
    pub by: Provenance,
    /// For whom and how far.
    pub policy: Policy,
    /// Objects in phases: a phase begins when the one before has ended.
    pub phases: Vec<Vec<Item>>,
    /// Objects that the owner declares and that weren't known to be in its inventory.
    pub owns: Vec<ObjectKey>,
    /// Objects whose documents haven't changed since they were last found unchanged.
    pub cached: Vec<Settled>,
    /// Objects that the owner declared before and no longer declares, and that stay as pruning is off.
    pub undeclared: Vec<Settled>,
    /// The realm's revision before anything was read.
    pub revision: Revision,
}

/// Why no plan can be made: a fault of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The document, when the wish came from one.
    pub document: Option<usize>,
    /// The object.
    pub key: ObjectKey,
    /// The field of the spec.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub help: Option<String>,
    /// Another document that has to do with it.
    pub other: Option<usize>,
}

impl Problem {
    fn new(wish: &Wish, message: impl Into<String>) -> Self {
        Self {
            document: wish.document,
            key: wish.key.clone(),
            field: None,
            message: message.into(),
            help: None,
            other: None,
        }
    }
}

impl Plan {
    /// Plans all `wishes` over what was read. Nothing is planned when any wish is at fault: all faults are given.
    pub fn new(
        by: Provenance,
        policy: Policy,
        wishes: Vec<Wish>,
        cached: Vec<Settled>,
        snapshot: &Snapshot,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let names = Names::new(&snapshot.hosts);
        let mut wishes = canonical(wishes, &names, &mut problems);
        let mut spoken_of: HashMap<ObjectKey, Option<usize>> =
            cached.iter().map(|settled| (settled.key.clone(), None)).collect();
        for wish in &wishes {
            if let Some(first) = spoken_of.insert(wish.key.clone(), wish.document) {
                let mut problem = Problem::new(wish, format!("{} is declared twice", wish.key));
                problem.help = Some("keep one of the two".into());
                problem.other = first;
                problems.push(problem);
            }
        }
        // What the owner declared before and doesn't any more. Imperative plans have no source to be missing from.
        let gone = snapshot.inventory.iter().filter(|key| !spoken_of.contains_key(*key));
        let mut undeclared = Vec::new();
        if policy.prune {
            wishes.extend(gone.map(|key| Wish { key: key.clone(), intent: Intent::Release, document: None }));
        } else {
            let stays = gone.filter(|key| is_owned(snapshot, key, &policy.owner));
            undeclared.extend(stays.map(|key| Settled { key: key.clone(), host: host_of(&names, key) }));
        }
        let (ends, stays): (Vec<Wish>, Vec<Wish>) =
            wishes.into_iter().partition(|wish| matches!(wish.intent, Intent::Release | Intent::Delete));
        let mut plan_all = |wishes: Vec<Wish>, world: &World| -> Vec<Item> {
            let mut items = Vec::with_capacity(wishes.len());
            for wish in wishes {
                let needs = check_references(&wish, world, &mut problems);
                match item(wish, &policy, world, needs) {
                    Ok(item) => items.push(item),
                    Err(problem) => problems.push(*problem),
                }
            }
            items
        };
        let mut world = World { names, snapshot, declared: HashSet::new(), removed: HashSet::new() };
        let ends = plan_all(ends, &world);
        // What others still own something of stays, and so does a host.
        world.removed =
            ends.iter().filter(|item| item.plan.next == Next::Absent).map(|item| item.key.clone()).collect();
        let declared =
            stays.iter().filter(|wish| matches!(wish.intent, Intent::Declare(_))).map(|wish| &wish.key);
        world.declared = declared.chain(cached.iter().map(|settled| &settled.key)).cloned().collect();
        let stays = plan_all(stays, &world);

        let phases = in_phases(stays, ends, &world, &mut problems);
        if !problems.is_empty() {
            problems.sort_by_key(|problem| problem.document.unwrap_or(usize::MAX));
            return Err(problems);
        }
        let owns = if policy.owner.is_cli() {
            Vec::new()
        } else {
            let new = world.declared.into_iter().filter(|key| !snapshot.inventory.contains(key));
            new.collect::<BTreeSet<_>>().into_iter().collect()
        };
        Ok(Self { by, policy, phases, owns, cached, undeclared, revision: snapshot.revision })
    }

    /// Every object that was planned, in order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.phases.iter().flatten()
    }

    /// How many would end how.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        summary.add_many(Outcome::Unchanged, self.cached.len() as u64);
        self.items().for_each(|item| summary.add(item.plan.outcome));
        summary
    }

    /// Whether applying it would change anything that people see.
    pub fn has_differences(&self) -> bool {
        self.items().any(|item| item.plan.outcome != Outcome::Unchanged || !item.plan.conflicts.is_empty())
    }

    /// Whether applying it would write anything, be it only who owns what.
    pub fn writes(&self) -> bool {
        !self.owns.is_empty()
            || self.items().any(|i| i.plan.next != Next::Same || matches!(i.intent, Intent::Release))
    }

    /// Whether any object has conflicts.
    pub fn has_conflicts(&self) -> bool {
        self.items().any(|item| !item.plan.conflicts.is_empty())
    }
}

/// The host's name, where the object is a host.
fn host_of(names: &Names, key: &ObjectKey) -> Option<String> {
    if key.kind == EdgeNode::NAME { names.name_of(&key.name) } else { None }
}

/// Whether anything of the object is still `owner`'s. What can't be read may be.
fn is_owned(snapshot: &Snapshot, key: &ObjectKey, owner: &Owner) -> bool {
    let owned = |object: &Object| !matches!(aegis_kinds::project(&key.kind, &object.body, owner), Ok(None));
    snapshot.objects.get(key).is_some_and(owned)
}

/// Hosts by their ids, and references by ids, so that one thing has one name.
fn canonical(wishes: Vec<Wish>, names: &Names, problems: &mut Vec<Problem>) -> Vec<Wish> {
    let mut canonical = Vec::with_capacity(wishes.len());
    for mut wish in wishes {
        if wish.key.kind == EdgeNode::NAME {
            match names.resolve(&wish.key.name) {
                Ok(id) => wish.key.name = id.to_string(),
                Err(unresolved) => {
                    let mut problem = Problem::new(&wish, unresolved.message());
                    problem.help = Some(unresolved.help());
                    problems.push(problem);
                    continue;
                }
            }
        }
        if let Intent::Declare(declared) = &mut wish.intent
            && declared
                .0
                .references()
                .iter()
                .any(|r| r.kind == EdgeNode::NAME && NodeId::new(&*r.name).is_err())
        {
            let resolve = |r: &Reference| names.resolve(&r.name).ok().map(ToString::to_string);
            declared.0 = declared.0.clone().resolve(&resolve);
        }
        canonical.push(wish);
    }
    canonical
}

/// What references can point to.
struct World<'a> {
    names: Names<'a>,
    snapshot: &'a Snapshot,
    /// What the plan's source declares.
    declared: HashSet<ObjectKey>,
    /// What won't be there afterwards.
    removed: HashSet<ObjectKey>,
}

impl World<'_> {
    fn has(&self, key: &ObjectKey) -> bool {
        self.declared.contains(key)
            || self.snapshot.known.contains(key)
            || self.snapshot.objects.contains_key(key)
    }

    /// Whether the object `of` points to the host `key` already, which then was revoked since. What is there can be
    /// exported and declared as it is; only a new reference must point to an enrolled host.
    fn is_stored(&self, of: &ObjectKey, key: &ObjectKey) -> bool {
        let body = self.snapshot.objects.get(of).map_or(&[][..], |object| &object.body);
        let Ok(Some((spec, ..))) = aegis_kinds::export(&of.kind, body) else { return false };
        spec.references().iter().any(|r| r.kind == key.kind && r.name == key.name)
    }

    /// What is wrong with a reference to `key`, and the way out.
    fn fault(&self, key: &ObjectKey) -> Option<(String, String)> {
        if key.kind == EdgeNode::NAME {
            let unresolved = self.names.resolve(&key.name).err()?;
            return Some((unresolved.message(), unresolved.help()));
        }
        if self.removed.contains(key) {
            let help = "declare it, or remove the reference".to_owned();
            return Some((format!("{key} is removed by this very plan"), help));
        }
        if self.has(key) {
            return None;
        }
        let there = self.declared.iter().chain(&self.snapshot.known).chain(self.snapshot.objects.keys());
        // In order, so that of equally near names it is always the same one.
        let names: BTreeSet<&str> = there
            .filter(|other| other.kind == key.kind && !self.removed.contains(*other))
            .map(|other| other.name.as_str())
            .collect();
        let help = did_you_mean(&key.name, names)
            .unwrap_or_else(|| format!("declare it, or see `aegis get {}`", key.kind));
        Some((format!("there is no {key}"), help))
    }
}

/// The objects that a declaration points to, hosts left out; what is wrong with them goes to `problems`.
fn check_references(wish: &Wish, world: &World, problems: &mut Vec<Problem>) -> Vec<ObjectKey> {
    let Intent::Declare(declared) = &wish.intent else { return Vec::new() };
    let mut needs = Vec::new();
    for reference in declared.0.references() {
        let key = ObjectKey::new(reference.kind, reference.name);
        if let Some((message, help)) = world.fault(&key) {
            if key.kind == EdgeNode::NAME && world.is_stored(&wish.key, &key) {
                continue;
            }
            let mut problem = Problem::new(wish, message);
            (problem.field, problem.help) = (Some(reference.field), Some(help));
            problems.push(problem);
        } else if key.kind != EdgeNode::NAME {
            needs.push(key);
        }
    }
    needs
}

fn item(wish: Wish, policy: &Policy, world: &World, needs: Vec<ObjectKey>) -> Result<Item, Box<Problem>> {
    let at_fault = |wish: &Wish, error: PlanError| {
        let mut problem = Problem::new(wish, error.to_string());
        if let PlanError::Refused(refusal) = error {
            (problem.field, problem.help) = (refusal.field, refusal.help);
        }
        Box::new(problem)
    };
    if let Intent::Declare(declared) = &wish.intent {
        declared.0.check(&wish.key.name).map_err(|refusal| at_fault(&wish, refusal.into()))?;
    }
    let have = world.snapshot.objects.get(&wish.key);
    let body = have.map_or(&[][..], |object| &object.body);
    let plan = wish.intent.plan(&wish.key.kind, body, policy).map_err(|error| at_fault(&wish, error))?;
    Ok(Item {
        host: host_of(&world.names, &wish.key),
        base: have.map(|object| object.revision).unwrap_or_default(),
        plan,
        needs,
        key: wish.key,
        intent: wish.intent,
        document: wish.document,
    })
}

/// What is needed comes first; what goes, goes last, after whoever pointed to it.
fn in_phases(
    stays: Vec<Item>,
    mut ends: Vec<Item>,
    world: &World,
    problems: &mut Vec<Problem>,
) -> Vec<Vec<Item>> {
    if !world.removed.is_empty() {
        let pointed_to = pointed_to(&stays, world);
        for item in &mut ends {
            item.needs = pointed_to.get(&item.key).cloned().unwrap_or_default();
        }
    }
    let mut phases = Vec::new();
    if stays.iter().all(|item| item.needs.is_empty()) {
        phases.push(stays);
    } else {
        let keys: Vec<ObjectKey> = stays.iter().map(|item| item.key.clone()).collect();
        let edges: Vec<(ObjectKey, ObjectKey)> = stays
            .iter()
            .flat_map(|item| item.needs.iter().map(|need| (item.key.clone(), need.clone())))
            .collect();
        match graph::phases(&keys, &edges) {
            Ok(order) => {
                let mut by_key: HashMap<ObjectKey, Item> =
                    stays.into_iter().map(|item| (item.key.clone(), item)).collect();
                phases = order
                    .into_iter()
                    .map(|phase| phase.iter().filter_map(|key| by_key.remove(key)).collect())
                    .collect();
            }
            Err(cycle) => problems.extend(in_circle(&stays, &cycle)),
        }
    }
    phases.push(ends);
    phases.retain(|phase: &Vec<Item>| !phase.is_empty());
    phases
}

/// Objects that go, and what points to them until it is written: while that fails, they have to stay.
fn pointed_to(stays: &[Item], world: &World) -> HashMap<ObjectKey, Vec<ObjectKey>> {
    let mut pointed_to: HashMap<ObjectKey, Vec<ObjectKey>> = HashMap::new();
    for item in stays.iter().filter(|item| item.plan.next != Next::Same) {
        let Some(have) = world.snapshot.objects.get(&item.key) else { continue };
        // It was planned over, so it can be read.
        let Ok(Some((spec, ..))) = aegis_kinds::export(&item.key.kind, &have.body) else { continue };
        for reference in spec.references() {
            let key = ObjectKey::new(reference.kind, reference.name);
            if world.removed.contains(&key) {
                pointed_to.entry(key).or_default().push(item.key.clone());
            }
        }
    }
    pointed_to
}

/// The problem of things that need each other in a circle, at the reference that the circle is told from.
fn in_circle(items: &[Item], cycle: &graph::Cycle<ObjectKey>) -> Option<Problem> {
    let [first, second, ..] = cycle.path.as_slice() else { return None };
    let item = items.iter().find(|item| item.key == *first)?;
    let references = match &item.intent {
        Intent::Declare(declared) => declared.0.references(),
        _ => Vec::new(),
    };
    let points = |r: &Reference| r.kind == second.kind && r.name == second.name;
    Some(Problem {
        document: item.document,
        key: item.key.clone(),
        field: references.into_iter().find(points).map(|reference| reference.field),
        message: cycle.to_string(),
        help: Some("remove one of the references".into()),
        other: None,
    })
}

/// The nearest of `candidates`, as a help line.
fn did_you_mean<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(given, candidates).map(|near| format!("did you mean '{near}'?"))
}
