//! The life of one task: queued, running, over.

use std::{sync::Arc, time::Duration};

use aegis_store::{Batch, fault};
use aegis_wire::runtime::{Task, TaskState};
use tokio::sync::watch;

use crate::{
    guests::{Launch, LaunchError, Live, MainExit, end_of_silent, kill, launch, shut_down, system},
    record::{self, TaskRow},
    state::Daemon,
    workspace::Owner,
};

/// Between SIGTERM and the end of the machine.
const GRACE: Duration = Duration::from_secs(5);
const SIGTERM: i32 = 15;

/// How a task ended.
struct End {
    state: TaskState,
    exit_code: Option<i32>,
    error: Option<String>,
}

impl End {
    fn new(state: TaskState, exit_code: Option<i32>, error: Option<String>) -> Self {
        Self { state, exit_code, error }
    }
}

/// Runs a task to its end.
pub(super) async fn run(
    daemon: Arc<Daemon>,
    mut row: TaskRow,
    view: watch::Sender<Task>,
    mut cancel: watch::Receiver<bool>,
) {
    let end = to_the_end(&daemon, &mut row, &view, &mut cancel).await;
    row.task.state = end.state;
    row.task.exit_code = end.exit_code;
    row.task.error = end.error;
    row.task.ended_at = Some(daemon.clock.now());
    fault::point("task.end.before");
    write(&daemon, &row).await;
    fault::point("task.end.after");
    view.send_replace(row.task.clone());
    daemon.tasks.remove(&row.task.id);
}

async fn to_the_end(
    daemon: &Arc<Daemon>,
    row: &mut TaskRow,
    view: &watch::Sender<Task>,
    cancel: &mut watch::Receiver<bool>,
) -> End {
    let journal = daemon.journal(&row.task.id);
    let wish = Launch {
        id: row.task.id.clone(),
        app: None,
        run: row.run.clone(),
        workspace: row.run.options.workspace.clone().map(Owner::Named),
        is_trial: false,
        waits_for_room: true,
    };
    let launched = tokio::select! {
        launched = launch(daemon, &wish, &journal) => launched,
        () = cancelled(cancel) => return End::new(TaskState::Cancelled, None, None),
    };
    let mut live = match launched {
        Ok(live) => live,
        Err(error) => {
            let code = match &error {
                LaunchError::NotStarted { code, .. } => Some(*code),
                LaunchError::Failed(_) => None,
            };
            let reason = error.reason();
            journal.write(system(daemon, &reason));
            return End::new(TaskState::Failed, code, Some(reason));
        }
    };
    row.task.state = TaskState::Running;
    row.task.started_at = Some(daemon.clock.now());
    write(daemon, row).await;
    view.send_replace(row.task.clone());
    let end = wait(&mut live, row.timeout_ms.map(Duration::from_millis), cancel).await;
    if wish.workspace.is_some() {
        // What was written has to reach its disk.
        shut_down(&live.guest, &live.machine).await;
    } else {
        kill(&live.machine).await;
    }
    end
}

async fn wait(live: &mut Live, timeout: Option<Duration>, cancel: &mut watch::Receiver<bool>) -> End {
    let Some(main) = live.main.take() else {
        return End::new(TaskState::Failed, None, Some("the process is gone".to_owned()));
    };
    let mut exit = tokio::spawn(main.wait());
    let machine = live.machine.clone();
    let late = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let (state, why) = tokio::select! {
        exit = &mut exit => {
            if let Ok(Ok(exit)) = exit {
                return ended(&exit);
            }
            let reason = end_of_silent(&machine).await;
            return End::new(TaskState::Failed, None, Some(format!("the machine ended: {reason}")));
        },
        died = machine.wait() => {
            // The exit may have come with the machine's end.
            return match tokio::time::timeout(Duration::from_secs(1), exit).await {
                Ok(Ok(Ok(exit))) => ended(&exit),
                _ => End::new(TaskState::Failed, None, Some(format!("the machine ended: {}", died.reason))),
            };
        },
        () = late => (TaskState::TimedOut, timeout.map(|limit| format!("it took longer than {limit:?}"))),
        () = cancelled(cancel) => (TaskState::Cancelled, None),
    };
    // Whether it hears this or not, it ends.
    let _ = live.guest.signal(aegis_harness::stream::MAIN, SIGTERM);
    let code = match tokio::time::timeout(GRACE, exit).await {
        Ok(Ok(Ok(exit))) => Some(exit.code),
        _ => None,
    };
    End::new(state, code, why)
}

fn ended(exit: &MainExit) -> End {
    let state = if exit.code == 0 { TaskState::Succeeded } else { TaskState::Failed };
    let error =
        exit.out_of_memory.then(|| "the guest's memory ran out; give it more with --memory".to_owned());
    End::new(state, Some(exit.code), error)
}

async fn cancelled(cancel: &mut watch::Receiver<bool>) {
    if cancel.wait_for(|cancel| *cancel).await.is_err() {
        // Nobody is left who could cancel it.
        std::future::pending::<()>().await;
    }
}

async fn write(daemon: &Daemon, row: &TaskRow) {
    let mut batch = Batch::new();
    row.put(&mut batch);
    if let Err(error) = record::commit(&*daemon.store, batch).await {
        tracing::error!(task = row.task.id, %error, "a task's state can't be written");
    }
}
