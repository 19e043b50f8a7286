//! What is kept of instances, tasks, apps and releases: rows of the store, as JSON.

use aegis_core::instance::Cause;
use aegis_store::{Batch, Store, StoreError};
use aegis_wire::runtime::{Expose, RunOptions, RuntimeError, Task};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::keyspace;

/// What runs in a guest, with everything decided but the secrets' values: those are read at each start.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSpec {
    /// The image as it was asked for; none: the base image.
    pub image: Option<String>,
    /// The digest that it had then; none: it is found out at the start.
    pub image_digest: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What can be reached.
    pub expose: Vec<Expose>,
    /// Environment, resources, workspace and backend.
    pub options: RunOptions,
    /// Secrets without which it doesn't boot.
    pub required_secrets: Vec<String>,
    /// Paused after so many milliseconds of idleness; none: as the daemon's config says; 0: never.
    pub pause_after_ms: Option<u64>,
    /// Stopped after so many more.
    pub stop_after_ms: Option<u64>,
    /// What has to accept a connection before it is ready; none: the first exposed port; 0: nothing.
    pub readiness_port: Option<u16>,
    /// How long that may take; none: as the daemon's config says.
    pub readiness_ms: Option<u64>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceRow {
    /// Its id.
    pub id: String,
    /// Whose it is: an app's name and id, and the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppOf>,
    /// What runs.
    pub run: RunSpec,
    /// Whether the reconciler made it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_declared: bool,
    /// By which backend.
    pub backend: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was last used, as far as it was written down.
    pub last_active_at: Timestamp,
    /// Whether there is a machine. At a start of the daemon that means: there was one.
    pub is_live: bool,
    /// Why there is none.
    pub cause: Cause,
}

/// Whose an instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppOf {
    /// The app's name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The release.
    pub release: String,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRow {
    /// As it is shown.
    pub task: Task,
    /// What runs.
    pub run: RunSpec,
    /// How long it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// What the daemon knows of an app beyond what is declared of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRow {
    /// Its id: another one when an app of this name is created again.
    pub id: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// How many releases it ever had.
    #[serde(default)]
    pub releases: u64,
    /// The release to serve; none: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// The instance that requests go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<String>,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// Its id.
    pub id: String,
    /// 1, 2, 3 … for its app.
    pub number: u64,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it was published.
    pub created_at: Timestamp,
    /// What runs; its image has a digest.
    pub run: RunSpec,
    /// Of what it was made of, when it was made of what is declared.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
}

/// A port of the host's loopback that leads to a port of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRow {
    /// The port on the host.
    pub host: u16,
}

/// Reads the row `key`.
pub(crate) fn get<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>, RuntimeError> {
    let entry = store.get(key).map_err(|error| failed(&error))?;
    entry.map(|entry| read(&entry.key, &entry.value)).transpose()
}

/// Reads all rows beneath `prefix`, in the order of their keys.
pub(crate) fn list<T: DeserializeOwned>(store: &dyn Store, prefix: &str) -> Result<Vec<T>, RuntimeError> {
    let entries = store.list(prefix).map_err(|error| failed(&error))?;
    entries.iter().map(|entry| read(&entry.key, &entry.value)).collect()
}

/// Adds the write of a row.
pub(crate) fn put(batch: &mut Batch, key: impl Into<String>, row: &impl Serialize) {
    // These types have no maps with keys that aren't text, and nothing else can fail.
    batch.put(key, serde_json::to_vec(row).unwrap_or_default());
}

/// Commits, durably.
pub(crate) async fn commit(store: &dyn Store, batch: Batch) -> Result<(), RuntimeError> {
    match store.commit(batch).await {
        Ok(_) => Ok(()),
        Err(aegis_store::CommitError::Stale { key, .. }) => {
            Err(RuntimeError::conflict(format!("somebody else changed '{key}' at the same time"))
                .hint("run the same command again"))
        }
        Err(aegis_store::CommitError::Store(error)) => Err(failed(&error)),
    }
}

/// The store failed.
pub(crate) fn failed(error: &StoreError) -> RuntimeError {
    RuntimeError::internal(error.to_string()).hint("look at aegisd's log and at the disk: df -h ~/.aegis")
}

fn read<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, RuntimeError> {
    serde_json::from_slice(value)
        .map_err(|error| RuntimeError::internal(format!("'{key}' can't be read: {error}")))
}

impl InstanceRow {
    /// Adds its write.
    pub(crate) fn put(&self, batch: &mut Batch) {
        put(batch, keyspace::instance(&self.id), self);
    }
}

impl TaskRow {
    /// Adds its write.
    pub(crate) fn put(&self, batch: &mut Batch) {
        put(batch, keyspace::task(&self.task.id), self);
    }
}
