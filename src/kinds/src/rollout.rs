//! `Rollout`: a tool call that the hosts of a target get once, in waves, with a health check and a way back.

mod check;
mod spec;
#[cfg(test)]
mod tests;

pub use spec::{Batch, HealthCheck, Rollback, RolloutMode, RolloutSpec, RolloutStrategy};

use std::fmt;

use aegis_core::{
    Effect, Element, Kind, Reference, Refusal,
    id::{NodeId, ObjectName},
    selector::Target,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{EdgeGroup, EdgeNode, SecurityContext, policy::DEFAULT_CONTEXT};

/// The kind. What becomes of a rollout is its status, and steering it is no part of the spec.
#[derive(Debug)]
pub struct Rollout;

/// The smallest steps: what was, and what is to be.
#[derive(Debug, Clone, PartialEq)]
pub enum RolloutChange {
    /// The target; there was none: the rollout is new.
    Target(Option<Target>, Target),
    /// The tool.
    Tool(Option<String>, String),
    /// One argument.
    Arg(String, Option<Value>, Option<Value>),
    /// The security context.
    SecurityContext(String, String),
    /// The strategy.
    Strategy(RolloutStrategy, RolloutStrategy),
    /// The health check.
    HealthCheck(Option<Box<HealthCheck>>, Option<Box<HealthCheck>>),
    /// The way back.
    Rollback(Option<Box<Rollback>>, Option<Box<Rollback>>),
    /// Whether hosts that join later get the call.
    CatchUp(bool),
    /// The rollout goes.
    Delete,
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl fmt::Display for RolloutChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut step = |field: &str, have: Option<String>, want: Option<String>| {
            crate::erased::write_step(f, field, have.as_deref(), want.as_deref())
        };
        match self {
            Self::Target(have, want) => {
                step("target", have.as_ref().map(ToString::to_string), Some(want.to_string()))
            }
            Self::Tool(have, want) => step("tool", have.clone(), Some(want.clone())),
            Self::Arg(name, have, want) => {
                step(&format!("args[{name}]"), have.as_ref().map(json), want.as_ref().map(json))
            }
            Self::SecurityContext(have, want) => {
                let text = |name: &String| (name != DEFAULT_CONTEXT).then(|| name.clone());
                step("securityContext", text(have), text(want))
            }
            Self::Strategy(have, want) => {
                let text = |strategy: &RolloutStrategy| (!spec::is_default(strategy)).then(|| json(strategy));
                step("strategy", text(have), text(want))
            }
            Self::HealthCheck(have, want) => {
                step("healthCheck", have.as_ref().map(json), want.as_ref().map(json))
            }
            Self::Rollback(have, want) => step("rollback", have.as_ref().map(json), want.as_ref().map(json)),
            Self::CatchUp(_) => f.write_str("catchUp"),
            Self::Delete => f.write_str("the rollout"),
        }
    }
}

impl Kind for Rollout {
    const NAME: &'static str = "Rollout";
    type Spec = RolloutSpec;
    type Observed = RolloutSpec;
    type Change = RolloutChange;
    type Edit = std::convert::Infallible;

    fn check(name: &str, spec: &RolloutSpec) -> Result<(), Refusal> {
        ObjectName::new(name).map_err(|error| Refusal::new(error.to_string()))?;
        check::check(spec)
    }

    fn edit(_: Option<&RolloutSpec>, edit: &Self::Edit) -> Result<RolloutSpec, Refusal> {
        match *edit {}
    }

    fn diff(want: Option<&RolloutSpec>, have: Option<&RolloutSpec>) -> Result<Vec<RolloutChange>, Refusal> {
        let Some(want) = want else {
            return Ok(have.map(|_| RolloutChange::Delete).into_iter().collect());
        };
        let mut steps = Vec::new();
        if have.is_none_or(|have| have.target != want.target) {
            steps.push(RolloutChange::Target(have.map(|h| h.target.clone()), want.target.clone()));
        }
        if have.is_none_or(|have| have.tool != want.tool) {
            steps.push(RolloutChange::Tool(have.map(|h| h.tool.clone()), want.tool.clone()));
        }
        let fresh = RolloutSpec::new(want.target.clone(), want.tool.as_str());
        let have = have.unwrap_or(&fresh);
        steps.extend(args(&want.args, &have.args));
        if have.security_context != want.security_context {
            let (have, want) = (have.security_context.clone(), want.security_context.clone());
            steps.push(RolloutChange::SecurityContext(have, want));
        }
        if have.strategy != want.strategy {
            steps.push(RolloutChange::Strategy(have.strategy.clone(), want.strategy.clone()));
        }
        if have.health_check != want.health_check {
            steps.push(RolloutChange::HealthCheck(have.health_check.clone(), want.health_check.clone()));
        }
        if have.rollback != want.rollback {
            steps.push(RolloutChange::Rollback(have.rollback.clone(), want.rollback.clone()));
        }
        if have.catch_up != want.catch_up {
            steps.push(RolloutChange::CatchUp(want.catch_up));
        }
        Ok(steps)
    }

    fn replay(have: Option<RolloutSpec>, change: &RolloutChange) -> Option<RolloutSpec> {
        if let RolloutChange::Delete = change {
            return None;
        }
        let mut spec = match (have, change) {
            (Some(have), _) => have,
            // The tool is the next step of a plan for a new rollout.
            (None, RolloutChange::Target(_, target)) => RolloutSpec::new(target.clone(), ""),
            // A plan for a new rollout begins with its target: there is nothing else without one.
            (None, _) => return None,
        };
        match change {
            RolloutChange::Target(_, target) => spec.target = target.clone(),
            RolloutChange::Tool(_, tool) => spec.tool.clone_from(tool),
            RolloutChange::Arg(name, _, Some(value)) => drop(spec.args.insert(name.clone(), value.clone())),
            RolloutChange::Arg(name, _, None) => drop(spec.args.remove(name)),
            RolloutChange::SecurityContext(_, context) => spec.security_context.clone_from(context),
            RolloutChange::Strategy(_, strategy) => spec.strategy = strategy.clone(),
            RolloutChange::HealthCheck(_, check) => spec.health_check.clone_from(check),
            RolloutChange::Rollback(_, rollback) => spec.rollback.clone_from(rollback),
            RolloutChange::CatchUp(catch_up) => spec.catch_up = *catch_up,
            RolloutChange::Delete => {}
        }
        Some(spec)
    }

    fn export(have: &RolloutSpec) -> RolloutSpec {
        have.clone()
    }

    fn bare(have: &RolloutSpec) -> RolloutSpec {
        RolloutSpec::new(have.target.clone(), have.tool.as_str())
    }

    fn declares(spec: &RolloutSpec) -> Vec<Element> {
        let mut elements = vec![Element::field("target"), Element::field("tool")];
        elements.extend(spec.args.keys().map(|name| Element::entry("args", name)));
        let set = [
            ("securityContext", spec.security_context != DEFAULT_CONTEXT),
            ("strategy", !spec::is_default(&spec.strategy)),
            ("healthCheck", spec.health_check.is_some()),
            ("rollback", spec.rollback.is_some()),
            ("catchUp", spec.catch_up),
        ];
        elements
            .extend(set.into_iter().filter(|(_, is_set)| *is_set).map(|(field, _)| Element::field(field)));
        elements
    }

    fn touches(change: &RolloutChange) -> Option<(Element, Effect)> {
        let field = |name, is_set| Some((Element::field(name), effect(is_set)));
        match change {
            RolloutChange::Target(..) => field("target", true),
            RolloutChange::Tool(..) => field("tool", true),
            RolloutChange::Arg(name, _, want) => Some((Element::entry("args", name), effect(want.is_some()))),
            RolloutChange::SecurityContext(_, want) => field("securityContext", want != DEFAULT_CONTEXT),
            RolloutChange::Strategy(_, want) => field("strategy", !spec::is_default(want)),
            RolloutChange::HealthCheck(_, want) => field("healthCheck", want.is_some()),
            RolloutChange::Rollback(_, want) => field("rollback", want.is_some()),
            RolloutChange::CatchUp(want) => field("catchUp", *want),
            RolloutChange::Delete => None,
        }
    }

    fn references(spec: &RolloutSpec) -> Vec<Reference> {
        let reference = |kind, name: &str, field: &str| Reference {
            kind,
            name: name.to_owned(),
            field: field.to_owned(),
        };
        let mut references = Vec::new();
        match &spec.target {
            Target::Group(group) => references.push(reference(EdgeGroup::NAME, group, "target")),
            Target::Node(node) => references.push(reference(EdgeNode::NAME, node, "target")),
            Target::All | Target::Selector(_) => {}
        }
        // Every host has the default context, also when nobody declares it.
        if spec.security_context != DEFAULT_CONTEXT {
            references.push(reference(SecurityContext::NAME, &spec.security_context, "securityContext"));
        }
        references
    }

    fn resolve(mut spec: RolloutSpec, resolve: &dyn Fn(&Reference) -> Option<String>) -> RolloutSpec {
        let named = Self::references(&spec).into_iter().find(|reference| reference.kind == EdgeNode::NAME);
        if let Some(node) = named.filter(|node| NodeId::new(node.name.as_str()).is_err())
            && let Some(id) = resolve(&node)
        {
            spec.target = Target::Node(id);
        }
        spec
    }
}

const fn effect(is_set: bool) -> Effect {
    if is_set { Effect::Set } else { Effect::Remove }
}

/// The steps between two maps of arguments, by name.
fn args(want: &Map<String, Value>, have: &Map<String, Value>) -> Vec<RolloutChange> {
    let changed = want.iter().filter(|(name, value)| have.get(*name) != Some(value));
    let set = changed
        .map(|(name, value)| RolloutChange::Arg(name.clone(), have.get(name).cloned(), Some(value.clone())));
    let gone = have.iter().filter(|(name, _)| !want.contains_key(*name));
    let unset = gone.map(|(name, value)| RolloutChange::Arg(name.clone(), Some(value.clone()), None));
    set.chain(unset).collect()
}
