//! `EdgeGroup`: a saved selector with a name, and hosts that belong to it whatever the selector says.

use std::{collections::BTreeSet, fmt};

use aegis_core::{
    Effect, Element, Kind, Reference, Refusal,
    id::{NodeId, ObjectName},
    selector::Target,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EdgeNode, UniqueSet};

/// A named target: the hosts that its selector matches, and those that are pinned to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EdgeGroupSpec {
    /// Who belongs to it: the expression of `--target`, such as `tags=prod os=linux`.
    #[schemars(with = "String")]
    pub selector: Target,
    /// Hosts that belong to it in any case: node ids, or host names that are unique in the tenant.
    #[serde(default, skip_serializing_if = "UniqueSet::is_empty")]
    pub pinned: UniqueSet<String>,
}

/// The kind.
#[derive(Debug)]
pub struct EdgeGroup;

/// The smallest steps.
#[derive(Debug, Clone, PartialEq)]
pub enum EdgeGroupChange {
    /// The selector: old (none: the group is new) and new.
    Selector(Option<Target>, Target),
    /// A host is pinned.
    Pin(String),
    /// A pin goes.
    Unpin(String),
    /// The group goes.
    Delete,
}

/// Imperative verbs.
#[derive(Debug, Clone)]
pub enum EdgeGroupEdit {
    /// `aegis edge group create`
    Create(Target),
    /// `aegis edge group set-pinned`: node ids to add and to remove.
    SetPinned {
        /// Node ids that are to be pinned.
        add: BTreeSet<String>,
        /// Node ids whose pin is to go.
        remove: BTreeSet<String>,
    },
}

impl fmt::Display for EdgeGroupChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Selector(have, want) => {
                let have = have.as_ref().map(ToString::to_string);
                crate::erased::write_step(f, "selector", have.as_deref(), Some(&want.to_string()))
            }
            Self::Pin(node) | Self::Unpin(node) => write!(f, "pinned {node}"),
            Self::Delete => f.write_str("the group"),
        }
    }
}

impl Kind for EdgeGroup {
    const NAME: &'static str = "EdgeGroup";
    type Spec = EdgeGroupSpec;
    type Observed = EdgeGroupSpec;
    type Change = EdgeGroupChange;
    type Edit = EdgeGroupEdit;

    fn check(name: &str, spec: &EdgeGroupSpec) -> Result<(), Refusal> {
        ObjectName::new(name).map_err(|error| Refusal::new(error.to_string()))?;
        if matches!(&spec.selector, Target::Group(group) if group == name) {
            return Err(Refusal::at("selector", format!("group '{name}' names itself"))
                .help("a group is defined by what its hosts have in common, such as `tags=prod`"));
        }
        for node in &spec.pinned {
            if ObjectName::new(node.as_str()).is_err() {
                return Err(Refusal::at(
                    format!("pinned[{node}]"),
                    format!("'{node}' is neither a node id nor a host name"),
                )
                .help("`aegis edge ls` lists both"));
            }
        }
        Ok(())
    }

    fn edit(have: Option<&EdgeGroupSpec>, edit: &EdgeGroupEdit) -> Result<EdgeGroupSpec, Refusal> {
        match (have, edit) {
            (None, EdgeGroupEdit::Create(selector)) => {
                Ok(EdgeGroupSpec { selector: selector.clone(), pinned: UniqueSet::default() })
            }
            (Some(have), EdgeGroupEdit::Create(selector)) if have.selector == *selector => Ok(have.clone()),
            (Some(have), EdgeGroupEdit::Create(_)) => Err(Refusal::at(
                "selector",
                format!("the group exists with the selector `{}`", have.selector),
            )
            .help("remove it first with `aegis edge group rm`, or change it with `aegis apply`")),
            (None, EdgeGroupEdit::SetPinned { .. }) => Err(Refusal::new("the group doesn't exist")
                .help("create it with `aegis edge group create NAME --selector EXPR`")),
            (Some(have), EdgeGroupEdit::SetPinned { add, remove }) => {
                if let Some(both) = add.intersection(remove).next() {
                    return Err(Refusal::at(
                        "pinned",
                        format!("'{both}' is both to be added and to be removed"),
                    ));
                }
                let mut spec = have.clone();
                spec.pinned.0.extend(add.iter().cloned());
                spec.pinned.0.retain(|node| !remove.contains(node));
                Ok(spec)
            }
        }
    }

    fn diff(
        want: Option<&EdgeGroupSpec>,
        have: Option<&EdgeGroupSpec>,
    ) -> Result<Vec<EdgeGroupChange>, Refusal> {
        let Some(want) = want else {
            return Ok(have.map(|_| EdgeGroupChange::Delete).into_iter().collect());
        };
        let mut steps = Vec::new();
        if have.is_none_or(|have| have.selector != want.selector) {
            steps.push(EdgeGroupChange::Selector(have.map(|h| h.selector.clone()), want.selector.clone()));
        }
        let nobody = BTreeSet::new();
        let pinned = have.map_or(&nobody, |have| &have.pinned.0);
        steps.extend(want.pinned.0.difference(pinned).cloned().map(EdgeGroupChange::Pin));
        steps.extend(pinned.difference(&want.pinned.0).cloned().map(EdgeGroupChange::Unpin));
        Ok(steps)
    }

    fn replay(have: Option<EdgeGroupSpec>, change: &EdgeGroupChange) -> Option<EdgeGroupSpec> {
        match (have, change) {
            (have, EdgeGroupChange::Selector(_, selector)) => Some(EdgeGroupSpec {
                selector: selector.clone(),
                pinned: have.map(|h| h.pinned).unwrap_or_default(),
            }),
            (Some(mut have), EdgeGroupChange::Pin(node)) => {
                have.pinned.0.insert(node.clone());
                Some(have)
            }
            (Some(mut have), EdgeGroupChange::Unpin(node)) => {
                have.pinned.0.remove(node);
                Some(have)
            }
            // A plan for a new group begins with its selector: there is no pin without a group.
            (_, EdgeGroupChange::Delete) | (None, EdgeGroupChange::Pin(_) | EdgeGroupChange::Unpin(_)) => {
                None
            }
        }
    }

    fn export(have: &EdgeGroupSpec) -> EdgeGroupSpec {
        have.clone()
    }

    fn bare(have: &EdgeGroupSpec) -> EdgeGroupSpec {
        EdgeGroupSpec { selector: have.selector.clone(), pinned: UniqueSet::default() }
    }

    fn declares(spec: &EdgeGroupSpec) -> Vec<Element> {
        let pins = spec.pinned.iter().map(|node| Element::entry("pinned", node));
        std::iter::once(Element::field("selector")).chain(pins).collect()
    }

    fn touches(change: &EdgeGroupChange) -> Option<(Element, Effect)> {
        match change {
            EdgeGroupChange::Selector(..) => Some((Element::field("selector"), Effect::Set)),
            EdgeGroupChange::Pin(node) => Some((Element::entry("pinned", node), Effect::Set)),
            EdgeGroupChange::Unpin(node) => Some((Element::entry("pinned", node), Effect::Remove)),
            EdgeGroupChange::Delete => None,
        }
    }

    fn references(spec: &EdgeGroupSpec) -> Vec<Reference> {
        let reference = |kind, name: &str, field: String| Reference { kind, name: name.to_owned(), field };
        let mut references: Vec<_> = spec
            .pinned
            .iter()
            .map(|node| reference(EdgeNode::NAME, node, format!("pinned[{node}]")))
            .collect();
        match &spec.selector {
            Target::Group(group) => references.push(reference(EdgeGroup::NAME, group, "selector".into())),
            Target::Node(node) => references.push(reference(EdgeNode::NAME, node, "selector".into())),
            Target::All | Target::Selector(_) => {}
        }
        references
    }

    fn resolve(mut spec: EdgeGroupSpec, resolve: &dyn Fn(&Reference) -> Option<String>) -> EdgeGroupSpec {
        let id = |name: &str, field: &str| {
            let known = NodeId::new(name).is_ok();
            let reference =
                Reference { kind: EdgeNode::NAME, name: name.to_owned(), field: field.to_owned() };
            if known { None } else { resolve(&reference) }
        };
        spec.pinned =
            spec.pinned.iter().map(|node| id(node, "pinned").unwrap_or_else(|| node.clone())).collect();
        if let Target::Node(node) = &spec.selector
            && let Some(found) = id(node, "selector")
        {
            spec.selector = Target::Node(found);
        }
        spec
    }
}
