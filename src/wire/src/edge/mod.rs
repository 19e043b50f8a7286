//! The stream between a daemon and its controller: the messages, the client, and the server's trait.

mod body;
mod client;
mod service;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use client::{CommandStream, EdgeClient};
pub(crate) use service::EdgeAdapter;
pub use service::{EdgeService, EventStream};

/// What a host says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Its host name.
    pub hostname: String,
    /// `linux`, `macos` or `windows`.
    pub os: String,
    /// `x86_64` or `aarch64`.
    pub arch: String,
    /// Programs that it offers.
    pub local_tools: Vec<String>,
    /// Its labels, from its config.
    pub labels: BTreeMap<String, String>,
    /// The daemon's version.
    pub version: String,
}

/// Daemon to controller.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The first event of a stream.
    Hello {
        /// The `NodeSecurityToken`.
        node_token: String,
        /// What the host is.
        capabilities: Capabilities,
    },
    /// Still here.
    Heartbeat {
        /// New work is refused.
        draining: bool,
        /// Pieces of work under way.
        in_flight: u32,
    },
    /// The host has changed.
    CapabilityUpdate(Capabilities),
    /// What the command of this sequence asked for is done.
    Ack {
        /// The command's sequence.
        sequence: u64,
    },
    /// The node token ends soon: another, please.
    TokenRequest,
}

/// Controller to daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// The answer to Hello: the stream is live.
    Welcome {
        /// The host's name in listings.
        name: String,
        /// Its tags.
        tags: Vec<String>,
        /// Whether it must drain.
        drain: bool,
    },
    /// Refuse new work and end what runs, or take work again.
    Drain {
        /// On or off.
        enabled: bool,
    },
    /// End the process and don't come back.
    Shutdown {
        /// Why, for the log.
        reason: String,
    },
    /// The answer to `TokenRequest`.
    NodeToken {
        /// The new token.
        token: String,
    },
    /// The answer to a heartbeat.
    HeartbeatAck,
}
