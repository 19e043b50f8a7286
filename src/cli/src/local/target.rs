//! What `exec` and `logs` are asked for: an app by name or id, an instance, a task.

use aegis_wire::runtime::{App, Instance, InstanceState, RuntimeClient, RuntimeError};

use crate::failure::Failure;

/// Whose logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An instance's.
    Instance(String),
    /// A task's.
    Task(String),
}

/// The instance that a command is to run in. A stopped one is found, too: the daemon says that it is stopped.
pub async fn running_instance(client: &RuntimeClient, target: &str) -> Result<String, Failure> {
    match found(client, target).await? {
        Found::Instance(id) => Ok(id),
        Found::Idle(app) => Err(Failure::generic(format!("app {} has no instance", app.name))
            .hint(format!("`aegis app serve {}` starts one", app.name))),
        Found::Nothing => Err(missing(target)),
    }
}

/// Whose logs `target` means.
pub async fn logs_target(client: &RuntimeClient, target: &str) -> Result<Source, Failure> {
    if target.starts_with("task-") {
        return Ok(Source::Task(target.to_owned()));
    }
    running_instance(client, target).await.map(Source::Instance)
}

enum Found {
    Instance(String),
    Idle(App),
    Nothing,
}

async fn found(client: &RuntimeClient, target: &str) -> Result<Found, Failure> {
    if target.starts_with("inst-")
        && let Some(instance) = there(client.instance(target).await)?
    {
        return Ok(Found::Instance(instance.id));
    }
    let Some(app) = there(client.app(target).await)? else { return Ok(Found::Nothing) };
    let instances = client.instances().await?;
    Ok(match of_app(&instances, &app) {
        Some(instance) => Found::Instance(instance.id.clone()),
        None => Found::Idle(app),
    })
}

/// An app's instance: one that has a guest before one that has none, and of those the newest.
fn of_app<'a>(instances: &'a [Instance], app: &App) -> Option<&'a Instance> {
    let of_app = instances.iter().filter(|instance| instance.app_id.as_ref() == Some(&app.id));
    of_app.max_by_key(|instance| (instance.state != InstanceState::Stopped, instance.created_at))
}

fn there<T>(answer: Result<T, RuntimeError>) -> Result<Option<T>, RuntimeError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.status == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

fn missing(target: &str) -> Failure {
    Failure::not_found(format!("there is no app or instance {target}"))
        .hint("`aegis app list` and `aegis instance list` show what there is")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::local::sample;

    #[test]
    fn an_apps_instance_is_the_one_that_lives() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let instance =
            |id: &str, state, created| Instance { state, created_at: at(created), ..sample::instance(id) };
        let app = sample::app("web");
        let instances = [
            instance("inst-1", InstanceState::Stopped, 9),
            instance("inst-2", InstanceState::Paused, 2),
            instance("inst-3", InstanceState::Running, 3),
            Instance { app_id: None, ..instance("inst-4", InstanceState::Running, 8) },
        ];
        assert_eq!(of_app(&instances, &app).unwrap().id, "inst-3");
        assert_eq!(of_app(&instances[..1], &app).unwrap().id, "inst-1");
        assert!(of_app(&instances[3..], &app).is_none());
    }
}
