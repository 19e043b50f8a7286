//! The guest's way to the network: its packets end in the gateway.

use std::sync::Arc;

use aegis_backend::Guest;
use aegis_harness::message::Network;

use crate::{guests::AbortOnDrop, state::Daemon};

/// What a guest is told of its network.
pub(crate) fn settings(_daemon: &Daemon) -> Option<Network> {
    None
}

/// Takes the packets of a guest, until the value is dropped.
pub(crate) fn attach(_daemon: &Arc<Daemon>, _guest: &Guest) -> Option<AbortOnDrop> {
    None
}
