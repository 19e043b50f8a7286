//! Hello: whose stream this is, and whether it may be. Nothing of it is believed before the envelope is verified.

use std::net::SocketAddr;

use aegis_core::{
    NodeId,
    session::{EndReason, Inbound, Outbound},
};
use aegis_store::Batch;
use aegis_wire::{
    ApiError, Unverified,
    edge::{Command, Event},
    envelope::{OpenError, open},
    token::NodeClaims,
};

use crate::{
    nodes::{self, Node},
    runs::Carried,
    session::{AssignedTold, ContextsTold, End, Link, revoked, update_capabilities},
    state::Controller,
};

/// A stream that may live.
pub(crate) struct Greeted {
    pub link: Link,
    pub welcome: Command,
}

/// Checks the first envelope of a stream and connects the node.
pub(crate) async fn greet(
    controller: &Controller,
    peer: SocketAddr,
    first: Unverified,
) -> Result<Greeted, End> {
    let claimed = first.sender().to_owned();
    let result = check(controller, first);
    if let Err(end) = &result {
        // Who it says to be is no more than that, and it may be any text.
        let claimed: String = claimed.chars().filter(char::is_ascii_graphic).take(64).collect();
        let action = if matches!(end, End::Envelope(_)) { "envelope" } else { "connect" };
        let detail = format!("{end} (from {}, not verified)", peer.ip());
        controller.audit_refusal(controller.event("", "", action, &claimed, &detail));
    }
    let checked = result?;
    connect(controller, peer, checked).await
}

struct Checked {
    node: Node,
    inbound: Inbound,
    token_ends: i64,
    capabilities: aegis_wire::edge::Capabilities,
}

fn check(controller: &Controller, first: Unverified) -> Result<Checked, End> {
    let id = NodeId::new(first.sender()).map_err(|_| End::NotAccepted("the sender is no node id"))?;
    let (node, _) = nodes::get(&*controller.store, &id)?.ok_or(End::NotAccepted("there is no such node"))?;
    let stream = first.stream().to_owned();
    let mut inbound = Inbound::new(id.as_str(), stream.as_str());
    let opened = open::<Event>(first, &node.public_key, &mut inbound, controller.clock.now_ms());
    let body = match opened {
        Ok(verified) => verified.body,
        // Not this node's key: it isn't told whether there is such a node.
        Err(OpenError::BadSignature) => return Err(End::NotAccepted("the envelope's signature doesn't fit")),
        Err(error) => return Err(End::Envelope(error)),
    };
    let Event::Hello { node_token, capabilities } = body else {
        return Err(End::Reason(EndReason::HelloNotFirst));
    };
    if !controller.is_new_stream(&id, &stream) {
        return Err(End::Envelope(OpenError::Rejected(aegis_core::session::Rejection::Stream)));
    }
    if node.is_revoked() {
        return Err(End::Refused(revoked()));
    }
    let claims =
        NodeClaims::verify(&node_token, &controller.keys, controller.now_seconds()).map_err(|error| {
            let refusal = ApiError::unauthenticated(error.to_string()).reason(error.reason());
            End::Refused(refusal.hint("aegis edge enroll TOKEN"))
        })?;
    if let Some(rule) = controller.broken_rule(&claims, &node)? {
        return Err(End::NotAccepted(rule));
    }
    Ok(Checked { node, inbound, token_ends: claims.exp, capabilities })
}

async fn connect(controller: &Controller, peer: SocketAddr, checked: Checked) -> Result<Greeted, End> {
    let Checked { node, inbound, token_ends, capabilities } = checked;
    update_capabilities(controller, &node.id, &capabilities).await?;
    // From here on the route hears of everything; what happened before is in the store.
    let route = controller.bus.register(&node.id);
    let now_ms = controller.clock.now_ms();
    let presence = controller.live.connect(&node.id, route.generation(), now_ms, controller.uptime());
    let drain = nodes::declared(&*controller.store, &node)?;
    let standing = nodes::get(&*controller.store, &node.id)?;

    let (id, tenant) = (node.id.as_str(), node.tenant.as_str());
    let mut batch = Batch { lazy: true, quiet: true, ..Batch::default() };
    presence.put(&mut batch, &node.id);
    let event = controller.event(id, tenant, "connect", id, &format!("from {}", peer.ip()));
    controller.audit_coming(&mut batch, &node.id, event);
    controller.store.commit(batch).detach();
    tracing::info!(node = id, %peer, "connected");
    controller.rollouts.joined();

    let link = Link {
        node: node.id.clone(),
        tenant: node.tenant.clone(),
        key: node.public_key,
        inbound,
        outbound: Outbound::default(),
        route,
        token_ends,
        old_key_ends: None,
        drain: drain.drain.unwrap_or(false),
        drain_told: 0,
        contexts: ContextsTold::default(),
        assigned: AssignedTold::default(),
        carried: Carried::default(),
    };
    if standing.as_ref().is_none_or(|(node, _)| node.is_revoked()) {
        // Revoked between the check and the registration, when nobody could tell this stream.
        controller.live.disconnect(&link.node, link.route.generation(), now_ms);
        return Err(End::Refused(revoked()));
    }
    if standing.is_some_and(|(node, _)| node.public_key != link.key) {
        controller.live.disconnect(&link.node, link.route.generation(), now_ms);
        return Err(End::NotAccepted("the node has another key since a moment ago"));
    }
    let welcome = Command::Welcome {
        name: node.name,
        tags: drain.tags.iter().map(ToString::to_string).collect(),
        drain: link.drain,
    };
    Ok(Greeted { link, welcome })
}
