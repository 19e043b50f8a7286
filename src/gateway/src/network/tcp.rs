//! Connections of a guest to the outside. The guest's is only accepted once the host has reached the other end: so a refusal is a
//! refusal, and a host that isn't there is one that doesn't answer.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{io::copy_bidirectional, net::TcpStream, time::timeout};

use super::{
    Shared, dns, packet,
    policy::Verdict,
    stack::{Flow, Key, Stack},
};

/// How long the guest may take to confirm a connection that it asked for.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// How long nothing may move on a connection (RFC 5382: not less than 2 h 4 min).
const IDLE: Duration = Duration::from_mins(125);

/// Makes the connection that a packet opens, and carries it until it ends.
pub async fn connect(shared: Arc<Shared>, stack: Stack, key: Key, opening: Vec<u8>) {
    let reached = match shared.verdict(SocketAddr::V4(key.1)) {
        Verdict::Out => shared.outside.connect(SocketAddr::V4(key.1)).await.map(Some),
        Verdict::Dns => Ok(None),
        Verdict::Refused(rule) => {
            shared.counters.refused(SocketAddr::V4(key.1), rule);
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    };
    match reached {
        Ok(outside) => {
            let Some(flow) = stack.accept(key, opening) else { return };
            if matches!(timeout(HANDSHAKE, flow.established()).await, Ok(Ok(()))) {
                match outside {
                    Some(outside) => carry(flow, outside).await,
                    None => dns::serve(flow, &shared).await,
                }
            }
        }
        Err(error) => {
            tracing::debug!(%error, to = %key.1, "a guest's connection leads nowhere");
            stack.forget(key);
            if let Some(reset) = packet::reset(&opening) {
                shared.send(reset);
            }
        }
    }
}

async fn carry(mut flow: Flow, mut outside: TcpStream) {
    let moved = flow.moved();
    let copied = {
        let mut copying = pin!(copy_bidirectional(&mut flow, &mut outside));
        loop {
            let before = moved.load(Ordering::Relaxed);
            match timeout(IDLE, &mut copying).await {
                Ok(copied) => break copied,
                Err(_) if moved.load(Ordering::Relaxed) == before => {
                    break Err(io::ErrorKind::TimedOut.into());
                }
                Err(_) => {}
            }
        }
    };
    if let Err(error) = copied {
        tracing::debug!(%error, "a guest's connection broke");
        // The other end shall see that it broke.
        outside.set_zero_linger().ok();
    }
}
