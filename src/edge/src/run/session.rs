//! The envelopes of one stream: sealed with the node's key, opened with the controller's.

use aegis_core::session::{Inbound, Outbound};
use aegis_wire::{
    Envelope, Unverified, Verified,
    edge::{Command, Event},
    envelope::{OpenError, Route, TooLarge, open, seal},
};

use super::Identity;

/// One stream's place in both directions.
pub(super) struct Session {
    stream: String,
    outbound: Outbound,
    inbound: Inbound,
}

impl Session {
    /// A new stream; `id` is random, so that nothing of another stream fits into it.
    pub fn new(id: String, identity: &Identity) -> Self {
        let inbound = Inbound::new(identity.server_key.sender(), id.clone());
        Self { stream: id, outbound: Outbound::default(), inbound }
    }

    /// Signs the next event.
    pub fn seal(&mut self, identity: &Identity, event: &Event, now_ms: i64) -> Result<Envelope, TooLarge> {
        let route = Route { sender: identity.node_id.as_str(), stream: &self.stream };
        seal(&identity.key, route, &mut self.outbound, now_ms, event)
    }

    /// Believes a command, or says which rule it breaks.
    pub fn open(
        &mut self,
        identity: &Identity,
        unverified: Unverified,
        now_ms: i64,
    ) -> Result<Verified<Command>, OpenError> {
        open(unverified, &identity.server_key.public, &mut self.inbound, now_ms)
    }
}
