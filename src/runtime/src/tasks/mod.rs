//! Tasks: a command that runs once in a guest of its own.

mod run;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use aegis_store::Batch;
use aegis_wire::runtime::{CreateTask, RuntimeError, Task, TaskState};
use tokio::sync::watch;

use crate::{
    id, keyspace,
    record::{self, RunSpec, TaskRow},
    state::{Daemon, check_command, lock},
};

/// How many that have ended are kept.
const KEPT: usize = 500;

/// Those that aren't over.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<BTreeMap<String, Running>>);

/// One that isn't over.
#[derive(Debug, Clone)]
struct Running {
    /// True: somebody wants it to end.
    cancel: Arc<watch::Sender<bool>>,
    /// As it stands.
    task: watch::Receiver<Task>,
}

impl Tasks {
    fn get(&self, id: &str) -> Option<Running> {
        lock(&self.0).get(id).cloned()
    }
    pub(super) fn remove(&self, id: &str) {
        lock(&self.0).remove(id);
    }
    pub(super) fn ids(&self) -> Vec<String> {
        lock(&self.0).keys().cloned().collect()
    }
}

/// Creates a task and sets it going.
pub(crate) async fn create(daemon: &Arc<Daemon>, wish: CreateTask) -> Result<Task, RuntimeError> {
    check_command(&wish.command)?;
    daemon.check_options(&wish.options)?;
    let backend = daemon.backends.find(wish.options.backend.as_deref())?;
    let now = daemon.clock.now();
    let task = Task {
        id: id::new("task", now),
        state: TaskState::Queued,
        command: wish.command.clone(),
        image: wish.image.clone(),
        backend: backend.name().to_owned(),
        exit_code: None,
        error: None,
        created_at: now,
        started_at: None,
        ended_at: None,
    };
    let run =
        RunSpec { image: wish.image, command: wish.command, options: wish.options, ..RunSpec::default() };
    // What is missing is said before anything is made.
    crate::guests::environment(&daemon.secrets, None, &run)?;
    let row = TaskRow { task: task.clone(), run, timeout_ms: wish.timeout_ms };
    let mut batch = Batch::new();
    row.put(&mut batch);
    forget_old(daemon, &mut batch)?;
    record::commit(&*daemon.store, batch).await?;
    let (view, watched) = watch::channel(task.clone());
    let (cancel, cancelled) = watch::channel(false);
    lock(&daemon.tasks.0).insert(task.id.clone(), Running { cancel: Arc::new(cancel), task: watched });
    tokio::spawn(run::run(daemon.clone(), row, view, cancelled));
    Ok(task)
}

/// Removes the rows of tasks that ended long ago.
fn forget_old(daemon: &Daemon, batch: &mut Batch) -> Result<(), RuntimeError> {
    let rows: Vec<TaskRow> = record::list(&*daemon.store, keyspace::TASKS)?;
    let over: Vec<&TaskRow> = rows.iter().filter(|row| row.task.state.is_over()).collect();
    for row in over.iter().take(over.len().saturating_sub(KEPT)) {
        batch.delete(keyspace::task(&row.task.id));
        daemon.remove_log(&row.task.id);
    }
    Ok(())
}

/// All tasks that are kept, the newest first.
pub(crate) fn list(daemon: &Daemon) -> Result<Vec<Task>, RuntimeError> {
    let rows: Vec<TaskRow> = record::list(&*daemon.store, keyspace::TASKS)?;
    Ok(rows.into_iter().rev().map(|row| row.task).collect())
}

/// One task.
pub(crate) fn get(daemon: &Daemon, id: &str) -> Result<Task, RuntimeError> {
    let row: Option<TaskRow> = record::get(&*daemon.store, &keyspace::task(id))?;
    row.map(|row| row.task).ok_or_else(|| {
        RuntimeError::not_found(format!("there is no task '{id}'")).hint("list them: `aegis task ls`")
    })
}

/// A view of one that changes with it; none when it is over.
pub(crate) fn watch(daemon: &Daemon, id: &str) -> Option<watch::Receiver<Task>> {
    daemon.tasks.get(id).map(|running| running.task)
}

/// Ends a task and waits until it has ended. One that is over is forgotten.
pub(crate) async fn cancel(daemon: &Arc<Daemon>, id: &str) -> Result<(), RuntimeError> {
    if let Some(mut running) = daemon.tasks.get(id) {
        running.cancel.send_replace(true);
        // An error: it is over, and nobody changes it any more.
        let _ = running.task.wait_for(|task| task.state.is_over()).await;
        return Ok(());
    }
    get(daemon, id)?;
    let mut batch = Batch::new();
    batch.delete(keyspace::task(id));
    record::commit(&*daemon.store, batch).await?;
    daemon.remove_log(id);
    Ok(())
}

/// Ends all that run because the daemon stops.
pub(crate) async fn stop_all(daemon: &Arc<Daemon>) {
    let ends = daemon.tasks.ids().into_iter().map(|id| {
        let daemon = daemon.clone();
        async move { drop(cancel(&daemon, &id).await) }
    });
    futures::future::join_all(ends).await;
}

/// Tasks that were under way when the daemon before this ended: they failed.
pub(crate) fn recover(daemon: &Daemon, batch: &mut Batch) -> Result<usize, RuntimeError> {
    let mut count = 0;
    for mut row in record::list::<TaskRow>(&*daemon.store, keyspace::TASKS)? {
        if !row.task.state.is_over() {
            row.task.state = TaskState::Failed;
            row.task.error = Some("aegisd ended while it ran".to_owned());
            row.task.ended_at = Some(daemon.clock.now());
            row.put(batch);
            count += 1;
        }
    }
    Ok(count)
}
