//! Orders as the controller in memory gives them, honest ones and others.

use std::{collections::BTreeMap, time::Duration};

use aegis_core::{
    NodeId,
    fleet::{CommandId, RunId},
};
use aegis_kinds::{Capability, SecurityContextSpec, UniqueSet};
use aegis_wire::{
    Unverified,
    edge::{Command, CommandResult, Event, Order, Refusal},
    envelope::{Body, Malformed, Route, seal},
    token::Role,
};
use bytes::Bytes;

use super::fake::{Lab, Stream};
use crate::clock::Clock;

pub(super) fn command(number: u32) -> CommandId {
    CommandId::of(&RunId::at(1, [0; 4]), number)
}

/// A context that grants these tools, with nothing else.
pub(super) fn granting(tools: &[&str]) -> SecurityContextSpec {
    let tools = tools.iter().map(|tool| (*tool).to_owned()).collect();
    let capability = Capability {
        tools,
        paths: vec!["/srv".into()],
        commands: vec!["*".into()],
        domains: vec![],
        rate_limit: None,
        max_output: None,
    };
    SecurityContextSpec { capabilities: vec![capability], deny: UniqueSet::default() }
}

pub(super) fn push(revision: u64, contexts: &[(&str, SecurityContextSpec)]) -> Command {
    let contexts: BTreeMap<_, _> =
        contexts.iter().map(|(name, spec)| ((*name).to_owned(), spec.clone())).collect();
    Command::PushConfig { revision, contexts }
}

/// An order in an envelope that vouches for something else beside it.
struct Forged(Command, Option<[u8; 32]>);

impl Body for Forged {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }
    fn encode(&self) -> Bytes {
        self.0.encode()
    }
    fn order_digest(&self) -> Option<[u8; 32]> {
        self.1
    }
    fn decode(_: Bytes) -> Result<Self, Malformed> {
        Err(Malformed("it is only sent".into()))
    }
}

impl Lab {
    /// An order that this host obeys: `host.facts` in the context `default`, good for a minute.
    pub fn order(&self, number: u32) -> Order {
        Order {
            command: command(number),
            node: NodeId::of_public_key(self.node.public().as_bytes()),
            tenant: "default".parse().unwrap(),
            subject: "alice".into(),
            role: Role::Operator,
            security_context: "default".into(),
            tool: "host.facts".into(),
            arguments_sha256: Order::digest_of(b"{}"),
            expires_at_ms: self.clock.now_ms() + 60_000,
            deadline: Duration::from_mins(1),
        }
    }

    pub async fn invoke(&self, stream: &mut Stream, order: &Order) {
        self.invoke_with(stream, order, b"{}").await;
    }
    pub async fn invoke_with(&self, stream: &mut Stream, order: &Order, arguments: &'static [u8]) {
        let (order, arguments) = (order.to_signed(), Bytes::from_static(arguments));
        self.send(stream, &Command::InvokeTool { order, arguments, window: 1000 }).await;
    }
    /// Asks for what [`Lab::order`] gives, and waits until it runs.
    pub async fn run(&self, stream: &mut Stream, number: u32) -> CommandId {
        self.invoke(stream, &self.order(number)).await;
        self.until(|| self.calls.has_started(&command(number))).await;
        command(number)
    }
    pub async fn cancel(&self, stream: &mut Stream, number: u32) {
        self.send(stream, &Command::Cancel { command: command(number) }).await;
    }

    /// The order in an envelope that vouches for `digest`.
    pub fn forged(&self, stream: &mut Stream, order: &Order, digest: Option<[u8; 32]>) -> Unverified {
        let sender = self.server.public().sender();
        let route = Route { sender: &sender, stream: &stream.id };
        let arguments = Bytes::from_static(b"{}");
        let command = Command::InvokeTool { order: order.to_signed(), arguments, window: 0 };
        let body = Forged(command, digest);
        seal(self.server.key(), route, &mut stream.outbound, self.clock.now_ms(), &body).unwrap().into()
    }

    /// The next event that is no heartbeat.
    pub async fn answer(&self, stream: &mut Stream) -> Event {
        loop {
            match self.event(stream).await {
                Event::Heartbeat { .. } => {}
                other => return other,
            }
        }
    }
    /// The next heartbeat: whether the host drains, and how much is under way.
    pub async fn heartbeat(&self, stream: &mut Stream) -> (bool, u32) {
        loop {
            if let Event::Heartbeat { draining, in_flight } = self.event(stream).await {
                return (draining, in_flight);
            }
        }
    }
    /// The next result.
    pub async fn result(&self, stream: &mut Stream) -> CommandResult {
        match self.answer(stream).await {
            Event::CommandResult(result) => result,
            other => panic!("no result: {other:?}"),
        }
    }
    /// Asks, and gives the rule that refuses it, with what it says.
    pub async fn refusal(&self, stream: &mut Stream, order: &Order) -> (Refusal, String) {
        self.invoke(stream, order).await;
        let result = self.result(stream).await;
        assert_eq!(result.command, order.command);
        (result.refusal.expect("it isn't refused"), result.error)
    }

    /// Waits, in tokio's time, for something that happens at once.
    pub async fn until(&self, what: impl Fn() -> bool) {
        for _ in 0..1000 {
            if what() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it never happens");
    }
}
