//! Where an app stands: a value, kept beside the app, so that what failed isn't tried again after a restart.

use std::fmt;

use aegis_core::Revision;
use aegis_store::{Batch, Store};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Fault, Reconciler, Workloads};

/// Rows of statuses, by the app's name.
const STATUSES: &str = "reconcile/app/";
/// Rows of what somebody asked to be held, until the app's worker heeds it: it alone writes the status, and would write
/// over what somebody else puts there.
const ASKED: &str = "reconcile/asked/";

/// Where an app stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Nobody has looked at it yet.
    #[default]
    Unknown,
    /// Something is under way.
    Progressing,
    /// It is as it is declared.
    Ready,
    /// It is tried again later, or once something else changes.
    Waiting,
    /// What is declared failed, and the release before serves.
    RolledBack,
    /// What is declared failed, and there is nothing to go back to.
    Failed,
    /// Its process ended by itself.
    Ended,
}

impl Condition {
    /// The words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Progressing => "progressing",
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
            Self::Ended => "ended",
        }
    }
}

/// What isn't to be tried again, and what serves in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Of the content that isn't to be rolled out. It holds no longer once something else is declared.
    pub fingerprint: String,
    /// The release that is to serve in its place, if there is one.
    pub release: Option<String>,
    /// Why.
    pub reason: String,
    /// The instance that failed: it stays, ended, for its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// Where an app stands, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AppStatus {
    /// In a word.
    pub condition: Condition,
    /// Why, or what is going on; may be empty.
    pub reason: String,
    /// The revision of the object that this is about; 0: it is no longer declared.
    pub revision: Revision,
    /// Whether there is nothing more to do for now, be it well or not.
    pub settled: bool,
    /// When it was last tried, in milliseconds since 1970.
    pub last_attempt_ms: i64,
    /// How often in a row it went wrong.
    pub failures: u32,
    /// What isn't to be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

impl fmt::Display for AppStatus {
    /// In one line: `rolled back: port 80 didn't answer within 30s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.condition.as_str())?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

impl<S: Store, W: Workloads> Reconciler<S, W> {
    /// Where an app stands; `None`: nothing is known of it.
    pub fn status(&self, app: &str) -> Option<AppStatus> {
        let mut status: AppStatus = self.row(&format!("{STATUSES}{app}"))?.0;
        if let Some((held, _)) = self.row(&format!("{ASKED}{app}")) {
            (status.held, status.settled) = (Some(held), false);
        }
        Some(status)
    }

    fn row<T: DeserializeOwned>(&self, key: &str) -> Option<(T, Revision)> {
        let entry = self.realm.store().get(key).ok()??;
        Some((serde_json::from_slice(&entry.value).ok()?, entry.revision))
    }

    /// Writes down what somebody asked to be held.
    pub(super) async fn ask(&self, app: &str, held: &Held) -> Result<(), Fault> {
        let mut batch = Batch::new();
        let json = serde_json::to_vec(held).map_err(|error| Fault::Blocked(error.to_string()))?;
        batch.put(format!("{ASKED}{app}"), json);
        self.realm.store().commit(batch).await.map_err(|error| Fault::Passing(error.to_string()))?;
        self.noted.notify_waiters();
        Ok(())
    }

    /// Makes what somebody asked to be held a part of the status.
    pub(super) async fn heed(&self, app: &str, status: &mut AppStatus) {
        let key = format!("{ASKED}{app}");
        let Some((held, revision)) = self.row(&key) else { return };
        (status.held, status.settled) = (Some(held), false);
        let Ok(json) = serde_json::to_vec(status) else { return };
        let mut batch = Batch::new();
        // Whoever asks for something else meanwhile is heeded at the next look.
        batch.check(&key, revision);
        batch.delete(&key);
        batch.put(format!("{STATUSES}{app}"), json);
        self.write(app, batch).await;
    }

    /// Waits until any status changes.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.noted.notified()
    }

    /// Apps with a status.
    pub(super) fn noted_apps(&self) -> Vec<String> {
        let rows = self.realm.store().list(STATUSES).unwrap_or_default();
        rows.into_iter().map(|row| row.key[STATUSES.len()..].to_owned()).collect()
    }

    pub(super) async fn note(&self, app: &str, status: &AppStatus) {
        // When it was last tried is no news by itself: a look at what is as it was writes nothing.
        let last_attempt_ms = status.last_attempt_ms;
        let key = format!("{STATUSES}{app}");
        let old = self.row(&key).map(|(old, _)| AppStatus { last_attempt_ms, ..old });
        if old.as_ref() == Some(status) {
            return;
        }
        let Ok(json) = serde_json::to_vec(status) else { return };
        let mut batch = Batch::new();
        batch.put(key, json);
        self.write(app, batch).await;
    }

    pub(super) async fn forget_status(&self, app: &str) {
        let mut batch = Batch::new();
        batch.delete(format!("{STATUSES}{app}"));
        batch.delete(format!("{ASKED}{app}"));
        self.write(app, batch).await;
    }

    async fn write(&self, app: &str, batch: Batch) {
        if let Err(error) = self.realm.store().commit(batch).await {
            tracing::error!(app, %error, "the status can't be written");
        }
        self.noted.notify_waiters();
    }
}
