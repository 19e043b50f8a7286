//! Keeps `status.json` and systemd informed, on changes only.

use super::footprint::release_code;
use crate::state::{RunStatus, StateDir, StreamState};

/// What was last said.
pub(super) struct Reporter {
    state: StateDir,
    status: RunStatus,
}

impl Reporter {
    /// Says that the daemon is ready: it has its identity, and dials. That the controller is away is no reason for the
    /// service manager to start it again; it comes back by itself.
    pub fn new(state: StateDir, endpoint: String, now_ms: i64) -> Self {
        let status = RunStatus {
            status: StreamState::Connecting,
            since_ms: unsigned(now_ms),
            last_heartbeat_ms: None,
            pid: std::process::id(),
            endpoint,
            name: None,
            tags: Vec::new(),
            last_error: None,
        };
        let reporter = Self { state, status };
        reporter.write();
        notify(&sd_notify::NotifyState::Ready);
        reporter
    }

    /// The stream's state, if it is another than before.
    pub fn set(&mut self, status: StreamState, now_ms: i64) {
        if self.status.status == status {
            return;
        }
        // Draining is a way of being connected: it doesn't begin anew.
        let live = |status| matches!(status, StreamState::Connected | StreamState::Draining);
        if !(live(status) && live(self.status.status)) {
            self.status.since_ms = unsigned(now_ms);
            if live(status) {
                release_code();
            }
        }
        self.status.status = status;
        self.write();
        if status == StreamState::Stopped {
            notify(&sd_notify::NotifyState::Stopping);
        }
        notify(&sd_notify::NotifyState::Status(status.as_str()));
    }

    /// The controller's welcome: the host's name and tags, and a first sign of life.
    pub fn welcomed(&mut self, name: String, tags: Vec<String>, now_ms: i64) {
        self.status.name = Some(name);
        self.status.tags = tags;
        self.status.last_error = None;
        self.status.last_heartbeat_ms = Some(unsigned(now_ms));
    }

    /// The controller answered a heartbeat.
    pub fn heartbeat(&mut self, now_ms: i64) {
        self.status.last_heartbeat_ms = Some(unsigned(now_ms));
        self.write();
    }

    /// Why the stream isn't there.
    pub fn failed(&mut self, why: &str) {
        if self.status.last_error.as_deref() != Some(why) {
            self.status.last_error = Some(why.to_owned());
            self.write();
        }
    }

    fn write(&self) {
        if let Err(error) = self.status.write(&self.state) {
            tracing::warn!(%error, "the status can't be written");
        }
    }
}

fn unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or_default()
}

/// Tells systemd; without it, nobody.
fn notify(state: &sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::debug!(%error, "systemd wasn't told");
    }
}
