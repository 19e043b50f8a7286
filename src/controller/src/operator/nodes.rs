//! Nodes: listed, revoked, told to end.

use aegis_kinds::EdgeNodeSpec;
use aegis_store::{Batch, NotRouted};
use aegis_wire::{
    ApiError,
    operator::{ListNodes, Node as View, NodeStatus, ShutdownNode},
};

use super::{Reply, auth::Caller};
use crate::{
    clock::{optional_time, time},
    enrollment::Spent,
    failed, keyspace,
    live::Presence,
    nodes::{self, Node, Standing, json},
    state::{Controller, Order},
    tokens::REMEMBER_REVOKED,
};

pub(super) fn list(controller: &Controller, caller: &Caller, which: &ListNodes) -> Reply<Vec<View>> {
    let nodes = nodes::of_tenant(&*controller.store, &caller.tenant).map_err(failed)?;
    let declared = nodes::all_declared(&*controller.store, &caller.tenant).map_err(failed)?;
    let views = nodes.into_iter().map(|node| {
        let spec = declared.get(node.id.as_str());
        view(controller, node, spec)
    });
    Ok(views.filter(|node| is_wanted(node, which)).collect())
}

fn is_wanted(node: &View, which: &ListNodes) -> bool {
    which.tags.iter().all(|tag| node.tags.contains(tag))
        && which.labels.iter().all(|(key, value)| node.labels.get(key) == Some(value))
        && (!which.connected || node.connected)
}

/// How a node is.
pub(super) fn status(is_revoked: bool, presence: &Presence, declared: Option<&EdgeNodeSpec>) -> NodeStatus {
    let drains = presence.draining || declared.is_some_and(|spec| spec.drain == Some(true));
    match (is_revoked, presence.connected) {
        (true, _) => NodeStatus::Revoked,
        (false, false) => NodeStatus::Disconnected,
        (false, true) if drains => NodeStatus::Draining,
        (false, true) => NodeStatus::Connected,
    }
}

/// A node as listings show it.
pub(super) fn view(controller: &Controller, node: Node, declared: Option<&EdgeNodeSpec>) -> View {
    let presence = controller.live.get(&node.id, controller.uptime());
    let connected = presence.connected && !node.is_revoked();
    let status = status(node.is_revoked(), &presence, declared);
    let since_ms = match (node.revoked_at_ms, presence.since_ms) {
        (0, 0) => node.enrolled_at_ms,
        (0, since) => since,
        (revoked, _) => revoked,
    };
    View {
        name: node.name,
        status,
        connected,
        os: node.capabilities.os,
        arch: node.capabilities.arch,
        tags: declared.map_or_else(Vec::new, |spec| spec.tags.iter().map(ToString::to_string).collect()),
        labels: node.capabilities.labels,
        since: time(since_ms),
        last_heartbeat_at: optional_time(presence.heartbeat_ms),
        enrolled_at: time(node.enrolled_at_ms),
        local_tools: node.capabilities.local_tools,
        display_name: declared.and_then(|spec| spec.display_name.clone()),
        tenant: node.tenant,
        version: node.capabilities.version,
        key_fingerprint: node.public_key.fingerprint(),
        hostname: node.capabilities.hostname,
        draining: presence.connected && presence.draining,
        node_id: node.id,
    }
}

pub(super) fn view_one(controller: &Controller, node: Node) -> Reply<View> {
    let declared = nodes::declared(&*controller.store, &node).map_err(failed)?;
    Ok(view(controller, node, Some(&declared)))
}

/// Turns a node out for good. Its stream ends at once; said again, nothing happens.
pub(super) async fn revoke(controller: &Controller, caller: &Caller, reference: &str) -> Reply<View> {
    let found = nodes::find(&*controller.store, &caller.tenant, reference)?;
    let now_ms = controller.clock.now_ms();
    let change = |node: &mut Node| {
        if node.is_revoked() || node.tenant != caller.tenant {
            return false;
        }
        node.standing = Standing::Revoked;
        node.revoked_at_ms = now_ms;
        true
    };
    let also = |node: &Node, batch: &mut Batch| {
        let spent = Spent { node: node.id.clone(), ends: now_ms.div_euclid(1000) + REMEMBER_REVOKED };
        batch.put(keyspace::jti(&node.jti), json(&spent));
        // Its name is free for the host's next identity, and it is still found by it.
        if node.labelled {
            batch.delete(keyspace::label(&node.tenant, &node.name));
        }
        let detail = format!("name {}", node.name);
        let event =
            controller.event(&caller.subject, caller.tenant.as_str(), "revoke", node.id.as_str(), &detail);
        controller.audit(batch, event);
    };
    let updated = nodes::update(&*controller.store, &found.id, change, also).await.map_err(failed)?;
    controller.bus.evict(&found.id);
    view_one(controller, updated.unwrap_or(found))
}

/// Tells a daemon to end. Nothing is queued for one that is away.
pub(super) async fn shutdown(controller: &Controller, caller: &Caller, which: ShutdownNode) -> Reply<View> {
    let node = nodes::find(&*controller.store, &caller.tenant, &which.node)?;
    let reason = which.reason.into_boxed_str();
    controller.bus.send(&node.id, Order::Shutdown(reason.clone())).map_err(|error| {
        let message = match error {
            NotRouted::Absent => format!("node '{}' is not connected", which.node),
            NotRouted::Congested => format!("node '{}' takes no orders at the moment", which.node),
        };
        ApiError::unavailable(message).hint("aegis edge ls --connected")
    })?;
    let tenant = caller.tenant.as_str();
    let event = controller.event(&caller.subject, tenant, "shutdown", node.id.as_str(), &reason);
    // What an operator is told was done is on the disk.
    let mut batch = Batch { quiet: true, ..Batch::default() };
    controller.audit(&mut batch, event);
    controller.store.commit(batch).await.map_err(failed)?;
    view_one(controller, node)
}
