//! A run under way, as all see it who have to do with it: its task, the streams that carry its commands, who watches.

use std::{fmt, sync::Arc, time::Duration};

use aegis_core::{
    TenantId,
    fleet::{CommandId, Input, RunId},
};
use aegis_store::Bus;
use aegis_wire::{
    edge::{self, CommandResult},
    operator::RunTarget,
    token::Role,
};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{Place, RunHandle, Runs, flight::Flight, journal::Journal};
use crate::state::{Controller, Order};

/// How much of results may wait for the tasks of all runs, in KiB.
const ROOM: usize = 32 * 1024;
/// A result of fewer bytes isn't counted.
const SMALL: usize = 1024;

/// What every host of a run is asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub tenant: TenantId,
    pub subject: String,
    pub role: Role,
    pub context: String,
    pub tool: String,
    /// JSON, an object.
    pub arguments: Bytes,
    pub arguments_sha256: [u8; 32],
    pub deadline: Duration,
}

/// A run under way.
pub(crate) struct LiveRun {
    pub id: RunId,
    pub wanted: Wanted,
    /// In the order of dispatch.
    pub targets: Arc<[RunTarget]>,
    pub journal: Journal,
    pub(super) bus: Arc<dyn Bus<Order>>,
    inbox: mpsc::UnboundedSender<Said>,
    room: Room,
}

/// Bounds what waits to be written down. Shared by all runs: each gives its part back with every turn.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }
}

/// What a run's task is told.
#[derive(Debug)]
pub(crate) enum Said {
    /// A host's result.
    Result { target: u32, result: Box<CommandResult>, room: Option<OwnedSemaphorePermit> },
    /// The command went the way of its stream, before or after it was sent.
    Gone { target: u32, sent: bool },
    /// It was cancelled before it was sent.
    CalledOff { target: u32 },
    /// A rollout, or its operator, has a word on how to go on.
    Steer(Input),
    /// Somebody cancels it. `done` is told once that is on the disk.
    Cancel { subject: String, done: oneshot::Sender<()> },
    /// The controller stops.
    Stop,
}

impl fmt::Debug for LiveRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveRun").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Runs {
    /// The run, if it was begun here and isn't over.
    pub fn under_way(controller: &Arc<Controller>, place: &Place) -> Option<RunHandle> {
        controller.runs.find(place).map(|run| RunHandle { controller: controller.clone(), run })
    }
}

impl LiveRun {
    pub(super) fn new(
        id: RunId,
        wanted: Wanted,
        targets: Arc<[RunTarget]>,
        journal: Journal,
        bus: Arc<dyn Bus<Order>>,
        room: Room,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Said>) {
        // Unbounded, because what drops a ticket can't wait; what is large waits for room.
        let (inbox, said) = mpsc::unbounded_channel();
        (Arc::new(Self { id, wanted, targets, journal, bus, inbox, room }), said)
    }

    /// Tells the task. False: the run is over.
    pub fn say(&self, said: Said) -> bool {
        self.inbox.send(said).is_ok()
    }

    /// Hands over a host's result that is small. A large one is given back.
    pub fn take(&self, target: u32, result: Box<CommandResult>) -> Result<bool, Box<CommandResult>> {
        if weight(&result) > SMALL {
            return Err(result);
        }
        Ok(self.say(Said::Result { target, result, room: None }))
    }

    /// Hands over a host's result as soon as there is room for it.
    pub async fn take_large(&self, target: u32, result: Box<CommandResult>) -> bool {
        let kibibytes = weight(&result).div_ceil(1024).min(ROOM / 2);
        let wanted = u32::try_from(kibibytes).unwrap_or(u32::MAX);
        match self.room.0.clone().acquire_many_owned(wanted).await {
            Ok(room) => self.say(Said::Result { target, result, room: Some(room) }),
            Err(_) => false,
        }
    }

    /// Waits until the run's task has ended.
    pub async fn ended(&self) {
        self.inbox.closed().await;
    }

    /// The order to the target's host, to be signed.
    pub fn order(&self, flight: &Flight, command: CommandId, now_ms: i64) -> edge::Order {
        let wanted = &self.wanted;
        let deadline_ms = i64::try_from(wanted.deadline.as_millis()).unwrap_or(i64::MAX);
        edge::Order {
            command,
            node: flight.node().clone(),
            tenant: wanted.tenant.clone(),
            subject: wanted.subject.clone(),
            role: wanted.role,
            security_context: wanted.context.clone(),
            tool: wanted.tool.clone(),
            arguments_sha256: wanted.arguments_sha256,
            expires_at_ms: now_ms.saturating_add(deadline_ms),
            deadline: wanted.deadline,
        }
    }
}

fn weight(result: &CommandResult) -> usize {
    result.stdout.len() + result.stderr.len() + result.data.len() + result.error.len()
}
