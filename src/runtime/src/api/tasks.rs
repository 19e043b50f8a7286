//! `/v1/tasks`.

use std::sync::Arc;

use aegis_wire::runtime::{Record, RuntimeError, Task};

use super::{
    call::{Answer, Call},
    stream::{lines, query, write_log},
};
use crate::{state::Daemon, tasks};

pub(super) async fn create(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    Answer::created(&tasks::create(&daemon, call.read()?).await?)
}

pub(super) async fn list(daemon: Arc<Daemon>, _: Call) -> Result<Answer, RuntimeError> {
    Answer::ok(&tasks::list(&daemon)?)
}

pub(super) async fn get(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    Answer::ok(&tasks::get(&daemon, call.segment(0))?)
}

pub(super) async fn cancel(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    tasks::cancel(&daemon, call.segment(0)).await?;
    Ok(Answer::Done)
}

pub(super) async fn logs(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let query = query(&call)?;
    // First the view of one that runs: one that ends in between is read from the store then.
    let running = tasks::watch(&daemon, call.segment(0));
    let task = tasks::get(&daemon, call.segment(0))?;
    let (writer, answer) = lines();
    let reader = daemon.journal(&task.id).read(query)?;
    tokio::spawn(async move {
        let header = Record::Header { id: task.id.clone(), kind: "task".to_owned() };
        if !writer.send(&header).await {
            return;
        }
        let over = {
            let running = running.clone();
            async move {
                if let Some(mut running) = running {
                    // An error: it is over, and nobody changes it any more.
                    let _ = running.wait_for(|task| task.state.is_over()).await;
                }
            }
        };
        if write_log(&writer, reader, over).await {
            let ended = running.map_or(task, |running| running.borrow().clone());
            writer.send(&done(&ended)).await;
        }
    });
    Ok(answer)
}

/// How a task ended; one that hasn't ended has the code 0 in a log that isn't followed.
fn done(task: &Task) -> Record {
    let code = if task.state.is_over() { task.exit_code.unwrap_or(-1) } else { 0 };
    let error = match (&task.error, task.state) {
        (Some(error), _) => Some(error.clone()),
        (None, aegis_wire::runtime::TaskState::Cancelled) => Some("cancelled".to_owned()),
        (None, _) => None,
    };
    Record::Done { exit_code: code, done: true, error }
}
