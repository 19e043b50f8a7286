//! The daemon's loop: what happened goes into the state machine, what it says is done.

use std::{sync::Arc, time::Duration};

use aegis_core::session::{Action, Daemon, DaemonState, Exit, HELLO_WITHIN, Input, Refused};
use aegis_wire::{
    ApiError, Code, Reason,
    edge::{Capabilities, Event},
};
use tokio::time::Instant;

use super::{
    Control, Identity, RunDeps, RunError, RunOptions, Transport,
    link::{Connection, Link, LinkEvent},
    reporter::Reporter,
    session::Session,
    watch::{ConfigWatch, DEBOUNCE},
};
use crate::{
    capabilities::capabilities,
    config::{self, EdgeConfig},
    state::StreamState,
};

/// How long what was sent last may take to arrive when the daemon ends.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// A token that was asked for and didn't come is asked for again after this time.
const RENEW_AGAIN: Duration = Duration::from_mins(1);

/// A running daemon.
pub(super) struct Running {
    pub options: RunOptions,
    pub deps: RunDeps,
    pub identity: Identity,
    pub reporter: Reporter,
    pub capabilities: Capabilities,
    config: EdgeConfig,
    transport: Arc<dyn Transport>,
    link: Option<Link>,
    /// Waits between "connected" and Hello.
    pub connection: Option<Box<dyn Connection>>,
    pub session: Option<Session>,
    /// Whether the controller has answered Hello.
    pub welcomed: bool,
    /// What the controller wants, for the heartbeat.
    pub draining: bool,
    hello_at: Instant,
    reload_at: Option<Instant>,
    pub renewal_asked: Option<Instant>,
    /// The controller says that the token has ended, whatever the own clock says.
    pub token_ended: bool,
    /// What the controller said when it refused.
    said: String,
}

/// Runs until the state machine says exit.
pub(super) async fn run(
    options: RunOptions,
    deps: RunDeps,
    config: EdgeConfig,
    transport: Arc<dyn Transport>,
) -> Result<(), RunError> {
    let identity = Identity::load(&options.state)?;
    let endpoint = config.endpoint.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut watch =
        if options.watch { ConfigWatch::new(options.state.config()) } else { ConfigWatch::none() };
    let capabilities = capabilities(&config, &(deps.host)());
    tracing::info!(node = %identity.node_id, tenant = %identity.tenant, %endpoint, "edge daemon starts");
    let mut running = Running {
        reporter: Reporter::new(options.state.clone(), endpoint, deps.clock.now_ms()),
        options,
        deps,
        identity,
        capabilities,
        config,
        transport,
        link: None,
        connection: None,
        session: None,
        welcomed: false,
        draining: false,
        hello_at: Instant::now(),
        reload_at: None,
        renewal_asked: None,
        token_ended: false,
        said: String::new(),
    };
    let start = Instant::now();
    let mut machine = Daemon::new(Duration::ZERO);
    let mut inputs = vec![Input::Tick];
    let mut due = None;
    loop {
        for input in std::mem::take(&mut inputs) {
            due = None;
            for action in machine.on(input, start.elapsed(), running.deps.random.number()) {
                match action {
                    Action::Wait(time) => due = Some(Instant::now() + time),
                    Action::Exit(exit) => return running.end(exit).await,
                    other => inputs.extend(running.act(other)),
                }
            }
        }
        running.report(machine.state());
        if inputs.is_empty() {
            inputs = running.next(due, &mut watch).await;
        }
    }
}

impl Running {
    /// Does what the state machine says. Gives what comes of it at once.
    fn act(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Dial => self.link = Some(Link::dial(&self.transport, self.reattestation())),
            Action::Hangup => self.hang_up(),
            Action::SendHello => return self.hello(),
            // Nothing is ever in flight: no command of this version asks for work.
            Action::SendHeartbeat => {
                return self.send(&Event::Heartbeat { draining: self.draining, in_flight: 0 });
            }
            // No work, as above; time and the end are the loop's.
            Action::StartWork | Action::RefuseWork | Action::Wait(_) | Action::Exit(_) => {}
        }
        None
    }

    /// Waits for what happens next: on the link, from the host, to the config, or by time.
    async fn next(&mut self, due: Option<Instant>, watch: &mut ConfigWatch) -> Vec<Input> {
        let own = [self.reload_at, self.welcome_due(), self.renewal_due(Instant::now())];
        let due = own.into_iter().chain([due]).flatten().min();
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let link = async {
            match &mut self.link {
                Some(link) => link.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = link => self.on_link(event),
            control = self.deps.control.recv() => match control {
                Some(Control::Stop) => {
                    tracing::info!("the host wants the daemon to end");
                    vec![Input::Shutdown]
                }
                Some(Control::Reload) => {
                    self.reload_at = Some(Instant::now());
                    vec![]
                }
                // Nobody is left who could say anything: as if told to end.
                None => vec![Input::Shutdown],
            },
            () = watch.changed() => {
                self.reload_at = Some(Instant::now() + DEBOUNCE);
                vec![]
            }
            () = timer => self.on_time(),
        }
    }

    fn on_link(&mut self, event: LinkEvent) -> Vec<Input> {
        match event {
            LinkEvent::Connected(connection, enrolled) => self.on_connected(connection, enrolled),
            LinkEvent::Failed(error) => {
                tracing::warn!(%error, "no connection");
                vec![self.lost(error, Input::DialFailed)]
            }
            LinkEvent::Incoming(unverified) => self.on_incoming(unverified),
            LinkEvent::Ended(error) => self.on_end(error),
        }
    }

    /// The stream is over. Some errors mean that trying again is pointless.
    fn on_end(&mut self, error: Option<ApiError>) -> Vec<Input> {
        self.hang_up();
        let Some(error) = error else {
            tracing::warn!("the controller closed the stream");
            return vec![Input::StreamEnded];
        };
        tracing::warn!(%error, "the stream broke");
        self.heed(&error);
        vec![self.lost(error, Input::StreamEnded)]
    }

    /// Hangs up, and says whether trying again is pointless; otherwise what happened is `passing`.
    fn lost(&mut self, error: ApiError, passing: Input) -> Input {
        self.hang_up();
        self.reporter.failed(&error.message);
        match refusal(&error) {
            Some(refused) => {
                self.said = error.message;
                Input::Refused(refused)
            }
            None => passing,
        }
    }

    fn on_time(&mut self) -> Vec<Input> {
        let now = Instant::now();
        if self.reload_at.is_some_and(|due| now >= due) {
            self.reload_at = None;
            return self.reload().into_iter().collect();
        }
        if self.welcome_due().is_some_and(|due| now >= due) {
            return self.fail("the controller didn't answer Hello");
        }
        if self.renewal_due(now).is_some_and(|due| now >= due) {
            self.renewal_asked = Some(now);
            return self.send(&Event::TokenRequest).into_iter().collect();
        }
        vec![Input::Tick]
    }

    /// When a controller that has said nothing is given up.
    fn welcome_due(&self) -> Option<Instant> {
        (self.session.is_some() && !self.welcomed).then(|| self.hello_at + HELLO_WITHIN)
    }

    /// When to ask for a new token: once a quarter of its life is left, and then every minute until it comes.
    fn renewal_due(&self, now: Instant) -> Option<Instant> {
        if !self.welcomed {
            return None;
        }
        let left = self.identity.renew_at().saturating_sub(self.deps.clock.now_seconds());
        let due = now + Duration::from_secs(u64::try_from(left).unwrap_or(0));
        Some(self.renewal_asked.map_or(due, |asked| due.max(asked + RENEW_AGAIN)))
    }

    fn hello(&mut self) -> Option<Input> {
        let (link, connection) = (self.link.as_mut()?, self.connection.take()?);
        let mut session = Session::new(self.deps.random.id(), &self.identity);
        let hello =
            Event::Hello { node_token: self.identity.token.clone(), capabilities: self.capabilities.clone() };
        match session.seal(&self.identity, &hello, self.deps.clock.now_ms()) {
            Ok(envelope) => link.open(connection, envelope),
            Err(error) => {
                self.fail(&error.to_string());
                return Some(Input::StreamEnded);
            }
        }
        (self.session, self.welcomed, self.hello_at) = (Some(session), false, Instant::now());
        self.renewal_asked = None;
        None
    }

    /// Sends an event on the stream that is open; a stream that takes none is over.
    pub fn send(&mut self, event: &Event) -> Option<Input> {
        let (Some(session), Some(link)) = (&mut self.session, &self.link) else { return None };
        let sealed = session.seal(&self.identity, event, self.deps.clock.now_ms());
        let sent = sealed.is_ok_and(|envelope| link.send(envelope).is_ok());
        if sent {
            return None;
        }
        self.fail("the stream takes nothing more");
        Some(Input::StreamEnded)
    }

    /// Gives the stream up.
    pub fn fail(&mut self, why: &str) -> Vec<Input> {
        tracing::error!("{why}; the stream is given up");
        self.reporter.failed(why);
        self.hang_up();
        vec![Input::StreamEnded]
    }

    fn hang_up(&mut self) {
        (self.link, self.connection, self.session, self.welcomed) = (None, None, None, false);
    }

    /// Reads the config again. One that can't be used is logged, and the old one stays in force.
    fn reload(&mut self) -> Option<Input> {
        let config = match config::load(self.options.state.config()) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!("{error}; the config that was read before stays in force");
                return None;
            }
        };
        let fixed = |config: &EdgeConfig| {
            (config.endpoint.clone(), config.ca_fingerprint, config.plaintext, config.log)
        };
        if fixed(&config) != fixed(&self.config) {
            tracing::warn!(
                "endpoint, caFingerprint, plaintext and log take effect when the daemon is restarted"
            );
        }
        let capabilities = capabilities(&config, &(self.deps.host)());
        self.config = config;
        if capabilities == self.capabilities {
            return None;
        }
        tracing::info!("the capabilities have changed");
        self.capabilities = capabilities.clone();
        self.send(&Event::CapabilityUpdate(capabilities))
    }

    fn report(&mut self, state: DaemonState) {
        let status = match state {
            DaemonState::Disconnected => StreamState::Disconnected,
            DaemonState::Draining if self.welcomed => StreamState::Draining,
            DaemonState::Live if self.welcomed => StreamState::Connected,
            DaemonState::Dialing | DaemonState::Live | DaemonState::Draining => StreamState::Connecting,
            DaemonState::Stopping => StreamState::Draining,
            DaemonState::Stopped => StreamState::Stopped,
        };
        self.reporter.set(status, self.deps.clock.now_ms());
    }

    /// Closes the stream, lets what was sent arrive, and says why it ends.
    async fn end(mut self, exit: Exit) -> Result<(), RunError> {
        if let (Exit::Shutdown, Some(link)) = (exit, self.link.take()) {
            // The controller answers our end of the stream with its own; if not, we don't wait for it.
            let _ = tokio::time::timeout(CLOSE_WITHIN, link.close()).await;
        }
        self.reporter.set(StreamState::Stopped, self.deps.clock.now_ms());
        tracing::info!("edge daemon ends");
        match exit {
            Exit::Shutdown => Ok(()),
            Exit::Refused(refused) => Err(RunError::Refused { refused, said: self.said }),
        }
    }
}

/// Whether the controller will never have this node again as it is.
fn refusal(error: &ApiError) -> Option<Refused> {
    match (error.code, error.reason) {
        (_, Some(Reason::Revoked)) => Some(Refused::Revoked),
        // Clocks are set right, and who comes with an ended token attests anew: it passes.
        (_, Some(Reason::ClockSkew | Reason::TokenEnded)) => None,
        (Code::Unauthenticated | Code::PermissionDenied, _) => Some(Refused::Unauthorized),
        _ => None,
    }
}
