//! What happens, as typed events: table, JSON, markdown and progress only render them.

use std::collections::BTreeSet;

use aegis_core::{Element, Outcome, Owner, Revision, outcome::Summary, ownership::Conflict};
use aegis_kinds::{Line, Next};
use serde::Serialize;

use crate::{
    intent::Intent,
    plan::{Item, Settled},
};

/// One object's part in a plan or its application: the unit of every report (`objects[]` in JSON).
#[derive(Debug, Clone, Serialize)]
pub struct ObjectEvent {
    /// The kind's name.
    pub kind: String,
    /// The object's name; for a host its node id.
    pub name: String,
    /// The host's name, where the object is a host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What becomes, or became, of it.
    pub outcome: Outcome,
    /// The steps, in order.
    pub steps: Vec<Line>,
    /// Fields that other owners hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
    /// Elements no longer declared that stay, as pruning is off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Element>,
    /// What manifest owners will put back at their next apply.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reverted_by: Vec<Revert>,
    /// Whether nothing of it changes but who owns it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// Why it failed or was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An element that an imperative command changed and a manifest declares.
#[derive(Debug, Clone, Serialize)]
pub struct Revert {
    /// The element.
    pub element: Element,
    /// The owners whose next apply puts it back.
    pub owners: BTreeSet<Owner>,
}

impl ObjectEvent {
    /// The event of a planned object.
    pub fn planned(item: &Item) -> Self {
        let reverts = item.plan.reverted_by.iter();
        Self {
            kind: item.key.kind.to_string(),
            name: item.key.name.clone(),
            host: item.host.clone(),
            outcome: item.plan.outcome,
            steps: item.plan.steps.clone(),
            conflicts: item.plan.conflicts.clone(),
            kept: item.plan.kept.clone(),
            reverted_by: reverts.map(|(e, o)| Revert { element: e.clone(), owners: o.clone() }).collect(),
            adopted: item.plan.outcome == Outcome::Unchanged
                && item.plan.next != Next::Same
                && matches!(item.intent, Intent::Declare(_)),
            error: None,
        }
    }

    /// The event of an object whose document is as it was when it was last found unchanged.
    pub fn settled(settled: &Settled) -> Self {
        Self {
            kind: settled.key.kind.to_string(),
            name: settled.key.name.clone(),
            host: settled.host.clone(),
            outcome: Outcome::Unchanged,
            steps: Vec::new(),
            conflicts: Vec::new(),
            kept: Vec::new(),
            reverted_by: Vec::new(),
            adopted: false,
            error: None,
        }
    }

    /// How people call the object: `EdgeNode/web-1`.
    pub fn title(&self) -> String {
        format!("{}/{}", self.kind, self.host.as_deref().unwrap_or(&self.name))
    }
}

/// An object that its owner declared before and no longer declares.
#[derive(Debug, Clone, Serialize)]
pub struct UndeclaredObject {
    /// The kind's name.
    pub kind: String,
    /// The object's name; for a host its node id.
    pub name: String,
    /// The host's name, where the object is a host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl UndeclaredObject {
    /// Of a plan.
    pub fn all(undeclared: &[Settled]) -> Vec<Self> {
        let one = |settled: &Settled| Self {
            kind: settled.key.kind.to_string(),
            name: settled.key.name.clone(),
            host: settled.host.clone(),
        };
        undeclared.iter().map(one).collect()
    }

    /// How people call the object.
    pub fn title(&self) -> String {
        format!("{}/{}", self.kind, self.host.as_deref().unwrap_or(&self.name))
    }
}

/// A whole plan or application: what `--output json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whose elements are declared.
    pub owner: Owner,
    /// What was run.
    pub source: String,
    /// Whether it was only planned.
    pub dry_run: bool,
    /// The number in the history, when something was written.
    pub revision: Option<Revision>,
    /// The number in this machine's history, when the plan was for a controller and for this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_revision: Option<Revision>,
    /// Every object, in the order of the plan.
    pub objects: Vec<ObjectEvent>,
    /// How many ended how.
    pub summary: Summary,
    /// Objects that the owner no longer declares and that stay, as pruning is off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undeclared: Vec<UndeclaredObject>,
    /// What went wrong without keeping anything from being written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Report {
    /// Of no plan at all.
    pub fn nothing() -> Self {
        Self {
            owner: Owner::cli(),
            source: String::new(),
            dry_run: true,
            revision: None,
            local_revision: None,
            objects: Vec::new(),
            summary: Summary::default(),
            undeclared: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Of plans for several realms: the controller's, then this machine's.
    #[must_use]
    pub fn joined(mut self, local: Self) -> Self {
        self.local_revision = local.revision;
        self.objects.extend(local.objects);
        self.undeclared.extend(local.undeclared);
        self.warnings.extend(local.warnings);
        for (outcome, count) in local.summary.0 {
            self.summary.add_many(outcome, count);
        }
        self
    }

    /// Whether any object has conflicts.
    pub fn has_conflicts(&self) -> bool {
        self.objects.iter().any(|object| !object.conflicts.is_empty())
    }
}
