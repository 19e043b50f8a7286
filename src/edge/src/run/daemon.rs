//! The daemon's loop: what happened goes into the state machine, what it says is done.

use std::{sync::Arc, time::Duration};

use aegis_core::session::{Action, Daemon, DaemonState, Exit, HELLO_WITHIN, Input, Refused};
use aegis_wire::{
    ApiError, Code, Reason,
    edge::{Capabilities, Event},
};
use tokio::{task::JoinHandle, time::Instant};

use super::{
    Control, Identity, RunDeps, RunError, RunOptions, Transport,
    assignment::Assignment,
    contexts::Contexts,
    invoke::Arrived,
    link::{Connection, Link, LinkEvent},
    offer::Offer,
    reporter::Reporter,
    seen::Seen,
    session::Session,
    stream::{Outbox, room, room_for_output},
    watch::{DEBOUNCE, FileWatch},
    work::Work,
};
use crate::{capabilities::capabilities, config::EdgeConfig, state::StreamState};

/// A token that was asked for and didn't come is asked for again after this time.
const RENEW_AGAIN: Duration = Duration::from_mins(1);

/// A running daemon.
pub(super) struct Running {
    pub options: RunOptions,
    pub deps: RunDeps,
    pub identity: Identity,
    pub reporter: Reporter,
    pub capabilities: Capabilities,
    pub config: EdgeConfig,
    pub transport: Arc<dyn Transport>,
    pub link: Option<Link>,
    /// The stream before, while what was sent on it arrives.
    pub closing: Option<JoinHandle<()>>,
    /// Waits between "connected" and Hello.
    pub connection: Option<Box<dyn Connection>>,
    pub session: Option<Session>,
    /// Whether the controller has answered Hello.
    pub welcomed: bool,
    /// What the controller wants, for the heartbeat.
    pub draining: bool,
    /// What waits for room on the stream.
    pub outbox: Outbox,
    /// What orders can set going.
    pub offer: Box<dyn Offer>,
    pub contexts: Contexts,
    pub assignment: Assignment,
    pub seen: Seen,
    /// Checked, and not yet let in by the state machine.
    pub arrived: Option<Arrived>,
    pub work: Work,
    /// Another key or token, and when it was noticed.
    pub next_identity: Option<(Identity, Instant)>,
    pub hello_at: Instant,
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
    offer: Box<dyn Offer>,
) -> Result<(), RunError> {
    let identity = Identity::load(&options.state)?;
    let endpoint = config.endpoint.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut watch = if options.watch { FileWatch::new(&options.state) } else { FileWatch::none() };
    let capabilities = capabilities(&config, &(deps.host)());
    tracing::info!(node = %identity.node_id, tenant = %identity.tenant, %endpoint, "edge daemon starts");
    let mut running = Running {
        assignment: Assignment::new(deps.runtime.clone(), config.takes_apps()),
        reporter: Reporter::new(options.state.clone(), endpoint, deps.clock.now_ms()),
        options,
        deps,
        identity,
        capabilities,
        transport,
        link: None,
        closing: None,
        connection: None,
        session: None,
        welcomed: false,
        draining: false,
        outbox: Outbox::new(),
        offer,
        contexts: Contexts::new(),
        seen: Seen::default(),
        arrived: None,
        work: Work::new(config.concurrent_tools()),
        next_identity: None,
        config,
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
        inputs.extend(std::iter::repeat_n(Input::WorkEnded, running.work.take_over()));
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
            Action::Dial => self.dial(),
            Action::Hangup => self.hang_up(),
            Action::SendHello => return self.hello(),
            Action::SendHeartbeat => return self.heartbeat(),
            Action::StartWork => return self.start_work(),
            Action::RefuseWork => return self.refuse_work(),
            // Time and the end are the loop's.
            Action::Wait(_) | Action::Exit(_) => {}
        }
        None
    }

    /// Waits for what happens next: on the link, from the host, to the config, or by time.
    async fn next(&mut self, due: Option<Instant>, watch: &mut FileWatch) -> Vec<Input> {
        let own = [
            self.reload_at,
            self.welcome_due(),
            self.renewal_due(Instant::now()),
            self.work.due(),
            self.change_due(),
        ];
        let due = own.into_iter().chain([due]).flatten().min();
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let outgoing = self.session.as_ref().and(self.link.as_ref()).and_then(Link::outgoing);
        let link = async {
            match &mut self.link {
                Some(link) => link.next().await,
                None => std::future::pending().await,
            }
        };
        // Said on a stream that takes it, or else it would be lost.
        let has_room = self.welcomed && self.outbox.is_empty();
        let (unsent, reads) = (!self.outbox.is_empty(), !self.outbox.is_full());
        let report = async {
            room_for_output(outgoing.as_ref()).await;
            self.work.next().await
        };
        tokio::select! {
            biased;
            event = link, if reads => self.on_link(event),
            () = timer => self.on_time(),
            control = self.deps.control.recv() => match control {
                Some(Control::Stop) => {
                    let in_flight = self.work.in_flight();
                    tracing::info!(in_flight, "the host wants the daemon to end; said twice, it waits for nothing");
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
            () = room(outgoing.as_ref()), if unsent => self.flush().into_iter().collect(),
            report = report => self.on_report(report),
            report = self.assignment.next(), if has_room => {
                let event = Event::ReportResult { revision: report.revision, objects: report.objects };
                self.send(event).into_iter().collect()
            }
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
        match &error {
            None => tracing::warn!("the controller closed the stream"),
            Some(error) => {
                tracing::warn!(%error, "the stream broke");
                self.heed(error);
                self.reporter.failed(&error.message);
            }
        }
        self.look_at_identity();
        if let Some(redial) = self.change_identity() {
            return vec![redial];
        }
        let Some(error) = error.filter(|_| self.is_settled()) else { return vec![Input::StreamEnded] };
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
            return self.send(Event::TokenRequest).into_iter().collect();
        }
        if self.work.due().is_some_and(|due| now >= due) {
            return self.stop_overdue(now);
        }
        if self.change_due().is_some_and(|due| now >= due) {
            return self.change_identity().into_iter().collect();
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
        if exit == Exit::Shutdown {
            self.close().await;
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
