//! `status.json`: what the running daemon says of itself, for `aegis edge status`.

use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::{StateDir, StateError};

/// Where the daemon's stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamState {
    /// Dialling, or waiting for the controller's welcome.
    Connecting,
    /// The controller welcomed the stream.
    Connected,
    /// Connected, and taking no new work.
    Draining,
    /// Without a stream, waiting to dial again.
    Disconnected,
    /// The daemon has ended.
    Stopped,
}

impl StreamState {
    /// The word shown to people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "Connecting",
            Self::Connected => "Connected",
            Self::Draining => "Draining",
            Self::Disconnected => "Disconnected",
            Self::Stopped => "Stopped",
        }
    }
}

/// The content of `status.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStatus {
    /// Where the stream stands.
    pub status: StreamState,
    /// Since when, in milliseconds of the Unix epoch.
    pub since_ms: u64,
    /// When the controller last answered a heartbeat, in milliseconds of the Unix epoch.
    pub last_heartbeat_ms: Option<u64>,
    /// The daemon's process.
    pub pid: u32,
    /// The controller or relay that it talks to, `host:port`.
    pub endpoint: String,
    /// The host's name in listings, as the controller told it.
    pub name: Option<String>,
    /// The host's tags at the time of the last welcome.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Why the last stream ended.
    pub last_error: Option<String>,
}

impl RunStatus {
    /// Reads it; `None` when no daemon ever ran here, or the file isn't readable as one of ours.
    pub fn read(state: &StateDir) -> Result<Option<Self>, StateError> {
        match fs::read(state.status()) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateError::new("read", state.status(), error)),
        }
    }

    /// Replaces the file (mode 0644).
    pub fn write(&self, state: &StateDir) -> Result<(), StateError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| StateError::new("write", state.status(), error.into()))?;
        text.push(b'\n');
        super::write_fleeting(&state.status(), 0o644, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_garbage_is_nothing() {
        let base = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(base.path().join("aegis-config.yaml"));
        assert_eq!(RunStatus::read(&state).unwrap(), None);
        let status = RunStatus {
            status: StreamState::Connected,
            since_ms: 1,
            last_heartbeat_ms: Some(2),
            pid: 3,
            endpoint: "a:1".into(),
            name: Some("web".into()),
            tags: vec!["prod".into()],
            last_error: None,
        };
        status.write(&state).unwrap();
        assert_eq!(RunStatus::read(&state).unwrap(), Some(status));
        fs::write(state.status(), "{").unwrap();
        assert_eq!(RunStatus::read(&state).unwrap(), None);
    }
}
