//! What the controller wants a host to do, and how it ended (2-protocol.md, "Envelopes", "Inner").
//!
//! An [`Order`] is signed on its own, by the controller's signing key, which the host pinned: not by whoever passes the
//! stream on. See [`crate::envelope::seal`].

use std::{fmt::Display, time::Duration};

use aegis_core::{
    NodeId, TenantId,
    fleet::{CommandId, TargetOutcome},
    words,
};
use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{envelope::Malformed, proto, token::Role};

/// In front of an order's digest, so that nothing else that is signed can pass for one.
const DOMAIN: &[u8] = b"aegis-order-v1";

/// How much of each stream of output a result carries, from its end.
pub const OUTPUT_TAIL: usize = 1024 * 1024;
/// The most bytes of a piece of output.
pub const OUTPUT_CHUNK: usize = 32 * 1024;

/// Who wants which tool to be run where. What is signed are its bytes, [`SignedOrder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which command this is; a host does each once.
    pub command: CommandId,
    /// The host that is meant.
    pub node: NodeId,
    /// Whose matter it is: the host's own tenant, or it is refused.
    pub tenant: TenantId,
    /// Who asks.
    pub subject: String,
    /// In which role.
    pub role: Role,
    /// The security context that it runs under.
    pub security_context: String,
    /// The tool.
    pub tool: String,
    /// SHA-256 of the arguments' bytes.
    pub arguments_sha256: [u8; 32],
    /// Not to be begun after this, in milliseconds since 1970.
    pub expires_at_ms: i64,
    /// How long it may take.
    pub deadline: Duration,
}

/// The exact bytes of an order. Who holds them knows nothing yet: [`SignedOrder::digest`] must be what the envelope's
/// signature covers, and only then [`SignedOrder::read`] is worth anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedOrder(Bytes);

impl SignedOrder {
    /// The bytes that came.
    pub(crate) fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }
    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }
    /// What the signature covers.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::new().chain_update(DOMAIN).chain_update(&self.0).finalize().into()
    }
    /// What it says.
    pub fn read(&self) -> Result<Order, Malformed> {
        let order = proto::Order::decode(self.0.clone()).map_err(|error| Malformed(error.to_string()))?;
        let wrong = |error: &dyn Display| Malformed(format!("an order: {error}"));
        Ok(Order {
            command: order.command_id.parse().map_err(|error| wrong(&error))?,
            node: order.node_id.parse().map_err(|error| wrong(&error))?,
            tenant: order.tenant.parse().map_err(|error| wrong(&error))?,
            subject: order.subject,
            role: order.role.parse().map_err(|error| wrong(&error))?,
            security_context: order.security_context,
            tool: order.tool,
            arguments_sha256: order
                .arguments_sha256
                .as_ref()
                .try_into()
                .map_err(|_| Malformed("an order: a digest has 32 bytes".to_owned()))?,
            expires_at_ms: i64::try_from(order.expires_at_ms).unwrap_or(i64::MAX),
            deadline: Duration::from_millis(order.deadline_ms),
        })
    }
}

impl Order {
    /// The bytes to be signed.
    pub fn to_signed(&self) -> SignedOrder {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let order = proto::Order {
            command_id: self.command.to_string(),
            node_id: self.node.to_string(),
            tenant: self.tenant.to_string(),
            subject: self.subject.clone(),
            role: self.role.as_str().to_owned(),
            security_context: self.security_context.clone(),
            tool: self.tool.clone(),
            arguments_sha256: Bytes::copy_from_slice(&self.arguments_sha256),
            expires_at_ms: u64::try_from(self.expires_at_ms).unwrap_or(0),
            deadline_ms: milliseconds(self.deadline),
        };
        SignedOrder(order.encode_to_vec().into())
    }
    /// Whether these are the arguments that were signed.
    pub fn is_for(&self, arguments: &[u8]) -> bool {
        Self::digest_of(arguments) == self.arguments_sha256
    }
    /// The digest of arguments, for [`Order::arguments_sha256`].
    pub fn digest_of(arguments: &[u8]) -> [u8; 32] {
        Sha256::digest(arguments).into()
    }
}

/// Which rule a command was refused by, before anything of it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The order isn't signed by the controller.
    Signature,
    /// It came too late.
    Expired,
    /// It is for another tenant, or another host.
    Misdirected,
    /// A command of this id came before.
    Repeated,
    /// The host has no such security context.
    Context,
    /// The tool isn't there, or isn't allowed.
    Tool,
    /// The arguments aren't those that were signed, or don't fit the tool's schema.
    Arguments,
    /// A path is outside of what is allowed.
    Path,
    /// A program isn't allowed.
    Command,
    /// A domain isn't allowed.
    Domain,
    /// It is asked for too often.
    Rate,
    /// The host takes no new work.
    Draining,
    /// The host has too much to do.
    Busy,
}

words!(
    Refusal,
    "refusal",
    Signature = "signature",
    Expired = "expired",
    Misdirected = "misdirected",
    Repeated = "repeated",
    Context = "context",
    Tool = "tool",
    Arguments = "arguments",
    Path = "path",
    Command = "command",
    Domain = "domain",
    Rate = "rate",
    Draining = "draining",
    Busy = "busy",
);

/// How a command ended on its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandResult {
    /// Which command.
    pub command: CommandId,
    /// `Ok`, `Error`, `TimedOut` or `Cancelled`: a host can say no other.
    pub outcome: TargetOutcome,
    /// The program's exit code, where one ran and ended by itself.
    pub exit_code: Option<i32>,
    /// What went wrong, with the way out; empty when nothing did.
    pub error: String,
    /// The rule that refused it, if it never began.
    pub refusal: Option<Refusal>,
    /// The end of what it printed, at most [`OUTPUT_TAIL`] bytes.
    pub stdout: Bytes,
    /// The end of its messages, likewise.
    pub stderr: Bytes,
    /// How many bytes it printed in all.
    pub stdout_bytes: u64,
    /// How many bytes of messages there were in all.
    pub stderr_bytes: u64,
    /// The result for programs, as JSON; empty: there is none.
    pub data: Bytes,
    /// From its begin to its end.
    pub duration: Duration,
}

impl From<CommandResult> for proto::CommandResult {
    fn from(from: CommandResult) -> Self {
        Self {
            command_id: from.command.into(),
            outcome: from.outcome.as_str().to_owned(),
            exit_code: from.exit_code,
            error: from.error,
            refusal: from.refusal.map(|refusal| refusal.as_str().to_owned()).unwrap_or_default(),
            stdout: from.stdout,
            stderr: from.stderr,
            stdout_bytes: from.stdout_bytes,
            stderr_bytes: from.stderr_bytes,
            data: from.data,
            duration_ms: u64::try_from(from.duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Empty: none.
fn refusal(word: &str) -> Result<Option<Refusal>, Malformed> {
    if word.is_empty() {
        return Ok(None);
    }
    word.parse().map(Some).map_err(|error| Malformed(format!("a result: {error}")))
}

impl TryFrom<proto::CommandResult> for CommandResult {
    type Error = Malformed;
    fn try_from(from: proto::CommandResult) -> Result<Self, Malformed> {
        let outcome = from.outcome.parse().map_err(|error| Malformed(format!("a result: {error}")))?;
        if matches!(outcome, TargetOutcome::NotStarted | TargetOutcome::Disconnected) {
            return Err(Malformed(format!("a host can't say that a command is {outcome}")));
        }
        if from.stdout.len() > OUTPUT_TAIL || from.stderr.len() > OUTPUT_TAIL || from.data.len() > OUTPUT_TAIL
        {
            return Err(Malformed("a result carries at most 1 MiB of each".to_owned()));
        }
        Ok(Self {
            command: from.command_id.parse().map_err(|error| Malformed(format!("a result: {error}")))?,
            outcome,
            exit_code: from.exit_code,
            error: from.error,
            refusal: refusal(&from.refusal)?,
            // They may wait for long: they must not keep the whole frame in memory.
            stdout: Bytes::copy_from_slice(&from.stdout),
            stderr: Bytes::copy_from_slice(&from.stderr),
            stdout_bytes: from.stdout_bytes,
            stderr_bytes: from.stderr_bytes,
            data: Bytes::copy_from_slice(&from.data),
            duration: Duration::from_millis(from.duration_ms),
        })
    }
}
