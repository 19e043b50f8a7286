//! The guest's way to the network: its packets end in the gateway.

use std::sync::Arc;

use aegis_backend::Guest;
use aegis_gateway::network::{Limits, MTU, Network as Gateway, PLAN};
use aegis_harness::message::Network;
use tokio::sync::mpsc;

use crate::{guests::AbortOnDrop, state::Daemon};

/// So many packets wait on the way; more are dropped, as on any network.
const QUEUE: usize = 256;

/// What a guest is told of its network.
pub(crate) fn settings() -> Network {
    Network {
        address: PLAN.guest.to_string(),
        gateway: PLAN.gateway.to_string(),
        nameserver: PLAN.nameserver.to_string(),
        mtu: MTU,
    }
}

/// Takes the packets of a guest, until the value is dropped.
pub(crate) fn attach(daemon: &Arc<Daemon>, guest: &Guest) -> AbortOnDrop {
    let (sender, mut received) = guest.network();
    let (from_guest, incoming) = mpsc::channel(QUEUE);
    let (outgoing, mut to_guest) = mpsc::channel(QUEUE);
    let gateway = Gateway::start(PLAN, Limits::default(), daemon.outside.clone(), incoming, outgoing);
    AbortOnDrop(tokio::spawn(async move {
        let _gateway = gateway;
        let inward = async {
            while let Some(packet) = to_guest.recv().await {
                if sender.send(&packet).await.is_err() {
                    return;
                }
            }
        };
        let outward = async {
            while let Some(packet) = received.recv().await {
                if from_guest.send(packet.to_vec()).await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(inward, outward);
    }))
}
