//! `EdgeNode`: what operators say of an enrolled host. The host itself comes by enrolment and goes by revocation.

use std::fmt;

use aegis_core::{
    Effect, Element, Kind, Reference, Refusal,
    id::{NodeId, ObjectName, Tag},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::UniqueSet;

/// An enrolled host, as operators want it classified. `metadata.name` is its node id, or its host name if that is
/// unique in the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EdgeNodeSpec {
    /// Tags, for selectors: `tags=prod`. Each is owned by who declared it.
    #[serde(skip_serializing_if = "UniqueSet::is_empty")]
    #[schemars(with = "UniqueSet<String>")]
    pub tags: UniqueSet<Tag>,
    /// A name for people, shown in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub display_name: Option<String>,
    /// Whether the host refuses new work while running work ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<bool>,
}

/// The kind. An enrolled host is always there to be seen, be it with an empty spec; a host that isn't enrolled can't be
/// declared, which the plan says before it comes to steps.
#[derive(Debug)]
pub struct EdgeNode;

/// The smallest steps.
#[derive(Debug, Clone, PartialEq)]
pub enum EdgeNodeChange {
    /// A tag is set.
    AddTag(Tag),
    /// A tag goes.
    RemoveTag(Tag),
    /// The name for people: old and new.
    DisplayName(Option<String>, Option<String>),
    /// Draining: old and new.
    Drain(Option<bool>, Option<bool>),
}

/// Imperative verbs.
#[derive(Debug, Clone)]
pub enum EdgeNodeEdit {
    /// `aegis edge tag add`
    AddTags(Vec<Tag>),
    /// `aegis edge tag rm`
    RemoveTags(Vec<Tag>),
    /// `aegis edge drain`
    Drain(bool),
}

impl fmt::Display for EdgeNodeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddTag(tag) | Self::RemoveTag(tag) => write!(f, "tag {tag}"),
            Self::DisplayName(have, want) => {
                crate::erased::write_step(f, "displayName", have.as_deref(), want.as_deref())
            }
            Self::Drain(have, want) => {
                let text = |drain: &Option<bool>| drain.map(|d| if d { "true" } else { "false" });
                crate::erased::write_step(f, "drain", text(have), text(want))
            }
        }
    }
}

impl Kind for EdgeNode {
    const NAME: &'static str = "EdgeNode";
    type Spec = EdgeNodeSpec;
    type Observed = EdgeNodeSpec;
    type Change = EdgeNodeChange;
    type Edit = EdgeNodeEdit;

    fn check(name: &str, spec: &EdgeNodeSpec) -> Result<(), Refusal> {
        if NodeId::new(name).is_err() && ObjectName::new(name).is_err() {
            return Err(Refusal::new(format!("'{name}' is neither a node id nor a host name"))
                .help("`aegis edge ls` lists both"));
        }
        match spec.display_name.as_deref().map(|name| name.chars().count()) {
            Some(0) => Err(Refusal::at("displayName", "displayName is empty").help("leave it out instead")),
            Some(n) if n > 128 => {
                Err(Refusal::at("displayName", format!("displayName has {n} characters, 128 is the most")))
            }
            _ => Ok(()),
        }
    }

    fn edit(have: Option<&EdgeNodeSpec>, edit: &EdgeNodeEdit) -> Result<EdgeNodeSpec, Refusal> {
        let mut spec = have.cloned().unwrap_or_default();
        match edit {
            EdgeNodeEdit::AddTags(tags) => spec.tags.0.extend(tags.iter().cloned()),
            EdgeNodeEdit::RemoveTags(tags) => spec.tags.0.retain(|tag| !tags.contains(tag)),
            // Not draining is how a host is when nobody says anything.
            EdgeNodeEdit::Drain(false) if spec.drain.is_none() => {}
            EdgeNodeEdit::Drain(drain) => spec.drain = Some(*drain),
        }
        Ok(spec)
    }

    fn diff(
        want: Option<&EdgeNodeSpec>,
        have: Option<&EdgeNodeSpec>,
    ) -> Result<Vec<EdgeNodeChange>, Refusal> {
        let nothing = EdgeNodeSpec::default();
        let (want, have) = (want.unwrap_or(&nothing), have.unwrap_or(&nothing));
        let mut steps: Vec<_> =
            want.tags.0.difference(&have.tags.0).cloned().map(EdgeNodeChange::AddTag).collect();
        steps.extend(have.tags.0.difference(&want.tags.0).cloned().map(EdgeNodeChange::RemoveTag));
        if want.display_name != have.display_name {
            steps.push(EdgeNodeChange::DisplayName(have.display_name.clone(), want.display_name.clone()));
        }
        if want.drain != have.drain {
            steps.push(EdgeNodeChange::Drain(have.drain, want.drain));
        }
        Ok(steps)
    }

    fn replay(have: Option<EdgeNodeSpec>, change: &EdgeNodeChange) -> Option<EdgeNodeSpec> {
        let mut spec = have.unwrap_or_default();
        match change {
            EdgeNodeChange::AddTag(tag) => drop(spec.tags.0.insert(tag.clone())),
            EdgeNodeChange::RemoveTag(tag) => drop(spec.tags.0.remove(tag)),
            EdgeNodeChange::DisplayName(_, want) => spec.display_name.clone_from(want),
            EdgeNodeChange::Drain(_, want) => spec.drain = *want,
        }
        Some(spec)
    }

    fn export(have: &EdgeNodeSpec) -> EdgeNodeSpec {
        have.clone()
    }

    fn bare(_: &EdgeNodeSpec) -> EdgeNodeSpec {
        EdgeNodeSpec::default()
    }

    fn declares(spec: &EdgeNodeSpec) -> Vec<Element> {
        let mut elements: Vec<_> = spec.tags.iter().map(|tag| Element::entry("tags", tag)).collect();
        elements.extend(spec.display_name.is_some().then(|| Element::field("displayName")));
        elements.extend(spec.drain.is_some().then(|| Element::field("drain")));
        elements
    }

    fn touches(change: &EdgeNodeChange) -> Option<(Element, Effect)> {
        let effect = |is_set| if is_set { Effect::Set } else { Effect::Remove };
        Some(match change {
            EdgeNodeChange::AddTag(tag) => (Element::entry("tags", tag), Effect::Set),
            EdgeNodeChange::RemoveTag(tag) => (Element::entry("tags", tag), Effect::Remove),
            EdgeNodeChange::DisplayName(_, want) => (Element::field("displayName"), effect(want.is_some())),
            EdgeNodeChange::Drain(_, want) => (Element::field("drain"), effect(want.is_some())),
        })
    }

    fn references(_: &EdgeNodeSpec) -> Vec<Reference> {
        Vec::new()
    }

    fn resolve(spec: EdgeNodeSpec, _: &dyn Fn(&Reference) -> Option<String>) -> EdgeNodeSpec {
        spec
    }
}
