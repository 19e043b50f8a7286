//! `/v1/instances`.

use std::sync::Arc;

use aegis_core::instance::{Ask, Cause, State};
use aegis_wire::runtime::{Record, RuntimeError};

use super::{
    call::{Answer, Call},
    stream::{lines, query, write_log},
};
use crate::{
    apps,
    instances::{self, Handle, View, ask, reason, show, until_ready},
    state::Daemon,
};

pub(super) async fn create(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let handle = instances::create(&daemon, call.read()?).await?;
    Answer::created(&show(&daemon, &handle))
}

pub(super) async fn list(daemon: Arc<Daemon>, _: Call) -> Result<Answer, RuntimeError> {
    let all: Vec<_> = daemon.instances.all().iter().map(|handle| show(&daemon, handle)).collect();
    Answer::ok(&all)
}

pub(super) async fn get(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let handle = find(&daemon, &call)?;
    Answer::ok(&show(&daemon, &handle))
}

pub(super) async fn delete(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    ask(&find(&daemon, &call)?, Ask::Delete).await?;
    Ok(Answer::Done)
}

pub(super) async fn pause(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    asked(daemon, call, Ask::Pause).await
}

pub(super) async fn resume(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    asked(daemon, call, Ask::Resume).await
}

pub(super) async fn stop(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    asked(daemon, call, Ask::Stop).await
}

pub(super) async fn start(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let handle = find(&daemon, &call)?;
    until_ready(&handle).await?;
    Answer::ok(&show(&daemon, &handle))
}

async fn asked(daemon: Arc<Daemon>, call: Call, what: Ask) -> Result<Answer, RuntimeError> {
    let handle = find(&daemon, &call)?;
    ask(&handle, what).await?;
    Answer::ok(&show(&daemon, &handle))
}

/// The instance that a path names: by its id, or as the one that serves an app.
pub(super) fn find(daemon: &Daemon, call: &Call) -> Result<Handle, RuntimeError> {
    let reference = call.segment(0);
    match daemon.instances.get(reference) {
        Ok(handle) => Ok(handle),
        Err(unknown) => {
            let Ok(name) = daemon.app_name(reference) else { return Err(unknown) };
            apps::serving(daemon, &name).ok_or_else(|| {
                RuntimeError::not_found(format!("the app {name} has no instance"))
                    .hint(format!("serve it: `aegis app serve {name}`"))
            })
        }
    }
}

pub(super) async fn logs(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let query = query(&call)?;
    let handle = find(&daemon, &call)?;
    let (writer, answer) = lines();
    let follows = query.follow;
    let reader = daemon.journal(handle.id()).read(query)?;
    tokio::spawn(async move {
        let header = Record::Header { id: handle.id().to_owned(), kind: "instance".to_owned() };
        if !writer.send(&header).await {
            return;
        }
        // Whoever follows keeps it awake.
        let _follower = follows.then(|| handle.follow());
        let over = {
            let mut view = handle.watch();
            // An error: the instance is gone.
            async move { drop(view.wait_for(is_over).await) }
        };
        if write_log(&writer, reader, over).await {
            writer.send(&done(&handle.view())).await;
        }
    });
    Ok(answer)
}

/// Whether nothing more comes unless somebody starts it by hand.
fn is_over(view: &View) -> bool {
    view.is_removed
        || (view.state == State::Stopped
            && view.cause.as_ref().is_some_and(|cause| !cause.is_woken() && *cause != Cause::New))
}

fn done(view: &View) -> Record {
    let (exit_code, error) = match &view.cause {
        Some(Cause::Exited { code, .. }) => (*code, None),
        Some(cause) => (0, reason(cause)),
        None => (0, None),
    };
    Record::Done { exit_code, done: true, error }
}
