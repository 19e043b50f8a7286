//! Orders to run tools: taken on, refused, cancelled, and answered.

use std::time::Duration;

use aegis_core::{
    fleet::{CommandId, TargetOutcome},
    session::Input,
};
use aegis_kinds::{
    policy::Grant,
    tool::{DAEMON_FAMILY, family},
};
use aegis_wire::edge::{Event, Order, Refusal, SignedOrder};
use bytes::Bytes;
use tokio::time::Instant;

use super::{
    daemon::Running,
    orders::{Against, Rejected},
    results,
    work::{Cancelled, Report, Waiting},
};
use crate::tools::Call;

/// An order that passed the checks, on its way through the state machine.
pub(super) struct Arrived {
    order: Order,
    grants: Vec<Grant>,
    arguments: Bytes,
    window: u32,
}

impl Running {
    /// Checks an order. One that passes asks the state machine whether the host takes work at all.
    pub(super) fn on_order(
        &mut self,
        signed: &SignedOrder,
        vouched: Option<[u8; 32]>,
        arguments: Bytes,
        window: u32,
    ) -> Vec<Input> {
        let against = Against {
            identity: &self.identity,
            now_ms: self.deps.clock.now_ms(),
            seen: &mut self.seen,
            contexts: &self.contexts,
            config: &self.config,
        };
        match against.check(signed, vouched, &arguments) {
            Ok((order, grants)) => {
                self.arrived = Some(Arrived { order, grants, arguments, window });
                vec![Input::Work]
            }
            Err(Rejected::Forged(why)) => self.fail(&format!("an order is refused: {why}")),
            // Its one result is still to come, and would be taken for this.
            Err(Rejected::Refused { command, refusal: Refusal::Repeated, .. }) if self.work.has(&command) => {
                tracing::warn!(%command, "the order came again while it is carried out");
                vec![]
            }
            Err(Rejected::Refused { command, refusal, message }) => {
                self.refuse(command, refusal, message).into_iter().collect()
            }
        }
    }

    /// The host takes work: begins with what arrived.
    pub(super) fn start_work(&mut self) -> Option<Input> {
        let Arrived { order, grants, arguments, window } = self.arrived.take()?;
        let prepared = match self.work.full() {
            Some(message) => Err((Refusal::Busy, message)),
            None => self.prepare(&order, &grants, &arguments, window),
        };
        let Order { command, tool, subject, deadline, .. } = order;
        match prepared {
            Ok(ready) => {
                tracing::info!(%command, tool, subject, "an order is taken on");
                self.work.take_on(Waiting { command, tool, ready, since: Instant::now(), deadline });
                None
            }
            Err((refusal, message)) => {
                self.work.note_over();
                self.refuse(command, refusal, message)
            }
        }
    }

    fn prepare(
        &self,
        order: &Order,
        grants: &[Grant],
        arguments: &Bytes,
        window: u32,
    ) -> Result<Box<dyn super::offer::Ready>, (Refusal, String)> {
        let arguments = serde_json::from_slice(arguments).map_err(|error| {
            (Refusal::Arguments, format!("the arguments aren't JSON: {error}; ask again"))
        })?;
        let (id, tool) = (order.command.clone(), order.tool.clone());
        let call = Call { id, tool, arguments, deadline: order.deadline, window };
        self.offer
            .prepare(call, grants)
            // A rule that the wire has no word for is one of the tool's own.
            .map_err(|refused| (refused.rule.parse().unwrap_or(Refusal::Tool), refused.message))
    }

    /// The host takes no work: it drains, or ends.
    pub(super) fn refuse_work(&mut self) -> Option<Input> {
        let Arrived { order, .. } = self.arrived.take()?;
        let message = "the host drains and takes no new work; take it back with 'aegis edge drain NODE --off', or ask another host";
        self.refuse(order.command, Refusal::Draining, message.to_owned())
    }

    fn refuse(&mut self, command: CommandId, refusal: Refusal, message: String) -> Option<Input> {
        tracing::warn!(%command, %refusal, "an order is refused: {message}");
        self.send(Event::CommandResult(results::refused(command, refusal, message)))
    }

    /// Ends a command. What is over, or was never heard of, needs no end.
    pub(super) fn on_cancel(&mut self, command: CommandId) -> Option<Input> {
        match self.work.cancel(&command) {
            Cancelled::Told => tracing::info!(%command, "a command is cancelled"),
            Cancelled::Queued(waited) => {
                return self.stop(command, TargetOutcome::Cancelled, waited, String::new());
            }
            Cancelled::Unknown => tracing::debug!(%command, "nothing to cancel"),
        }
        None
    }

    /// Answers those that have waited for all of their time.
    pub(super) fn stop_overdue(&mut self, now: Instant) -> Vec<Input> {
        let mut inputs = vec![];
        while let Some((command, waited)) = self.work.take_overdue(now) {
            let message =
                "its time was over before it was its turn; allow more time, or raise maxConcurrentTools";
            inputs.extend(self.stop(command, TargetOutcome::TimedOut, waited, message.to_owned()));
        }
        inputs
    }

    fn stop(
        &mut self,
        command: CommandId,
        outcome: TargetOutcome,
        waited: Duration,
        message: String,
    ) -> Option<Input> {
        tracing::info!(%command, %outcome, "a command ended before it began");
        self.send(Event::CommandResult(results::stopped(command, outcome, waited, message)))
    }

    /// Passes on what comes of a command, if the stream that asked for it is still there.
    pub(super) fn on_report(&mut self, report: Report) -> Vec<Input> {
        let event = match report {
            Report::Output(command, output) => self
                .work
                .is_heard(&command)
                .then_some(Event::CommandProgress { command, stderr: output.stderr, data: output.data }),
            Report::Ended(command, result) => {
                let Some(job) = self.work.end(&command) else { return vec![] };
                let (outcome, heard) = (result.outcome, job.heard);
                tracing::info!(%command, %outcome, heard, "a command has ended");
                if family(&job.tool) == DAEMON_FAMILY {
                    self.look_at_identity();
                }
                heard.then(|| Event::CommandResult(results::ended(command, *result)))
            }
        };
        event.and_then(|event| self.send(event)).into_iter().collect()
    }
}
