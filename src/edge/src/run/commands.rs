//! What the controller orders, once it is certain that it does.

use aegis_core::session::Input;
use aegis_wire::{
    Unverified, Verified,
    edge::{Command, Event},
};

use super::daemon::Running;

impl Running {
    /// Checks what came, and does it. What breaks a rule ends the stream: who sent it isn't the controller, or isn't
    /// in step with us, and nothing that comes after it can be believed.
    pub(super) fn on_incoming(&mut self, unverified: Unverified) -> Vec<Input> {
        let now_ms = self.deps.clock.now_ms();
        let Some(session) = &mut self.session else { return vec![] };
        match session.open(&self.identity, unverified, now_ms) {
            Ok(verified) => self.on_command(verified, now_ms),
            Err(error) => self.fail(&format!("a command is refused: {error}")),
        }
    }

    fn on_command(&mut self, verified: Verified<Command>, now_ms: i64) -> Vec<Input> {
        let sequence = verified.sequence;
        match verified.body {
            Command::Welcome { name, tags, drain } => {
                tracing::info!(%name, drain, "connected");
                (self.welcomed, self.draining) = (true, drain);
                self.reporter.welcomed(name, tags, now_ms);
                vec![Input::Drain(drain)]
            }
            Command::Drain { enabled } => {
                tracing::info!(enabled, "drain");
                self.draining = enabled;
                let broken = self.send(Event::Ack { sequence });
                std::iter::once(Input::Drain(enabled)).chain(broken).collect()
            }
            Command::Shutdown { reason } => {
                tracing::info!(%reason, "the controller wants the daemon to end");
                self.send(Event::Ack { sequence });
                vec![Input::Shutdown]
            }
            Command::NodeToken { token } => {
                let now = self.deps.clock.now_seconds();
                match self.identity.renew(&self.options.state, token, now) {
                    Ok(()) => {
                        self.renewal_asked = None;
                        tracing::info!("the node token is renewed");
                    }
                    // The old one is good for a while; it is asked for again.
                    Err(why) => tracing::error!("a new node token is refused: {why}"),
                }
                vec![]
            }
            Command::InvokeTool { order, arguments, window } => {
                self.on_order(&order, verified.vouched, arguments, window)
            }
            Command::Cancel { command } => self.on_cancel(command).into_iter().collect(),
            Command::OutputCredit { command, bytes } => {
                self.work.credit(&command, bytes);
                vec![]
            }
            Command::PushConfig { revision, contexts } => match self.contexts.push(revision, contexts) {
                Ok(()) => {
                    tracing::info!(
                        revision,
                        names = self.contexts.names(),
                        "the security contexts are replaced"
                    );
                    self.send(Event::Ack { sequence }).into_iter().collect()
                }
                Err(stale) => self.fail(&stale.to_string()),
            },
            Command::Assign { revision, objects } => {
                tracing::info!(revision, objects = objects.len(), "what this host shall have is replaced");
                self.assignment.replace(revision, objects);
                self.send(Event::Ack { sequence }).into_iter().collect()
            }
            Command::HeartbeatAck => {
                self.reporter.heartbeat(now_ms);
                vec![]
            }
        }
    }
}
