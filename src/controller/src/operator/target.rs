//! Which nodes a target means, and which of them could be dispatched to.

use std::collections::{BTreeMap, BTreeSet};

use aegis_core::{
    NodeId, ObjectKey, TenantId,
    selector::{Facts, Target},
};
use aegis_kinds::{EdgeGroupSpec, EdgeNodeSpec};
use aegis_store::{Order, StoreError};
use aegis_wire::{
    ApiError,
    operator::{NodeStatus, Resolution, RunTarget, SkipReason, Skipped},
};
use serde::Deserialize;

use super::{
    Reply,
    auth::Caller,
    nodes::{status, view},
};
use crate::{
    failed, keyspace,
    nodes::{self, Standing, read},
    state::Controller,
};

/// What of a stored node matters here. To read its key as well would take longer than all the rest.
#[derive(Deserialize)]
struct Known {
    id: NodeId,
    tenant: TenantId,
    name: String,
    standing: Standing,
    capabilities: Traits,
    #[serde(skip)]
    declared: EdgeNodeSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Traits {
    os: String,
    arch: String,
    local_tools: Vec<String>,
    labels: BTreeMap<String, String>,
}

impl Facts for Known {
    fn os(&self) -> &str {
        &self.capabilities.os
    }
    fn arch(&self) -> &str {
        &self.capabilities.arch
    }
    fn has_tool(&self, tool: &str) -> bool {
        self.capabilities.local_tools.iter().any(|have| have == tool)
    }
    fn label(&self, key: &str) -> Option<&str> {
        self.capabilities.labels.get(key).map(String::as_str)
    }
    fn has_tag(&self, tag: &str) -> bool {
        self.declared.tags.iter().any(|have| have.as_str() == tag)
    }
}

/// The hosts that a run is about, in the order of the ids.
#[derive(Debug, Default)]
pub(crate) struct Meant {
    /// Those that can be dispatched to.
    pub targets: Vec<RunTarget>,
    pub skipped: Vec<Skipped>,
}

/// A stored group; its labels and owners don't matter here.
#[derive(Deserialize)]
struct Body {
    spec: EdgeGroupSpec,
}

pub(super) fn resolve(controller: &Controller, caller: &Caller, text: &str) -> Reply<Resolution> {
    members(controller, &caller.tenant, &parse(text)?)
}

/// The hosts that an expression means, for a run.
pub(super) fn meant(controller: &Controller, caller: &Caller, text: &str) -> Reply<Meant> {
    let mut meant = Meant::default();
    for known in Resolver::of(controller, &caller.tenant, &parse(text)?)? {
        match known.skip_reason(controller) {
            None => meant.targets.push(RunTarget { node_id: known.id, name: known.name }),
            Some(reason) => meant.skipped.push(known.skipped(reason)),
        }
    }
    Ok(meant)
}

/// The tenant's nodes that the target means, in the order of the ids: those that are there, and the rest with its reason.
pub(crate) fn members(controller: &Controller, tenant: &TenantId, target: &Target) -> Reply<Resolution> {
    let mut resolution = Resolution::default();
    for known in Resolver::of(controller, tenant, target)? {
        if let Some(reason) = known.skip_reason(controller) {
            resolution.skipped.push(known.skipped(reason));
        } else if let Some((node, _)) = nodes::get(&*controller.store, &known.id).map_err(failed)? {
            resolution.nodes.push(view(controller, node, Some(&known.declared)));
        }
    }
    Ok(resolution)
}

/// The tenant's nodes that the target means, id and name, whether they are there or not; revoked ones aren't any more.
pub(crate) fn all_meant(
    controller: &Controller,
    tenant: &TenantId,
    target: &Target,
) -> Reply<Vec<(NodeId, String)>> {
    let meant = Resolver::of(controller, tenant, target)?;
    let meant = meant.filter(|known| known.standing != Standing::Revoked);
    Ok(meant.map(|known| (known.id, known.name)).collect())
}

/// Whether the target means this one node of the tenant. It looks at no other, so that ten thousand can ask. What the target
/// names and isn't there means nobody.
pub(crate) fn is_meant(
    controller: &Controller,
    tenant: &TenantId,
    target: &Target,
    node: &NodeId,
) -> Reply<bool> {
    let store = &*controller.store;
    let key = keyspace::node(node);
    let Some(entry) = store.get(&key).map_err(failed)? else { return Ok(false) };
    let mut known: Known = read(&key, &entry.value).map_err(failed)?;
    let Some((record, _)) = nodes::get(store, node).map_err(failed)? else { return Ok(false) };
    if known.tenant != *tenant || known.standing == Standing::Revoked {
        return Ok(false);
    }
    known.declared = nodes::declared(store, &record).map_err(failed)?;
    let names = |reference: &str| reference == node.as_str() || is_found(controller, tenant, reference, node);
    let (mut waiting, mut groups) = (vec![target.clone()], BTreeSet::new());
    while let Some(target) = waiting.pop() {
        let is_in = match target {
            Target::All => true,
            Target::Selector(selector) => selector.matches(&known),
            Target::Node(reference) => names(&reference),
            Target::Group(name) if groups.insert(name.clone()) => match group_of(controller, tenant, &name) {
                Ok(group) => {
                    let is_pinned = group.pinned.iter().any(|pin| names(pin));
                    waiting.push(group.selector);
                    is_pinned
                }
                Err(error) if error.code == aegis_wire::Code::NotFound => false,
                Err(error) => return Err(error),
            },
            Target::Group(_) => false,
        };
        if is_in {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a name or a prefix of an id leads to this node.
fn is_found(controller: &Controller, tenant: &TenantId, reference: &str, node: &NodeId) -> bool {
    nodes::find(&*controller.store, tenant, reference).is_ok_and(|found| found.id == *node)
}

fn parse(text: &str) -> Reply<Target> {
    text.parse().map_err(|error: aegis_core::selector::ParseError| {
        let message = format!("{}\n{}", error.message, error.caret(text));
        let invalid = ApiError::invalid(message);
        match error.help {
            Some(help) => invalid.hint(help),
            None => invalid,
        }
    })
}

impl Known {
    /// Why it can't be dispatched to, if it can't.
    fn skip_reason(&self, controller: &Controller) -> Option<SkipReason> {
        let presence = controller.live.get(&self.id, controller.uptime());
        let is_revoked = self.standing == Standing::Revoked;
        match status(is_revoked, &presence, Some(&self.declared)) {
            NodeStatus::Connected => None,
            NodeStatus::Disconnected => Some(SkipReason::Disconnected),
            NodeStatus::Draining => Some(SkipReason::Draining),
            NodeStatus::Revoked => Some(SkipReason::Revoked),
        }
    }

    fn skipped(self, reason: SkipReason) -> Skipped {
        Skipped { node_id: self.id, name: self.name, reason }
    }
}

/// Collects the nodes of a target and of the groups that it leads to.
struct Resolver<'a> {
    controller: &'a Controller,
    tenant: &'a TenantId,
    nodes: BTreeMap<String, Known>,
    chosen: BTreeSet<String>,
    /// Groups that were looked at: one that leads back to itself ends there.
    groups: BTreeSet<String>,
}

impl<'a> Resolver<'a> {
    /// What the target means, in the order of the ids.
    fn of(
        controller: &'a Controller,
        tenant: &'a TenantId,
        target: &Target,
    ) -> Reply<impl Iterator<Item = Known> + use<>> {
        let mut resolver = Self {
            controller,
            tenant,
            nodes: known(controller, tenant).map_err(failed)?,
            chosen: BTreeSet::new(),
            groups: BTreeSet::new(),
        };
        resolver.add(target)?;
        let Self { mut nodes, chosen, .. } = resolver;
        Ok(chosen.into_iter().filter_map(move |id| nodes.remove(&id)))
    }

    /// Chooses by what hosts are. A revoked one is none any more, unless it is named.
    fn choose(&mut self, is_meant: impl Fn(&Known) -> bool) {
        let meant =
            self.nodes.iter().filter(|(_, node)| node.standing != Standing::Revoked && is_meant(node));
        self.chosen.extend(meant.map(|(id, _)| id.clone()));
    }

    fn add(&mut self, target: &Target) -> Reply<()> {
        let mut waiting = vec![target.clone()];
        while let Some(target) = waiting.pop() {
            match target {
                Target::All => self.choose(|_| true),
                Target::Selector(selector) => {
                    self.choose(|node| selector.matches(node));
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
        group_of(self.controller, self.tenant, name)
    }
}

fn group_of(controller: &Controller, tenant: &TenantId, name: &str) -> Reply<EdgeGroupSpec> {
    let key = keyspace::object(tenant, &ObjectKey::new("EdgeGroup", name));
    let entry = controller.store.get(&key).map_err(failed)?;
    let entry = entry.ok_or_else(|| {
        ApiError::not_found(format!("EdgeGroup/{name} not found")).hint("aegis edge group ls")
    })?;
    Ok(read::<Body>(&key, &entry.value).map_err(failed)?.spec)
}

/// Every node of the tenant.
fn known(controller: &Controller, tenant: &TenantId) -> Result<BTreeMap<String, Known>, StoreError> {
    let mut declared = nodes::all_declared(&*controller.store, tenant)?;
    let (mut nodes, mut damaged) = (BTreeMap::new(), None);
    controller.store.scan(keyspace::NODES, Order::Rising, &mut |key, value, _| {
        match read::<Known>(key, value) {
            Ok(mut node) if node.tenant == *tenant => {
                node.declared = declared.remove(node.id.as_str()).unwrap_or_default();
                nodes.insert(node.id.to_string(), node);
            }
            Ok(_) => {}
            Err(error) => damaged = Some(error),
        }
        damaged.is_none()
    })?;
    damaged.map_or(Ok(nodes), Err)
}
