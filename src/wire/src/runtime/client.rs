//! A client of `aegisd`: a typed call for every route.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    App, CreateApp, CreateInstance, CreateTask, Exec, Image, Instance, Kit, Pruned, Publish, PutSecret,
    Release, Rollback, Rotated, RuntimeError, SecretNames, Serve, Source, Status, Task, UpdateApp,
    connection::{Answer, Call, send, whole},
    records_client::{ExecSender, Records, open},
};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// Speaks to the daemon at one socket.
#[derive(Debug, Clone)]
pub struct RuntimeClient {
    socket: PathBuf,
}

/// Which records of a log.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogQuery {
    /// Whether to go on with what comes.
    pub follow: bool,
    /// Nothing before this.
    pub since: Option<Timestamp>,
    /// At most so many of those that are there already: the last ones.
    pub tail: Option<u64>,
    /// Only what this wrote.
    pub source: Option<Source>,
}

impl LogQuery {
    fn text(self) -> String {
        let mut text = format!("?follow={}", self.follow);
        // Writing to a string can't fail.
        if let Some(since) = self.since {
            let _ = write!(text, "&since={}", segment(&since.to_string()));
        }
        if let Some(tail) = self.tail {
            let _ = write!(text, "&tail={tail}");
        }
        if let Some(source) = self.source {
            let word = match source {
                Source::Main => "main",
                Source::Exec => "exec",
                Source::System => "system",
            };
            let _ = write!(text, "&source={word}");
        }
        text
    }
}

impl RuntimeClient {
    /// A client of the daemon whose socket is there. Nothing is opened yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }
    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the daemon is and can do.
    pub async fn status(&self) -> Result<Status, RuntimeError> {
        self.get("/v1/status").await
    }

    /// Creates a task.
    pub async fn create_task(&self, task: &CreateTask) -> Result<Task, RuntimeError> {
        self.post("/v1/tasks", task).await
    }
    /// All tasks that are kept.
    pub async fn tasks(&self) -> Result<Vec<Task>, RuntimeError> {
        self.get("/v1/tasks").await
    }
    /// One task.
    pub async fn task(&self, id: &str) -> Result<Task, RuntimeError> {
        self.get(&format!("/v1/tasks/{}", segment(id))).await
    }
    /// What it writes.
    pub async fn task_logs(&self, id: &str, query: LogQuery) -> Result<Records, RuntimeError> {
        self.records(&format!("/v1/tasks/{}/logs{}", segment(id), query.text())).await
    }
    /// Ends it.
    pub async fn cancel_task(&self, id: &str) -> Result<(), RuntimeError> {
        self.delete(&format!("/v1/tasks/{}", segment(id))).await
    }

    /// Creates an instance.
    pub async fn create_instance(&self, instance: &CreateInstance) -> Result<Instance, RuntimeError> {
        self.post("/v1/instances", instance).await
    }
    /// All instances that are kept, stopped ones too.
    pub async fn instances(&self) -> Result<Vec<Instance>, RuntimeError> {
        self.get("/v1/instances").await
    }
    /// One instance.
    pub async fn instance(&self, id: &str) -> Result<Instance, RuntimeError> {
        self.get(&format!("/v1/instances/{}", segment(id))).await
    }
    /// Ends it and forgets it.
    pub async fn delete_instance(&self, id: &str) -> Result<(), RuntimeError> {
        self.delete(&format!("/v1/instances/{}", segment(id))).await
    }
    /// Stops its CPUs.
    pub async fn pause_instance(&self, id: &str) -> Result<Instance, RuntimeError> {
        self.instance_verb(id, "pause").await
    }
    /// Lets its CPUs go on.
    pub async fn resume_instance(&self, id: &str) -> Result<Instance, RuntimeError> {
        self.instance_verb(id, "resume").await
    }
    /// Ends its guest and keeps its record.
    pub async fn stop_instance(&self, id: &str) -> Result<Instance, RuntimeError> {
        self.instance_verb(id, "stop").await
    }
    /// Boots it again.
    pub async fn start_instance(&self, id: &str) -> Result<Instance, RuntimeError> {
        self.instance_verb(id, "start").await
    }
    async fn instance_verb(&self, id: &str, verb: &str) -> Result<Instance, RuntimeError> {
        self.post(&format!("/v1/instances/{}/{verb}", segment(id)), &serde_json::Map::new()).await
    }
    /// What it writes.
    pub async fn instance_logs(&self, id: &str, query: LogQuery) -> Result<Records, RuntimeError> {
        self.records(&format!("/v1/instances/{}/logs{}", segment(id), query.text())).await
    }
    /// Runs a command in it. What is sent goes in while records come out; dropping the records ends the command.
    pub async fn exec(&self, id: &str, exec: &Exec) -> Result<(ExecSender, Records), RuntimeError> {
        let (sender, body) = open(exec)?;
        let path = format!("/v1/instances/{}/exec", segment(id));
        let call = Call { method: Method::POST, path: &path, content_type: NDJSON };
        let answer = send(&self.socket, call, body).await?;
        Ok((sender, Records::new(answer)))
    }

    /// Creates an app.
    pub async fn create_app(&self, app: &CreateApp) -> Result<App, RuntimeError> {
        self.post("/v1/apps", app).await
    }
    /// All apps.
    pub async fn apps(&self) -> Result<Vec<App>, RuntimeError> {
        self.get("/v1/apps").await
    }
    /// One app, by name or id.
    pub async fn app(&self, app: &str) -> Result<App, RuntimeError> {
        self.get(&format!("/v1/apps/{}", segment(app))).await
    }
    /// Changes an app.
    pub async fn update_app(&self, app: &str, update: &UpdateApp) -> Result<App, RuntimeError> {
        self.with_body(Method::PATCH, &format!("/v1/apps/{}", segment(app)), update).await
    }
    /// Deletes an app with its releases and instances.
    pub async fn delete_app(&self, app: &str) -> Result<(), RuntimeError> {
        self.delete(&format!("/v1/apps/{}", segment(app))).await
    }
    /// Makes a release of an app as it is now.
    pub async fn publish(&self, app: &str, publish: &Publish) -> Result<Release, RuntimeError> {
        self.post(&format!("/v1/apps/{}/publish", segment(app)), publish).await
    }
    /// An app's releases, newest first.
    pub async fn releases(&self, app: &str) -> Result<Vec<Release>, RuntimeError> {
        self.get(&format!("/v1/apps/{}/releases", segment(app))).await
    }
    /// Serves an app: its instance, and whether it is new.
    pub async fn serve(&self, app: &str, serve: &Serve) -> Result<(Instance, bool), RuntimeError> {
        let path = format!("/v1/apps/{}/serve", segment(app));
        let answer = self.answer(Method::POST, &path, &json(serve)?).await?;
        let is_new = answer.status == StatusCode::CREATED;
        Ok((decoded(answer).await?, is_new))
    }
    /// Makes an earlier release the app's current one.
    pub async fn rollback(&self, app: &str, rollback: &Rollback) -> Result<Release, RuntimeError> {
        self.post(&format!("/v1/apps/{}/rollback", segment(app)), rollback).await
    }

    /// Sets a secret of an app, or of the workspace.
    pub async fn put_secret(
        &self,
        app: Option<&str>,
        key: &str,
        secret: &PutSecret,
    ) -> Result<(), RuntimeError> {
        self.answer(Method::PUT, &secret_path(app, Some(key)), &json(secret)?).await.map(drop)
    }
    /// The names of the secrets of an app, or of the workspace.
    pub async fn secrets(&self, app: Option<&str>) -> Result<SecretNames, RuntimeError> {
        self.get(&secret_path(app, None)).await
    }
    /// Deletes a secret of an app, or of the workspace.
    pub async fn delete_secret(&self, app: Option<&str>, key: &str) -> Result<(), RuntimeError> {
        self.delete(&secret_path(app, Some(key))).await
    }
    /// Seals all secrets with a new key.
    pub async fn rotate_secrets(&self) -> Result<Rotated, RuntimeError> {
        self.post("/v1/secrets/rotate", &serde_json::Map::new()).await
    }

    /// Installs a kit, or its new version.
    pub async fn install_kit(&self, kit: &Kit) -> Result<Kit, RuntimeError> {
        self.post("/v1/kits", kit).await
    }
    /// All kits.
    pub async fn kits(&self) -> Result<Vec<Kit>, RuntimeError> {
        self.get("/v1/kits").await
    }
    /// One kit.
    pub async fn kit(&self, name: &str) -> Result<Kit, RuntimeError> {
        self.get(&format!("/v1/kits/{}", segment(name))).await
    }
    /// Removes a kit.
    pub async fn uninstall_kit(&self, name: &str) -> Result<(), RuntimeError> {
        self.delete(&format!("/v1/kits/{}", segment(name))).await
    }

    /// All cached images.
    pub async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        self.get("/v1/images").await
    }
    /// Removes an image, by reference or digest.
    pub async fn delete_image(&self, image: &str) -> Result<(), RuntimeError> {
        self.delete(&format!("/v1/images/{}", segment(image))).await
    }
    /// Removes all images that nothing needs.
    pub async fn prune_images(&self) -> Result<Pruned, RuntimeError> {
        self.post("/v1/images/prune", &serde_json::Map::new()).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RuntimeError> {
        decoded(self.answer(Method::GET, path, &[]).await?).await
    }
    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, RuntimeError> {
        self.with_body(Method::POST, path, body).await
    }
    async fn with_body<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RuntimeError> {
        decoded(self.answer(method, path, &json(body)?).await?).await
    }
    async fn delete(&self, path: &str) -> Result<(), RuntimeError> {
        self.answer(Method::DELETE, path, &[]).await.map(drop)
    }
    async fn records(&self, path: &str) -> Result<Records, RuntimeError> {
        self.answer(Method::GET, path, &[]).await.map(Records::new)
    }
    async fn answer(&self, method: Method, path: &str, body: &[u8]) -> Result<Answer, RuntimeError> {
        let call = Call { method, path, content_type: JSON };
        send(&self.socket, call, whole(body.to_vec())).await
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, RuntimeError> {
    serde_json::to_vec(value).map_err(|error| RuntimeError::internal(error.to_string()))
}

async fn decoded<T: DeserializeOwned>(answer: Answer) -> Result<T, RuntimeError> {
    let body = answer.read().await?;
    serde_json::from_slice(&body)
        .map_err(|error| RuntimeError::internal(format!("aegisd's answer can't be read: {error}")))
}

fn secret_path(app: Option<&str>, key: Option<&str>) -> String {
    let mut path = app.map_or_else(|| "/v1".to_owned(), |app| format!("/v1/apps/{}", segment(app)));
    path += "/secrets";
    if let Some(key) = key {
        path += "/";
        path += &segment(key);
    }
    path
}

/// A text as one segment of a path, or as a value of a query: what isn't plain is percent-encoded.
fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || (byte == b'.' && text.len() > 2) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_to_another_route() {
        for (name, encoded) in [
            ("web-1.a_b~c", "web-1.a_b~c"),
            ("a/b", "a%2Fb"),
            ("..", "%2E%2E"),
            ("a?x=1#y", "a%3Fx%3D1%23y"),
            ("ü", "%C3%BC"),
        ] {
            assert_eq!(segment(name), encoded);
        }
        assert_eq!(secret_path(Some("a/b"), Some("K")), "/v1/apps/a%2Fb/secrets/K");
        assert_eq!(secret_path(None, None), "/v1/secrets");
    }

    #[test]
    fn a_query_has_what_was_asked_for() {
        let since = Timestamp::UNIX_EPOCH;
        let query =
            LogQuery { follow: true, since: Some(since), tail: Some(3), source: Some(Source::System) };
        assert_eq!(query.text(), "?follow=true&since=1970-01-01T00%3A00%3A00Z&tail=3&source=system");
        assert_eq!(LogQuery::default().text(), "?follow=false");
    }
}
