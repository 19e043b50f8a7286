//! One instance's task: what happens goes into the state machine, what it says is done.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use aegis_backend::{Guest, Machine};
use aegis_core::instance::{Ask, Boot, Cause, Input, Instance, Step, Unmet, Waiter};
use aegis_harness::message::Health;
use aegis_store::{Batch, fault};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
    time::Instant,
};

use super::{
    handle::{Identity, Lease, View, lease, reason},
    ready,
};
use crate::{
    guests::{AbortOnDrop, Launch, Live, Main, MainExit, end_of_silent, kill, launch, shut_down, system},
    journal::Journal,
    keyspace, ports,
    record::{self, InstanceRow},
    state::Daemon,
    workspace::Owner,
};

/// How long the exit of a process is waited for after its machine ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What somebody who asked is told: what is to be given back in the end, if anything is.
pub(super) type Granted = Result<Option<Lease>, Unmet>;

/// What an instance is told.
pub(crate) enum Message {
    /// Somebody asks for something.
    Asked { waiter: Waiter, ask: Ask, answer: oneshot::Sender<Granted> },
    /// Something happened.
    Input(Input),
    /// A boot has come so far that there is a process.
    Launched(Boot, Box<Live>),
    /// Its process won't be ready.
    NotReady(Boot, String),
    /// How the guest is.
    Health(Boot, Health),
    /// The daemon stops: nothing is begun any more.
    Closing,
}

pub(super) struct Actor {
    pub daemon: Arc<Daemon>,
    pub identity: Arc<Identity>,
    pub row: InstanceRow,
    pub machine: Instance,
    pub messages: mpsc::UnboundedReceiver<Message>,
    pub myself: mpsc::UnboundedSender<Message>,
    pub view: watch::Sender<View>,
    pub guest: watch::Sender<Option<Guest>>,
    pub journal: Journal,
    pub begun: Instant,
    pub answers: HashMap<Waiter, (Ask, oneshot::Sender<Granted>)>,
    pub live: Option<Box<Live>>,
    pub launching: Option<AbortHandle>,
    pub watching: Vec<AbortOnDrop>,
    pub last_health: Option<(Health, Instant)>,
    pub trouble: Option<String>,
    pub is_closing: bool,
}

impl Actor {
    /// Lives until the instance is removed or nobody knows it any more.
    pub async fn run(mut self) {
        loop {
            self.publish();
            if self.machine.is_removed() || (self.is_closing && !self.machine.has_machine()) {
                break;
            }
            let deadline = self.machine.deadline().map(|after| self.begun + after);
            let timer = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let health = self.next_health();
            let message = tokio::select! {
                biased;
                message = self.messages.recv() => match message {
                    Some(message) => message,
                    None => break,
                },
                () = timer => Message::Input(Input::Tick),
                () = health => {
                    self.ask_health();
                    continue;
                }
            };
            self.heed(message).await;
        }
        // Whoever still waits is told by the end of its channel.
    }

    async fn heed(&mut self, message: Message) {
        let input = match message {
            Message::Asked { waiter, ask, answer } => {
                if self.is_closing && matches!(ask, Ask::Use(_) | Ask::Start) {
                    let _ = answer.send(Err(Unmet::Stopped(Cause::Daemon)));
                    return;
                }
                self.answers.insert(waiter, (ask, answer));
                Input::Asked { waiter, ask }
            }
            Message::Launched(boot, live) => return self.launched(boot, live).await,
            Message::NotReady(boot, reason) => {
                let Some(live) = self.live.as_ref().filter(|_| boot == self.machine.boot()) else { return };
                kill(&live.machine).await;
                Input::Ended { boot, cause: Cause::BootFailed { reason } }
            }
            Message::Health(boot, health) => {
                if boot != self.machine.boot() || !self.is_busy(health) {
                    return;
                }
                Input::Active
            }
            Message::Closing => {
                self.is_closing = true;
                return;
            }
            Message::Input(input) => {
                if let Input::Gone { waiter } = &input {
                    self.answers.remove(waiter);
                }
                input
            }
        };
        self.feed(input).await;
    }

    async fn feed(&mut self, input: Input) {
        if let Input::Ended { boot, cause } = &input
            && *boot == self.machine.boot()
            && self.machine.has_machine()
        {
            self.ended(cause);
        }
        let steps = self.machine.on(input, self.begun.elapsed()).into_iter();
        let (answers, steps): (Vec<_>, Vec<_>) = steps.partition(|step| matches!(step, Step::Answer { .. }));
        for step in steps {
            self.act(step).await;
        }
        self.write_if_changed().await;
        // Whoever is answered finds it so: a serve right after a stop doesn't take it for one that runs.
        self.publish();
        for answer in answers {
            self.act(answer).await;
        }
    }

    async fn act(&mut self, step: Step) {
        match step {
            Step::Boot(boot) => self.boot(boot).await,
            Step::Pause => {
                if let Some(live) = &self.live
                    && let Err(error) = live.machine.pause().await
                {
                    self.give_up(format!("it couldn't be paused: {error}"));
                }
            }
            Step::Resume => {
                if let Some(live) = &self.live {
                    match live.machine.resume().await {
                        Ok(()) => ready::set_clock(&self.daemon, &live.guest),
                        Err(error) => self.give_up(format!("it couldn't be resumed: {error}")),
                    }
                }
                self.last_health = None;
            }
            Step::ShutDown(_) => {
                self.guest.send_replace(None);
                if let Some(live) = &self.live {
                    let (guest, machine) = (live.guest.clone(), live.machine.clone());
                    tokio::spawn(async move { shut_down(&guest, &machine).await });
                }
            }
            Step::Kill(_) => {
                self.guest.send_replace(None);
                if let Some(launching) = &self.launching {
                    launching.abort();
                }
                if let Some(live) = &self.live {
                    let machine = live.machine.clone();
                    tokio::spawn(async move { kill(&machine).await });
                }
            }
            Step::EndExecs => drop(self.guest.send_replace(None)),
            Step::Answer { waiter, answer } => {
                if let Some((ask, sender)) = self.answers.remove(&waiter) {
                    let granted = |what| lease(&self.myself, what);
                    let answer =
                        answer.map(|()| if let Ask::Use(what) = ask { Some(granted(what)) } else { None });
                    // Somebody who went away drops the lease, and by that gives it back.
                    let _ = sender.send(answer);
                }
            }
            Step::Remove => self.remove().await,
        }
    }

    /// The machine is in a state that nobody knows: it is ended, and the reason kept.
    fn give_up(&mut self, reason: String) {
        tracing::warn!(instance = self.row.id, reason, "an instance is given up");
        self.trouble = Some(reason);
        if let Some(live) = &self.live {
            let machine = live.machine.clone();
            tokio::spawn(async move { kill(&machine).await });
        }
    }

    async fn boot(&mut self, boot: Boot) {
        self.trouble = None;
        self.row.is_live = true;
        self.write().await;
        fault::point("instance.boot.before");
        let wish = Launch {
            id: self.row.id.clone(),
            app: self.row.app.clone(),
            run: self.row.run.clone(),
            workspace: workspace_of(&self.row),
            is_trial: self.identity.trial.load(Ordering::Acquire),
            waits_for_room: false,
        };
        let (daemon, journal, myself) = (self.daemon.clone(), self.journal.clone(), self.myself.clone());
        let launching = tokio::spawn(async move { launch(&daemon, &wish, &journal).await });
        self.launching = Some(launching.abort_handle());
        tokio::spawn(async move {
            let message = match launching.await {
                Ok(Ok(live)) => Message::Launched(boot, Box::new(live)),
                Ok(Err(error)) => {
                    Message::Input(Input::Ended { boot, cause: Cause::BootFailed { reason: error.reason() } })
                }
                Err(error) if error.is_cancelled() => {
                    Message::Input(Input::Ended { boot, cause: Cause::Asked })
                }
                Err(error) => Message::Input(Input::Ended {
                    boot,
                    cause: Cause::BootFailed { reason: format!("the boot ended abruptly: {error}") },
                }),
            };
            // An instance that is gone drops the guest with the message, which kills it.
            let _ = myself.send(message);
        });
    }

    async fn launched(&mut self, boot: Boot, mut live: Box<Live>) {
        self.launching = None;
        if boot != self.machine.boot() || self.machine.state() != aegis_core::instance::State::Starting {
            // Asked to end while it booted.
            kill(&live.machine).await;
            drop(live);
            return self.feed(Input::Ended { boot, cause: Cause::Asked }).await;
        }
        let (main, machine, myself) = (live.main.take(), live.machine.clone(), self.myself.clone());
        self.watching.push(AbortOnDrop(tokio::spawn(watch_end(boot, main, machine, myself))));
        let (guest, run, daemon, myself) =
            (live.guest.clone(), self.row.run.clone(), self.daemon.clone(), self.myself.clone());
        self.watching.push(AbortOnDrop(tokio::spawn(async move {
            let message = match ready::wait(&daemon, &guest, &run).await {
                Ok(()) => Message::Input(Input::Booted { boot }),
                Err(reason) => Message::NotReady(boot, reason),
            };
            let _ = myself.send(message);
        })));
        self.guest.send_replace(Some(live.guest.clone()));
        self.live = Some(live);
        fault::point("instance.boot.after");
    }

    /// The machine is gone: what it had is given back before anybody is told.
    fn ended(&mut self, cause: &Cause) {
        self.launching = None;
        self.guest.send_replace(None);
        self.watching.clear();
        self.last_health = None;
        // The rest of the output is on its way through the pumps; dropping the guest's streams ends them.
        self.live = None;
        let cause = self.machine.cause().unwrap_or(cause);
        if let Some(line) = reason(cause) {
            self.journal.write(system(&self.daemon, &line));
        }
    }

    async fn remove(&mut self) {
        fault::point("instance.remove.before");
        if let Some(app) = &self.row.app {
            self.daemon.forget_serving(&app.name, &self.row.id).await;
        }
        let mut batch = Batch::new();
        batch.delete(keyspace::instance(&self.row.id));
        // Those of an app stay its own.
        if self.row.app.is_none() {
            ports::forget(&self.daemon, &self.row.id, &mut batch);
        }
        if let Err(error) = record::commit(&*self.daemon.store, batch).await {
            tracing::error!(instance = self.row.id, %error, "an instance's row can't be removed");
        }
        self.daemon.remove_log(&self.row.id);
        self.daemon.instances.remove(&self.row.id);
        fault::point("instance.remove.after");
    }

    /// Writes the row when something that has to outlive the daemon has changed.
    async fn write_if_changed(&mut self) {
        let is_live = self.machine.has_machine();
        let cause = self.machine.cause().filter(|_| !is_live).cloned();
        let cause = cause.unwrap_or_else(|| self.row.cause.clone());
        if self.machine.is_removed() || (is_live == self.row.is_live && cause == self.row.cause) {
            return;
        }
        self.row.is_live = is_live;
        self.row.cause = cause;
        self.write().await;
    }

    async fn write(&mut self) {
        self.row.last_active_at = self.last_active_at();
        let mut batch = Batch::new();
        self.row.put(&mut batch);
        if let Err(error) = record::commit(&*self.daemon.store, batch).await {
            tracing::error!(instance = self.row.id, %error, "an instance's state can't be written");
        }
    }

    fn last_active_at(&self) -> Timestamp {
        if self.machine.active_at().is_zero() {
            // Not since this daemon started.
            return self.row.last_active_at;
        }
        let ago = self.begun.elapsed().saturating_sub(self.machine.active_at());
        let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::ZERO);
        let at = self.daemon.clock.now().saturating_sub(ago).unwrap_or(self.row.last_active_at);
        at.max(self.row.created_at)
    }

    fn publish(&self) {
        let view = View {
            state: self.machine.state(),
            has_machine: self.machine.has_machine(),
            cause: self.machine.cause().cloned(),
            connections: self.machine.connections(),
            last_active_at: self.last_active_at(),
            is_removed: self.machine.is_removed(),
            trouble: self.trouble.clone(),
        };
        let mut has_moved = false;
        self.view.send_if_modified(|old| {
            let is_new = *old != view;
            has_moved = old.state != view.state || old.cause != view.cause;
            *old = view;
            is_new
        });
        if has_moved && let (Some(app), Some(reconciler)) = (&self.row.app, self.daemon.reconciler.get()) {
            reconciler.trigger(&app.name);
        }
    }

    /// When the guest is asked next how it is: only where the answer keeps it awake.
    fn next_health(&self) -> impl Future<Output = ()> + use<> {
        let due = self.watches_health().then(|| {
            let every = ready::health_every(&self.row.run, &self.daemon.config);
            self.last_health
                .map_or_else(|| Instant::now() + every.min(Duration::from_secs(1)), |(_, at)| at + every)
        });
        async move {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        }
    }

    fn watches_health(&self) -> bool {
        self.machine.state() == aegis_core::instance::State::Running
            && self.machine.cause().is_none()
            && self.machine.deadline().is_some()
    }

    fn ask_health(&mut self) {
        let Some(guest) = self.guest.borrow().clone() else { return };
        // Until the answer is there, the last one counts as just asked for.
        let last = self.last_health.map_or_else(Health::default, |(health, _)| health);
        self.last_health = Some((last, Instant::now()));
        let (boot, myself) = (self.machine.boot(), self.myself.clone());
        tokio::spawn(async move {
            if let Ok(Ok(health)) = tokio::time::timeout(Duration::from_secs(5), guest.health()).await {
                let _ = myself.send(Message::Health(boot, health));
            }
        });
    }

    /// Whether the guest did something of its own since it was last asked.
    fn is_busy(&mut self, health: Health) -> bool {
        let Some((last, asked_at)) = self.last_health.replace((health, Instant::now())) else { return false };
        let is_first = last == Health::default();
        let every = ready::health_every(&self.row.run, &self.daemon.config).max(asked_at.elapsed());
        !is_first && ready::was_busy(&last, &health, every)
    }
}

/// Tells of the end of the process, and of that of the machine. Both may come at once, and the process's code is the
/// better reason.
async fn watch_end(
    boot: Boot,
    main: Option<Main>,
    machine: Arc<dyn Machine>,
    myself: mpsc::UnboundedSender<Message>,
) {
    let exited = |exit: MainExit| {
        // An instance that is gone needs to hear nothing.
        let _ = myself.send(Message::Input(Input::Exited { boot, code: exit.code }));
    };
    if let Some(main) = main {
        let mut main = tokio::spawn(main.wait());
        tokio::select! {
            exit = &mut main => if let Ok(Ok(exit)) = exit {
                exited(exit);
            } else {
                let cause = Cause::Died { reason: end_of_silent(&machine).await };
                let _ = myself.send(Message::Input(Input::Ended { boot, cause }));
                return;
            },
            _ = machine.wait() => {
                if let Ok(Ok(Ok(exit))) = tokio::time::timeout(LAST_WORDS, main).await {
                    exited(exit);
                }
            }
        }
    }
    let cause = Cause::Died { reason: machine.wait().await.reason };
    let _ = myself.send(Message::Input(Input::Ended { boot, cause }));
}

/// The workspace of an instance: what it names, or its app's own, or none.
fn workspace_of(row: &InstanceRow) -> Option<Owner> {
    match (&row.run.options.workspace, &row.app) {
        (Some(name), _) => Some(Owner::Named(name.clone())),
        (None, Some(app)) => Some(Owner::App(app.id.clone())),
        (None, None) => None,
    }
}
