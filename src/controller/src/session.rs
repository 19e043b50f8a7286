//! One daemon's stream. It is driven by being polled for the next command, so it needs neither a task nor a timer of
//! its own: with ten thousand of them that is what counts.

mod commands;
mod end;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use aegis_core::{
    NodeId, TenantId,
    session::{EndReason, HELLO_WITHIN, Inbound, NodeStream, Outbound, StreamInput, StreamState},
};
use aegis_store::{Batch, Call, Registration};
use aegis_wire::{
    ApiError, Envelope, PublicKey, Unverified,
    edge::{Capabilities, Command, Event},
    envelope::{Route, seal},
};
use futures::{Stream, StreamExt};
use tokio::time::Instant;

use crate::{
    assignments,
    greeting::{self, Greeted},
    nodes,
    runs::{Carried, TooMuch},
    state::{Controller, Order},
};

pub(crate) use end::{End, not_accepted, revoked};

/// A stream, from its opening to its end.
pub(crate) struct Session<S> {
    controller: Arc<Controller>,
    peer: SocketAddr,
    incoming: S,
    machine: NodeStream,
    outbox: VecDeque<Envelope>,
    /// There once Hello was accepted.
    link: Option<Link>,
    ended: bool,
}

/// The verified part of a stream.
pub(crate) struct Link {
    pub node: NodeId,
    pub tenant: TenantId,
    pub key: PublicKey,
    pub inbound: Inbound,
    pub outbound: Outbound,
    pub route: Registration<Order>,
    /// When the node token ends, in seconds since 1970. A stream doesn't outlive it.
    pub token_ends: i64,
    /// When the key isn't good any more, since the controller's start; there once the node has another.
    pub old_key_ends: Option<Duration>,
    /// What the daemon was told last.
    pub drain: bool,
    /// The sequence of the command that told it; 0: its welcome did.
    pub drain_told: u64,
    /// The security contexts that the daemon knows.
    pub contexts: ContextsTold,
    /// What the daemon knows of what its host shall have.
    pub assigned: AssignedTold,
    /// The commands that it has.
    pub carried: Carried,
}

/// Which assignment a daemon was told of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AssignedTold {
    /// At which generation it was compared last.
    pub seen: Option<u64>,
    /// What it was told; none: nothing on this stream.
    pub digest: Option<[u8; 32]>,
}

/// Which security contexts a daemon was told of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ContextsTold {
    /// At which generation they were compared last.
    pub seen: Option<u64>,
    /// Their revision; 0: none were ever pushed on this stream.
    pub revision: u64,
}

enum Step {
    Order(Option<Call<Order>>),
    Event(Option<Result<Unverified, ApiError>>),
}

impl<S: Stream<Item = Result<Unverified, ApiError>> + Send + Unpin> Session<S> {
    pub fn new(controller: Arc<Controller>, peer: SocketAddr, incoming: S) -> Self {
        let machine = NodeStream::new(controller.uptime());
        Self { controller, peer, incoming, machine, outbox: VecDeque::new(), link: None, ended: false }
    }

    /// The commands for the daemon. The last item of a stream that the controller ends is the reason.
    pub fn into_commands(self) -> impl Stream<Item = Result<Envelope, ApiError>> + Send {
        futures::stream::unfold(self, |mut session| async move {
            let command = session.next().await?;
            Some((command, session))
        })
    }

    async fn next(&mut self) -> Option<Result<Envelope, ApiError>> {
        loop {
            if let Some(envelope) = self.outbox.pop_front() {
                return Some(Ok(envelope));
            }
            if self.ended {
                return None;
            }
            // What rarely runs is boxed: its state would otherwise lie in every stream for ever.
            let result = if self.link.is_none() { Box::pin(self.greet()).await } else { self.step().await };
            if let Err(end) = result {
                self.ended = true;
                self.leave(&end);
                return end.into_error().map(Err);
            }
        }
    }

    /// Waits for Hello and answers it.
    async fn greet(&mut self) -> Result<(), End> {
        let first = match tokio::time::timeout(HELLO_WITHIN, self.incoming.next()).await {
            Err(_) => return Err(End::Reason(EndReason::NoHello)),
            Ok(None) => return Err(End::Reason(EndReason::Closed)),
            Ok(Some(Err(error))) => return Err(End::Gone(error.message)),
            Ok(Some(Ok(first))) => first,
        };
        let Greeted { link, welcome } = greeting::greet(&self.controller, self.peer, first).await?;
        let link = self.link.insert(link);
        self.outbox.push_back(link.seal(&self.controller, &welcome)?);
        self.push_contexts()?;
        self.push_assignment()?;
        self.advance(StreamInput::Hello)
    }

    /// Waits for the next thing to happen and deals with it.
    async fn step(&mut self) -> Result<(), End> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let step = tokio::select! {
            biased;
            order = link.route.next() => Step::Order(order),
            event = self.incoming.next() => Step::Event(event),
        };
        if link.old_key_ends.is_some_and(|ends| self.controller.uptime() >= ends) {
            return Err(End::Rotated);
        }
        match step {
            Step::Order(order) => self.obey(order),
            Step::Event(None) => Err(End::Reason(EndReason::Closed)),
            Step::Event(Some(Err(error))) => Err(End::Gone(error.message)),
            Step::Event(Some(Ok(unverified))) => self.hear(unverified).await,
        }?;
        self.look()
    }

    fn obey(&mut self, order: Option<Call<Order>>) -> Result<(), End> {
        let Some(link) = &mut self.link else { return Ok(()) };
        match order {
            Some(Call::Message(Order::Tick)) => self.advance(StreamInput::Tick),
            Some(Call::Message(Order::Stopping)) => self.advance(StreamInput::Stopping),
            Some(Call::Message(Order::Invoke(ticket))) => self.invoke(ticket),
            // The commands that it has are looked at after every step.
            Some(Call::Poke) => {
                self.push_contexts()?;
                self.push_assignment()
            }
            Some(Call::Message(Order::Shutdown(reason))) => {
                let command = Command::Shutdown { reason: reason.into() };
                self.outbox.push_back(link.seal(&self.controller, &command)?);
                Ok(())
            }
            Some(Call::Message(Order::Refresh)) => {
                let Some((node, _)) = nodes::get(&*self.controller.store, &link.node)? else { return Ok(()) };
                link.note_rotation(&self.controller, &node);
                let drain = nodes::declared(&*self.controller.store, &node)?.drain.unwrap_or(false);
                if drain != link.drain {
                    link.drain = drain;
                    self.outbox.push_back(link.seal(&self.controller, &Command::Drain { enabled: drain })?);
                    link.drain_told = link.outbound.last_sequence();
                }
                Ok(())
            }
            None => {
                let node = nodes::get(&*self.controller.store, &link.node)?;
                let revoked = node.is_none_or(|(node, _)| node.is_revoked());
                self.advance(if revoked { StreamInput::Revoked } else { StreamInput::Replaced })
            }
        }
    }

    async fn hear(&mut self, unverified: Unverified) -> Result<(), End> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let attested = self.controller.verifier.check(unverified, link.key.clone()).await?;
        let now_ms = self.controller.clock.now_ms();
        let event = attested.open::<Event>(&mut link.inbound, now_ms).map_err(End::Envelope)?.body;
        if now_ms.div_euclid(1000) >= link.token_ends {
            return Err(if link.old_key_ends.is_some() { End::Rotated } else { End::TokenEnded });
        }
        let heard = self.controller.uptime();
        self.controller.live.hear(&link.node, heard);
        let answer = match event {
            Event::Hello { .. } => return self.advance(StreamInput::Hello),
            Event::Heartbeat { draining, .. } => {
                self.controller.live.heartbeat(&link.node, now_ms, draining);
                Some(Command::HeartbeatAck)
            }
            Event::CapabilityUpdate(capabilities) => {
                Box::pin(update_capabilities(&self.controller, &link.node, &capabilities)).await?;
                // A target may mean the host since, or no more.
                link.assigned.seen = None;
                self.push_assignment()?;
                return self.advance(StreamInput::Event);
            }
            Event::Ack { sequence } => {
                tracing::debug!(node = %link.node, sequence, "acknowledged");
                if link.drain_told == sequence {
                    self.controller.live.drains(&link.node, link.drain);
                }
                None
            }
            Event::CommandResult(result) => {
                if let Some(waiting) = self.take_result(result) {
                    Box::pin(self.take_large_result(waiting)).await;
                }
                None
            }
            Event::CommandProgress { command, stderr, data } => {
                let time = self.controller.clock.now();
                link.carried.hear(&command, stderr, data, time).map_err(|TooMuch(id)| End::TooMuch(id))?;
                None
            }
            Event::ReportResult { revision, objects } => {
                let whose = (&link.tenant, &link.node);
                Box::pin(assignments::take_report(&self.controller, whose, revision, objects)).await?;
                None
            }
            Event::TokenRequest => {
                let node = nodes::get(&*self.controller.store, &link.node)?.map(|(node, _)| node);
                let Some(node) = node.filter(|node| !node.is_revoked()) else {
                    return self.advance(StreamInput::Revoked);
                };
                // A token for the node's new key is got with that key only, and there is none for the old one any more.
                if node.public_key == link.key {
                    let minted = self.controller.mint_node_token(&node);
                    let minted = minted.map_err(|error| End::Failed(error.to_string()))?;
                    link.token_ends = minted.claims.exp;
                    Some(Command::NodeToken { token: minted.token })
                } else {
                    None
                }
            }
        };
        if let (Some(answer), Some(link)) = (answer, &mut self.link) {
            self.outbox.push_back(link.seal(&self.controller, &answer)?);
        }
        self.advance(StreamInput::Event)
    }

    /// Tells the state machine what happened.
    fn advance(&mut self, input: StreamInput) -> Result<(), End> {
        match self.machine.on(input, self.controller.uptime()) {
            StreamState::Ended(reason) => Err(End::Reason(reason.clone())),
            StreamState::AwaitingHello | StreamState::Live => Ok(()),
        }
    }
}

impl<S> Session<S> {
    /// Gives up the route and tells of the end, once.
    fn leave(&mut self, end: &End) {
        let Some(link) = self.link.take() else { return };
        let controller = &self.controller;
        let mut batch = Batch { lazy: true, quiet: true, ..Batch::default() };
        let generation = link.route.generation();
        if let Some(presence) = controller.live.disconnect(&link.node, generation, controller.clock.now_ms())
        {
            presence.put(&mut batch, &link.node);
        }
        let (node, tenant) = (link.node.as_str(), link.tenant.as_str());
        let reason = end.to_string();
        tracing::info!(node, reason, "disconnected");
        if let End::Envelope(_) | End::TooMuch(_) = end {
            controller.audit_refusal(controller.event(node, tenant, "envelope", node, &reason));
        }
        let event = controller.event(node, tenant, "disconnect", node, &reason);
        controller.audit_coming(&mut batch, &link.node, event);
        controller.store.commit(batch).detach();
    }
}

impl<S> Drop for Session<S> {
    fn drop(&mut self) {
        self.leave(&End::Reason(EndReason::Closed));
    }
}

impl Link {
    /// The key of this stream isn't the node's any more: it is good for a while yet, here only.
    fn note_rotation(&mut self, controller: &Controller, node: &nodes::Node) {
        let Some(rotation) = node.rotation.as_ref().filter(|_| node.public_key != self.key) else { return };
        let ends = controller.uptime() + rotation.overlap_left(controller.clock.now_ms());
        let ends = self.old_key_ends.map_or(ends, |before| before.min(ends));
        self.old_key_ends = Some(ends);
        controller.live.change_over(&self.node, self.route.generation(), ends);
    }

    /// Signs the next command of this stream.
    fn seal(&mut self, controller: &Controller, command: &Command) -> Result<Envelope, End> {
        let route = Route { sender: &controller.sender, stream: self.inbound.stream() };
        seal(controller.signing.key(), route, &mut self.outbound, controller.clock.now_ms(), command)
            .map_err(|error| End::Failed(error.to_string()))
    }
}

/// Stores what a host says of itself, if it is anything new.
pub(crate) async fn update_capabilities(
    controller: &Controller,
    node: &NodeId,
    capabilities: &Capabilities,
) -> Result<(), End> {
    // What is stored was checked: looking at owners' schemas at every connect would take longer than all the rest.
    let known = nodes::get(&*controller.store, node)?;
    if known.is_some_and(|(known, _)| known.capabilities == *capabilities) {
        return Ok(());
    }
    let refused = |reason| End::Refused(ApiError::invalid(reason));
    nodes::check_capabilities(capabilities).map_err(refused)?;
    if !controller.changes.take(node.clone(), Instant::now()) {
        let message = "what the host says of itself changes too often";
        return Err(End::Refused(ApiError::exhausted(message).hint("try again in ten seconds")));
    }
    nodes::check_tools(capabilities, &controller.schemas).await.map_err(refused)?;
    let change = |node: &mut nodes::Node| {
        let changed = node.capabilities != *capabilities;
        node.capabilities.clone_from(capabilities);
        changed
    };
    let also = |node: &nodes::Node, batch: &mut Batch| {
        let (id, tenant) = (node.id.as_str(), node.tenant.as_str());
        controller.audit(batch, controller.event(id, tenant, "capabilities", id, ""));
    };
    nodes::update(&*controller.store, node, change, also).await?;
    Ok(())
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
