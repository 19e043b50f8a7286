//! Which nodes a target means, and which of them could be dispatched to.

use std::collections::{BTreeMap, BTreeSet};

use aegis_core::{
    ObjectKey, TenantId,
    selector::{Facts, Target},
};
use aegis_kinds::EdgeGroupSpec;
use aegis_wire::{
    ApiError,
    operator::{Node, NodeStatus, Resolution, SkipReason, Skipped},
};
use serde::Deserialize;

use super::{Reply, auth::Caller, nodes::view};
use crate::{
    failed, keyspace,
    nodes::{self, read},
    state::Controller,
};

/// A node's side of a selector.
struct Known<'a>(&'a Node);

impl Facts for Known<'_> {
    fn os(&self) -> &str {
        &self.0.os
    }
    fn arch(&self) -> &str {
        &self.0.arch
    }
    fn has_tool(&self, tool: &str) -> bool {
        self.0.local_tools.iter().any(|have| have == tool)
    }
    fn label(&self, key: &str) -> Option<&str> {
        self.0.labels.get(key).map(String::as_str)
    }
    fn has_tag(&self, tag: &str) -> bool {
        self.0.tags.iter().any(|have| have == tag)
    }
}

/// A stored group; its labels and owners don't matter here.
#[derive(Deserialize)]
struct Body {
    spec: EdgeGroupSpec,
}

pub(super) fn resolve(controller: &Controller, caller: &Caller, text: &str) -> Reply<Resolution> {
    let target: Target = text.parse().map_err(|error: aegis_core::selector::ParseError| {
        let message = format!("{}\n{}", error.message, error.caret(text));
        let invalid = ApiError::invalid(message);
        match error.help {
            Some(help) => invalid.hint(help),
            None => invalid,
        }
    })?;
    let mut resolver = Resolver::new(controller, &caller.tenant)?;
    resolver.add(&target)?;
    Ok(resolver.finish())
}

/// Collects the nodes of a target and of the groups that it leads to.
struct Resolver<'a> {
    controller: &'a Controller,
    tenant: &'a TenantId,
    nodes: BTreeMap<String, Node>,
    chosen: BTreeSet<String>,
    /// Groups that were looked at: one that leads back to itself ends there.
    groups: BTreeSet<String>,
}

impl<'a> Resolver<'a> {
    fn new(controller: &'a Controller, tenant: &'a TenantId) -> Reply<Self> {
        let declared = nodes::all_declared(&*controller.store, tenant).map_err(failed)?;
        let nodes = nodes::of_tenant(&*controller.store, tenant).map_err(failed)?.into_iter().map(|node| {
            let spec = declared.get(node.id.as_str());
            (node.id.to_string(), view(controller, node, spec))
        });
        Ok(Self {
            controller,
            tenant,
            nodes: nodes.collect(),
            chosen: BTreeSet::new(),
            groups: BTreeSet::new(),
        })
    }

    fn add(&mut self, target: &Target) -> Reply<()> {
        let mut waiting = vec![target.clone()];
        while let Some(target) = waiting.pop() {
            match target {
                Target::All => self.chosen.extend(self.nodes.keys().cloned()),
                Target::Selector(selector) => {
                    let matching = self.nodes.iter().filter(|(_, node)| selector.matches(&Known(node)));
                    self.chosen.extend(matching.map(|(id, _)| id.clone()));
                }
                Target::Node(reference) => {
                    let node = nodes::find(&*self.controller.store, self.tenant, &reference)?;
                    self.chosen.insert(node.id.to_string());
                }
                Target::Group(name) => {
                    if self.groups.insert(name.clone()) {
                        let group = self.group(&name)?;
                        self.pin(&group)?;
                        waiting.push(group.selector);
                    }
                }
            }
        }
        Ok(())
    }

    /// A pin is an id or a name. One that names nobody in this tenant is passed over: a group may outlive a host.
    fn pin(&mut self, group: &EdgeGroupSpec) -> Reply<()> {
        for pin in &group.pinned {
            match nodes::find(&*self.controller.store, self.tenant, pin) {
                Ok(node) => drop(self.chosen.insert(node.id.to_string())),
                Err(error) if error.code == aegis_wire::Code::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn group(&self, name: &str) -> Reply<EdgeGroupSpec> {
        let key = keyspace::object(self.tenant, &ObjectKey::new("EdgeGroup", name));
        let entry = self.controller.store.get(&key).map_err(failed)?;
        let entry = entry.ok_or_else(|| {
            ApiError::not_found(format!("EdgeGroup/{name} not found")).hint("aegis edge group ls")
        })?;
        Ok(read::<Body>(&key, &entry.value).map_err(failed)?.spec)
    }

    /// In the order of the ids: those that are there, and the rest with its reason.
    fn finish(mut self) -> Resolution {
        let mut resolution = Resolution::default();
        for id in &self.chosen {
            let Some(node) = self.nodes.remove(id) else { continue };
            let reason = match node.status {
                NodeStatus::Connected => {
                    resolution.nodes.push(node);
                    continue;
                }
                NodeStatus::Disconnected => SkipReason::Disconnected,
                NodeStatus::Draining => SkipReason::Draining,
                NodeStatus::Revoked => SkipReason::Revoked,
            };
            resolution.skipped.push(Skipped { node_id: node.node_id, name: node.name, reason });
        }
        resolution
    }
}
