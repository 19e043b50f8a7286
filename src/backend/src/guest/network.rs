//! The packets of a guest's network.

use std::{future::poll_fn, sync::Arc, task::Poll};

use aegis_harness::{
    frame::{Kind, MAX_DATA},
    stream::NETWORK,
};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{GuestError, link::Link};

/// Packets of the guest that wait for whoever takes them; more are dropped, as on any network.
pub(super) const QUEUE: usize = 1024;

/// Packets that the guest sent, one IP packet each. Ends when the channel does.
pub type PacketReceiver = mpsc::Receiver<Bytes>;

/// Sends packets to the guest, one IP packet each.
#[derive(Debug, Clone)]
pub struct PacketSender {
    link: Arc<Link>,
}

impl PacketSender {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// Sends one when there is room for it.
    pub async fn send(&self, packet: &[u8]) -> Result<(), GuestError> {
        poll_fn(|context| {
            self.link.shared().with(|state| {
                if state.has_room(Some(context.waker())) { Poll::Ready(()) } else { Poll::Pending }
            })
        })
        .await;
        if self.try_send(packet) || !self.link.shared().with(|state| state.closed.is_some()) {
            return Ok(());
        }
        Err(self.link.why_closed())
    }

    /// Sends one, or drops it (`false`) when there is no room, it is too large or the guest is gone.
    pub fn try_send(&self, packet: &[u8]) -> bool {
        self.link.shared().with(|state| {
            let fits = packet.len() <= MAX_DATA && state.closed.is_none() && state.has_room(None);
            if fits {
                state.send(Kind::Data, NETWORK, packet);
            }
            fits
        })
    }
}
