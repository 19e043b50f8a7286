//! Instances: a guest with one long-running process, and what the rest of the daemon asks of them.

mod actor;
mod handle;
mod ready;
mod show;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use aegis_core::instance::{Ask, Cause, Instance as Machine, Rules, Unmet};
use aegis_store::Batch;
use aegis_wire::runtime::{CreateInstance, RuntimeError};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use self::{actor::Actor, handle::Identity};
pub(crate) use self::{
    actor::Message,
    handle::{Handle, Lease, View, reason, unmet},
    show::show,
};
use crate::{
    id, keyspace, ports,
    record::{self, AppOf, InstanceRow, RunSpec},
    state::{Daemon, check_command, lock},
};

/// All instances that there are.
#[derive(Debug, Default)]
pub(crate) struct Instances(Mutex<BTreeMap<String, Handle>>);

impl Instances {
    /// The one with this id.
    pub fn get(&self, id: &str) -> Result<Handle, RuntimeError> {
        lock(&self.0).get(id).cloned().ok_or_else(|| {
            RuntimeError::not_found(format!("there is no instance '{id}'"))
                .hint("list them: `aegis instance list`")
        })
    }

    /// All, the oldest first.
    pub fn all(&self) -> Vec<Handle> {
        lock(&self.0).values().cloned().collect()
    }

    /// Those of an app, the oldest first.
    pub fn of_app(&self, app_id: &str) -> Vec<Handle> {
        let is_of = |handle: &&Handle| handle.identity.app.as_ref().is_some_and(|app| app.id == app_id);
        lock(&self.0).values().filter(is_of).cloned().collect()
    }

    /// How many aren't stopped.
    pub fn live(&self) -> u64 {
        lock(&self.0).values().filter(|handle| handle.view.borrow().has_machine).count() as u64
    }

    fn remove(&self, id: &str) {
        lock(&self.0).remove(id);
    }
}

/// Creates an instance that belongs to no app, and boots it.
pub(crate) async fn create(daemon: &Arc<Daemon>, wish: CreateInstance) -> Result<Handle, RuntimeError> {
    check_command(&wish.command)?;
    daemon.check_options(&wish.options)?;
    let run = RunSpec {
        image: wish.image,
        command: wish.command,
        expose: wish.expose,
        options: wish.options,
        ..RunSpec::default()
    };
    make(daemon, None, run, false).await
}

/// Makes an instance and boots it. What can be known to fail fails here; what comes after is in its state.
pub(crate) async fn make(
    daemon: &Arc<Daemon>,
    app: Option<AppOf>,
    run: RunSpec,
    is_declared: bool,
) -> Result<Handle, RuntimeError> {
    let backend = daemon.backends.find(run.options.backend.as_deref())?;
    crate::guests::environment(&daemon.secrets, app.as_ref(), &run)?;
    let memory = run.options.memory_mib.unwrap_or(daemon.config.defaults.memory);
    drop(daemon.capacity.take(memory)?);
    let now = daemon.clock.now();
    let row = InstanceRow {
        id: id::new("inst", now),
        app,
        run,
        is_declared,
        backend: backend.name().to_owned(),
        created_at: now,
        last_active_at: now,
        is_live: false,
        cause: Cause::New,
    };
    let holder = row.app.as_ref().map_or(row.id.as_str(), |app| &app.id);
    ports::assign(daemon, holder, &row.run.expose).await?;
    let mut batch = Batch::new();
    row.put(&mut batch);
    record::commit(&*daemon.store, batch).await?;
    // Two machines never have one disk. The new one is tried on a copy, and gets the disk when it takes over.
    let trial = backend.capabilities().boot_from_disk_layers
        && row.app.as_ref().is_some_and(|app| {
            daemon.instances.of_app(&app.id).iter().any(|other| other.view.borrow().has_machine)
        });
    let handle = adopt(daemon, row, trial);
    // The boot belongs to the instance; nobody has to wait for it here.
    let starting = handle.clone();
    tokio::spawn(async move { drop(starting.ask(Ask::Start).await) });
    // From here on everybody sees that it boots. An error: it is gone again already.
    let _ = handle.watch().wait_for(|view| view.cause != Some(Cause::New)).await;
    Ok(handle)
}

/// Gives a row its task.
fn adopt(daemon: &Arc<Daemon>, row: InstanceRow, trial: bool) -> Handle {
    let (myself, messages) = mpsc::unbounded_channel();
    let machine = Machine::new(rules(daemon, &row), row.cause.clone(), std::time::Duration::ZERO);
    let (view, watched) = watch::channel(View {
        state: machine.state(),
        has_machine: false,
        cause: Some(row.cause.clone()),
        connections: 0,
        last_active_at: row.last_active_at,
        is_removed: false,
        trouble: None,
    });
    let (guest, guest_watched) = watch::channel(None);
    let identity = Identity {
        id: row.id.clone(),
        app: row.app.clone(),
        run: row.run.clone(),
        is_declared: row.is_declared,
        backend: row.backend.clone(),
        created_at: row.created_at,
        trial: AtomicBool::new(trial),
    };
    let identity = Arc::new(identity);
    let handle =
        Handle { identity: identity.clone(), messages: myself.clone(), view: watched, guest: guest_watched };
    lock(&daemon.instances.0).insert(row.id.clone(), handle.clone());
    let actor = Actor {
        daemon: daemon.clone(),
        identity,
        journal: daemon.journal(&row.id),
        row,
        machine,
        messages,
        myself,
        view,
        guest,
        begun: Instant::now(),
        answers: HashMap::new(),
        live: None,
        launching: None,
        watching: Vec::new(),
        last_health: None,
        trouble: None,
        is_closing: false,
    };
    tokio::spawn(actor.run());
    handle
}

fn rules(daemon: &Daemon, row: &InstanceRow) -> Rules {
    let (pause_after, stop_after) = daemon.config.idle_times();
    let of = |own: Option<u64>, other| match own {
        Some(0) => None,
        Some(own) => Some(std::time::Duration::from_millis(own)),
        None => other,
    };
    let can_pause =
        daemon.backends.find(Some(&row.backend)).is_ok_and(|backend| backend.capabilities().pause_resume);
    Rules {
        pause_after: of(row.run.pause_after_ms, pause_after),
        stop_after: of(row.run.stop_after_ms, stop_after),
        can_pause,
        ..Rules::default()
    }
}

/// Asks an instance, and says what is wrong as the API does.
pub(crate) async fn ask(handle: &Handle, ask: Ask) -> Result<(), RuntimeError> {
    handle.ask(ask).await.map_err(|error| unmet(handle.id(), &error))
}

/// Waits until an instance is ready, or says why it isn't.
pub(crate) async fn until_ready(handle: &Handle) -> Result<(), RuntimeError> {
    match handle.ask(Ask::Start).await {
        Ok(()) => Ok(()),
        Err(Unmet::Stopped(cause)) => {
            let why = reason(&cause).unwrap_or_else(|| "somebody stopped it".to_owned());
            Err(RuntimeError::new(
                422,
                "boot_failed",
                format!("instance {} didn't start: {why}", handle.id()),
            )
            .hint(format!("look at its log: `aegis logs {}`", handle.id())))
        }
        Err(other) => Err(unmet(handle.id(), &other)),
    }
}

/// Makes the instances of the rows that there are. Those that ran when the daemon before this ended are stopped.
pub(crate) fn recover(daemon: &Arc<Daemon>, batch: &mut Batch) -> Result<usize, RuntimeError> {
    let mut count = 0;
    for mut row in record::list::<InstanceRow>(&*daemon.store, keyspace::INSTANCES)? {
        if row.is_live {
            row.is_live = false;
            row.cause = Cause::Daemon;
            row.put(batch);
            count += 1;
        }
        adopt(daemon, row, false);
    }
    Ok(count)
}

/// Stops all of them because the daemon stops.
pub(crate) async fn stop_all(daemon: &Arc<Daemon>) {
    let stops = daemon.instances.all().into_iter().map(|handle| async move {
        let _ = handle.messages.send(Message::Closing);
        // One that is gone is stopped.
        let _ = handle.ask(Ask::StopForDaemon).await;
    });
    futures::future::join_all(stops).await;
}
