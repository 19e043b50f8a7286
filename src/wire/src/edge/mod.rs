//! The stream between a daemon and its controller: the messages, the client, and the server's trait.

mod assign;
mod body;
mod client;
mod order;
mod service;

use std::collections::BTreeMap;

use aegis_core::fleet::CommandId;
use aegis_kinds::{SecurityContextSpec, tool::ToolDescriptor};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use assign::{Assigned, MAX_ASSIGNED, ObjectReport, ReportPhase};
pub use client::{CommandStream, EdgeClient};
pub use order::{CommandResult, OUTPUT_CHUNK, OUTPUT_TAIL, Order, Refusal, SignedOrder};
pub(crate) use service::EdgeAdapter;
pub use service::{EdgeService, EventStream};

/// What a host says of itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
    /// The tools that its owner declared; what is built in isn't said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolDescriptor>,
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
    /// How a command ended, once.
    CommandResult(CommandResult),
    /// A piece of a command's output, while it runs.
    CommandProgress {
        /// Which command.
        command: CommandId,
        /// Messages, or else what it prints.
        stderr: bool,
        /// Any bytes, at most [`OUTPUT_CHUNK`].
        data: Bytes,
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
    /// How the host stands with everything that was assigned to it.
    ReportResult {
        /// Of the [`Command::Assign`] that it is about.
        revision: u64,
        /// Each object.
        objects: Vec<ObjectReport>,
    },
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
    /// Run a tool.
    InvokeTool {
        /// Who wants what; signed on its own.
        order: SignedOrder,
        /// JSON, an object. The order has its digest.
        arguments: Bytes,
        /// How many bytes of output may be sent before the first credit.
        window: u32,
    },
    /// End a command, with everything that it began.
    Cancel {
        /// Which.
        command: CommandId,
    },
    /// All security contexts of the tenant, in force before the next tool is run.
    PushConfig {
        /// Rises with every change.
        revision: u64,
        /// By name.
        contexts: BTreeMap<String, SecurityContextSpec>,
    },
    /// The apps, kits and secrets that this host shall have. What it had from an earlier one and isn't here goes.
    Assign {
        /// Rises with every change.
        revision: u64,
        /// All of them.
        objects: Vec<Assigned>,
    },
    /// So many more bytes of a command's output may be sent.
    OutputCredit {
        /// Which command.
        command: CommandId,
        /// How many.
        bytes: u32,
    },
}
