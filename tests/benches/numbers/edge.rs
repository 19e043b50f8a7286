//! A simulated edge: the real wire, keys, signatures and verification of a daemon, without the daemon around it.

use std::{pin::pin, sync::Arc, time::Duration};

use aegis_core::{
    fleet::TargetOutcome,
    session::{Inbound, Outbound},
};
use aegis_wire::{
    ApiError, CaFingerprint, Endpoint, Envelope, Unverified, Verified,
    dial::{TcpDialer, connect},
    edge::{Command, CommandResult, EdgeClient, Event, SignedOrder},
    envelope::{Route, open, seal},
};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    crowd::Member,
    nodes::{self, Node},
};

/// Where to connect.
pub struct Target {
    pub endpoint: Endpoint,
    pub pin: CaFingerprint,
}

/// One edge's stream.
struct Stream {
    node: Arc<Node>,
    id: String,
    outbound: Outbound,
    inbound: Inbound,
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

impl Stream {
    fn seal(&mut self, event: &Event) -> Result<Envelope, ApiError> {
        let route = Route { sender: self.node.id.as_str(), stream: &self.id };
        seal(&self.node.key, route, &mut self.outbound, now_ms(), event)
            .map_err(|error| ApiError::internal(error.to_string()))
    }

    fn open(&mut self, command: Option<Result<Unverified, ApiError>>) -> Result<Verified<Command>, ApiError> {
        let command = command.ok_or_else(|| ApiError::unavailable("the stream has ended"))??;
        let verified = open(command, &self.node.server_key.public, &mut self.inbound, now_ms());
        verified.map_err(|error| ApiError::internal(error.to_string()))
    }

    /// Does what a daemon does with an order, but for running the tool.
    fn obey(
        &self,
        order: &SignedOrder,
        vouched: Option<[u8; 32]>,
        arguments: &[u8],
    ) -> Result<Event, ApiError> {
        let refused = |why: &str| ApiError::internal(why.to_owned());
        if vouched != Some(order.digest()) {
            return Err(refused("the order isn't signed"));
        }
        let order = order.read().map_err(|error| refused(&error.to_string()))?;
        if order.node != self.node.id || !order.is_for(arguments) || order.expires_at_ms < now_ms() {
            return Err(refused("the order isn't for this host, these arguments, or this time"));
        }
        Ok(Event::CommandResult(CommandResult {
            command: order.command,
            outcome: TargetOutcome::Ok,
            exit_code: None,
            error: String::new(),
            refusal: None,
            stdout: Bytes::new(),
            stderr: Bytes::new(),
            stdout_bytes: 0,
            stderr_bytes: 0,
            data: Bytes::new(),
            duration: Duration::ZERO,
        }))
    }
}

/// Connects over TLS, says Hello, sends a heartbeat in each round, and answers orders.
pub async fn live(mut member: Member, node: Arc<Node>, target: Arc<Target>) -> Result<(), ApiError> {
    let permit = member.enter().await;
    let id = format!("bench-{}", member.index);
    let inbound = Inbound::new(node.server_key.sender(), id.as_str());
    let mut stream = Stream { node, id, outbound: Outbound::default(), inbound };
    let (outgoing, events) = mpsc::channel(4);
    let capabilities = nodes::capabilities(member.index);
    let hello = stream.seal(&Event::Hello { node_token: stream.node.token.clone(), capabilities })?;
    let gone = |_| ApiError::unavailable("the stream takes nothing more");
    outgoing.send(hello).await.map_err(gone)?;
    let channel = connect(&target.endpoint, &target.pin, Arc::new(TcpDialer)).await?;
    let mut commands = pin!(EdgeClient::new(channel).connect(ReceiverStream::new(events)).await?);
    let Command::Welcome { .. } = stream.open(commands.next().await)?.body else {
        return Err(ApiError::internal("the first command is no welcome"));
    };
    drop(permit);
    member.joined();
    loop {
        tokio::select! {
            more = member.next_round() => {
                if !more {
                    return Ok(());
                }
                let beat = stream.seal(&Event::Heartbeat { draining: false, in_flight: 0 })?;
                outgoing.send(beat).await.map_err(gone)?;
            }
            command = commands.next() => {
                let verified = stream.open(command)?;
                match verified.body {
                    Command::HeartbeatAck => member.answered(),
                    Command::InvokeTool { order, arguments, .. } => {
                        let result = stream.obey(&order, verified.vouched, &arguments)?;
                        let result = stream.seal(&result)?;
                        outgoing.send(result).await.map_err(gone)?;
                    }
                    _ => {}
                }
            }
        }
    }
}
