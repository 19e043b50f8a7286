//! What a stream does with commands: it signs and sends them, and hands back how they ended.

use aegis_wire::edge::{Command, CommandResult};

use super::{End, Session};
use crate::{
    assignments::{Assignment, had_something},
    runs::{NotCarried, Ticket, Waiting},
};

impl<S> Session<S> {
    /// Sends a command to the daemon, after the security contexts if they have changed.
    pub(super) fn invoke(&mut self, ticket: Ticket) -> Result<(), End> {
        self.push_contexts()?;
        let Some(link) = &mut self.link else { return Ok(()) };
        let now_ms = self.controller.clock.now_ms();
        if let Some(command) = link.carried.take(ticket, now_ms) {
            self.outbox.push_back(link.seal(&self.controller, &command)?);
        }
        Ok(())
    }

    /// Tells the daemon of the security contexts, if it doesn't know them.
    pub(super) fn push_contexts(&mut self) -> Result<(), End> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let contexts = &self.controller.contexts;
        // Read first: what changes in between is looked at again.
        let generation = contexts.generation();
        if link.contexts.seen == Some(generation) {
            return Ok(());
        }
        let pushed = contexts.of(&*self.controller.store, &link.tenant)?;
        if pushed.revision != link.contexts.revision {
            let command = Command::PushConfig { revision: pushed.revision, contexts: pushed.specs.clone() };
            self.outbox.push_back(link.seal(&self.controller, &command)?);
            link.contexts.revision = pushed.revision;
        }
        link.contexts.seen = Some(generation);
        Ok(())
    }

    /// Tells the daemon what its host shall have, if it doesn't know it. A host that never had anything and shall have
    /// nothing hears nothing.
    pub(super) fn push_assignment(&mut self) -> Result<(), End> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let controller = &self.controller;
        // Read first: what changes in between is looked at again.
        let generation = controller.assignments.generation();
        if link.assigned.seen == Some(generation) {
            return Ok(());
        }
        link.assigned.seen = Some(generation);
        let assignment = match controller.assignment(&link.tenant, &link.node) {
            Ok(assignment) => assignment,
            // The host keeps what it has; the stream is needed for other things.
            Err(error) => {
                tracing::error!(node = %link.node, %error, "the host can't be told what it shall have");
                return Ok(());
            }
        };
        let is_known = match link.assigned.digest {
            Some(told) => told == assignment.digest,
            None => {
                assignment.objects.is_empty() && !had_something(&*controller.store, &link.tenant, &link.node)?
            }
        };
        if !is_known {
            link.assigned.digest = Some(assignment.digest);
            let Assignment { revision, objects, .. } = assignment;
            self.outbox.push_back(link.seal(controller, &Command::Assign { revision, objects })?);
        }
        Ok(())
    }

    /// Looks at what has to be said of the commands that the daemon has.
    pub(super) fn look(&mut self) -> Result<(), End> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let mut commands = Vec::new();
        link.carried.look(|command| commands.push(command));
        for command in commands {
            self.outbox.push_back(link.seal(&self.controller, &command)?);
        }
        Ok(())
    }

    /// Takes in how a command ended. What is large waits for room.
    pub(super) fn take_result(&mut self, result: CommandResult) -> Option<Waiting> {
        let link = self.link.as_mut()?;
        match link.carried.end(result) {
            Ok(waiting) => waiting,
            Err(not_carried) => {
                self.refuse_result(&not_carried);
                None
            }
        }
    }

    pub(super) async fn take_large_result(&mut self, waiting: Waiting) {
        if let Err(not_carried) = waiting.hand_over().await {
            self.refuse_result(&not_carried);
        }
    }

    /// A result counts once, in time, and only from the stream that the command went to.
    fn refuse_result(&self, NotCarried(command): &NotCarried) {
        let Some(link) = &self.link else { return };
        let (node, tenant) = (link.node.as_str(), link.tenant.as_str());
        let why = "a result for a command that this stream doesn't have, or had";
        let event = self.controller.event(node, tenant, "result", command.as_str(), why);
        self.controller.audit_refusal(event);
    }
}
