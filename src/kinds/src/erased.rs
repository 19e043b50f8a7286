//! Plans of any kind: what the engine and the controller work with, who don't care which kind it is.

use std::{collections::BTreeSet, fmt};

use aegis_core::{
    Element, Kind, Meta, Outcome, Owner, Refusal,
    ownership::{self, Conflict, Plan, Policy, Stored},
};
use serde::Serialize;

use crate::{
    Spec,
    table::{AnyKind, Visitor, visit},
};

/// What has to be done to one object, whatever its kind.
#[derive(Debug, Clone)]
pub struct AnyPlan {
    /// What becomes of the object when the plan is applied.
    pub outcome: Outcome,
    /// The steps as a plan's lines: `+ tag db`.
    pub steps: Vec<Line>,
    /// Fields that others own; when there are any, nothing of the object is written.
    pub conflicts: Vec<Conflict>,
    /// Elements no longer declared that stay as pruning is off.
    pub kept: Vec<Element>,
    /// Elements of manifest owners that an imperative plan changes, and who will put them back.
    pub reverted_by: Vec<(Element, BTreeSet<Owner>)>,
    /// What is to be written.
    pub next: Next,
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// `+` new, `~` changed, `-` gone.
    pub sign: char,
    /// The element that is touched; none: the object as a whole.
    pub element: Option<Element>,
    /// What happens, without the sign.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sign, self.text)
    }
}

/// What a plan writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the object is as it should be.
    Same,
    /// This body: the JSON of a [`Stored`].
    Body(Vec<u8>),
    /// The object goes.
    Absent,
}

/// Why no plan can be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// A rule of the kind would be broken.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What was read isn't of this kind: it was written by a newer version, or is damaged.
    #[error("the stored {kind} can't be read: {reason}")]
    Unreadable {
        /// The kind's name.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such kind.
    #[error("'{0}' is no kind")]
    UnknownKind(String),
}

/// See [`ownership::plan_declared`]. `have` is the JSON body that was read; empty: absent.
pub fn plan_declared(
    kind: &str,
    want: Option<(&Spec, &Meta)>,
    have: &[u8],
    policy: &Policy,
) -> Result<AnyPlan, PlanError> {
    struct Declared<'a>(Option<(&'a Spec, &'a Meta)>, &'a [u8], &'a Policy);
    impl Visitor for Declared<'_> {
        type Out = Result<AnyPlan, PlanError>;
        fn visit<K: AnyKind>(self) -> Self::Out {
            let have = read::<K>(self.1)?;
            let want = match self.0 {
                None => None,
                Some((spec, meta)) => {
                    Some((K::unwrap(spec).ok_or_else(|| PlanError::UnknownKind(spec.kind().into()))?, meta))
                }
            };
            erase(have.as_ref(), &ownership::plan_declared::<K>(want, have.as_ref(), self.2)?)
        }
    }
    visit(kind, Declared(want, have, policy)).unwrap_or_else(|| Err(PlanError::UnknownKind(kind.into())))
}

/// See [`ownership::plan_edit`].
pub fn plan_edit<K: Kind>(have: &[u8], edit: &K::Edit) -> Result<AnyPlan, PlanError> {
    let have = read::<K>(have)?;
    erase(have.as_ref(), &ownership::plan_edit::<K>(have.as_ref(), edit)?)
}

/// See [`ownership::plan_delete`].
pub fn plan_delete(kind: &str, have: &[u8]) -> Result<AnyPlan, PlanError> {
    struct Delete<'a>(&'a [u8]);
    impl Visitor for Delete<'_> {
        type Out = Result<AnyPlan, PlanError>;
        fn visit<K: AnyKind>(self) -> Self::Out {
            let have = read::<K>(self.0)?;
            erase(have.as_ref(), &ownership::plan_delete::<K>(have.as_ref())?)
        }
    }
    visit(kind, Delete(have)).unwrap_or_else(|| Err(PlanError::UnknownKind(kind.into())))
}

/// The part of a stored object that `owner` owns; see [`ownership::project`].
pub fn project(kind: &str, have: &[u8], owner: &Owner) -> Result<Option<(Spec, Meta)>, PlanError> {
    struct Project<'a>(&'a [u8], &'a Owner);
    impl Visitor for Project<'_> {
        type Out = Result<Option<(Spec, Meta)>, PlanError>;
        fn visit<K: AnyKind>(self) -> Self::Out {
            let Some(have) = read::<K>(self.0)? else { return Ok(None) };
            Ok(ownership::project::<K>(&have, self.1)?.map(|(spec, meta)| (K::wrap(spec), meta)))
        }
    }
    visit(kind, Project(have, owner)).unwrap_or_else(|| Err(PlanError::UnknownKind(kind.into())))
}

/// The spec, metadata and owners of a stored object, as a manifest would declare it.
pub fn export(kind: &str, have: &[u8]) -> Result<Option<(Spec, Meta, ownership::Owners)>, PlanError> {
    struct Export<'a>(&'a [u8]);
    impl Visitor for Export<'_> {
        type Out = Result<Option<(Spec, Meta, ownership::Owners)>, PlanError>;
        fn visit<K: AnyKind>(self) -> Self::Out {
            Ok(read::<K>(self.0)?.map(|have| (K::wrap(K::export(&have.spec)), have.meta, have.owners)))
        }
    }
    visit(kind, Export(have)).unwrap_or_else(|| Err(PlanError::UnknownKind(kind.into())))
}

/// Whether `body` is a whole and valid object called `name`: what a controller asks before it writes one.
pub fn check_stored(kind: &str, name: &str, body: &[u8]) -> Result<(), PlanError> {
    let (spec, ..) = export(kind, body)?
        .ok_or_else(|| PlanError::Refused(Refusal::new(format!("{kind}/{name} has no body"))))?;
    Ok(spec.check(name)?)
}

fn read<K: Kind>(body: &[u8]) -> Result<Option<Stored<K::Observed>>, PlanError> {
    if body.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(body)
        .map(Some)
        .map_err(|error| PlanError::Unreadable { kind: K::NAME, reason: error.to_string() })
}

fn erase<K: Kind>(have: Option<&Stored<K::Observed>>, plan: &Plan<K>) -> Result<AnyPlan, PlanError> {
    let next = match &plan.next {
        _ if !plan.writes => Next::Same,
        None => Next::Absent,
        Some(next) => Next::Body(
            serde_json::to_vec(next)
                .map_err(|error| PlanError::Unreadable { kind: K::NAME, reason: error.to_string() })?,
        ),
    };
    let outcome = match (have, &plan.next) {
        _ if plan.steps.is_empty() => Outcome::Unchanged,
        (None, _) => Outcome::Created,
        (Some(_), None) => Outcome::Deleted,
        (Some(_), Some(_)) => Outcome::Updated,
    };
    let line = |planned: &ownership::Planned<K::Change>| Line {
        sign: planned.sign,
        element: planned.element.clone(),
        text: planned.to_string().split_off(2),
    };
    Ok(AnyPlan {
        outcome,
        steps: plan.steps.iter().map(line).collect(),
        conflicts: plan.conflicts.clone(),
        kept: plan.kept.clone(),
        reverted_by: plan.reverted_by.clone().into_iter().collect(),
        next,
    })
}

/// `field value` for a new value, `field old → new` for a changed one, `field old` for one that goes.
pub(crate) fn write_step(
    f: &mut fmt::Formatter<'_>,
    field: &str,
    have: Option<&str>,
    want: Option<&str>,
) -> fmt::Result {
    match (have, want) {
        (Some(have), Some(want)) => write!(f, "{field} {have} → {want}"),
        (one, other) => write!(f, "{field} {}", one.or(other).unwrap_or("none")),
    }
}
