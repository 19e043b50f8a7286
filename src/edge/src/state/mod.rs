//! The state directory: the folder of `aegis-config.yaml`, and everything that the daemon keeps beside it.
//!
//! Names and modes are those of the installation reference (seed `edge-daemon-installation`, "Local state layout").

mod atomic;
mod lock;
mod modes;
mod pending;
mod status_file;

use std::path::{Path, PathBuf};

pub use atomic::{remove_if_there, write_atomic, write_fleeting};
pub use lock::{DaemonLock, LockError, RotateLock, running_pid};
pub use modes::{Fix, check_modes, enforce_modes, is_shared, make_private_dir};
pub use pending::PendingKey;
pub use status_file::{RunStatus, StreamState};

/// A file operation that failed, and on which path.
#[derive(Debug, thiserror::Error)]
#[error("can't {action} {}: {source}", path.display())]
pub struct StateError {
    /// What was tried: `read`, `write`, `create`, `remove`, `change the mode of`.
    pub action: &'static str,
    /// The path it was tried on.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

impl StateError {
    /// Says that `action` failed on `path`.
    pub fn new(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self { action, path: path.into(), source }
    }
}

/// Names inside of the state directory that are ours, besides the config file (which may have any name) and
/// temporary files of a write that was cut off. `logout --purge` refuses to remove a directory that holds others.
pub const OWN_NAMES: &[&str] = &[
    "node.key",
    "node.key.pub",
    "node.key.next",
    "node.token",
    "server.key.pub",
    "enrollment.jwt",
    "status.json",
    "edge.lock",
    "secrets",
    "archive",
    "logs",
];

/// What the name of a file that is being written begins with.
pub const TEMPORARY_PREFIX: &str = ".aegis-tmp-";

/// Where everything of one daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    dir: PathBuf,
    config: PathBuf,
}

impl StateDir {
    /// The state directory of the daemon whose config file is `config`.
    pub fn of_config(config: impl Into<PathBuf>) -> Self {
        let config = config.into();
        let dir = match config.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        Self { dir, config }
    }

    /// The config file when none was named: `AEGIS_CONFIG`, else `edge/aegis-config.yaml` under `AEGIS_HOME`,
    /// which is `~/.aegis` when it isn't set. `var` reads an environment variable. `None`: there is no home.
    pub fn default_config(var: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        if let Some(config) = set("AEGIS_CONFIG") {
            return Some(PathBuf::from(config));
        }
        let home = set("AEGIS_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".aegis")))?;
        Some(home.join("edge").join("aegis-config.yaml"))
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
    /// `aegis-config.yaml`.
    pub fn config(&self) -> &Path {
        &self.config
    }
    /// The node's private key, 32 bytes of seed (mode 0600).
    pub fn node_key(&self) -> PathBuf {
        self.dir.join("node.key")
    }
    /// The node's public key, as text.
    pub fn node_key_pub(&self) -> PathBuf {
        self.dir.join("node.key.pub")
    }
    /// The key of a rotation that isn't finished (mode 0600): see [`PendingKey`].
    pub fn node_key_next(&self) -> PathBuf {
        self.dir.join("node.key.next")
    }
    /// The node security token (mode 0600).
    pub fn node_token(&self) -> PathBuf {
        self.dir.join("node.token")
    }
    /// The controller's signing key that was pinned at enrolment.
    pub fn server_key(&self) -> PathBuf {
        self.dir.join("server.key.pub")
    }
    /// The enrolment token while an enrolment runs.
    pub fn enrollment(&self) -> PathBuf {
        self.dir.join("enrollment.jwt")
    }
    /// What the running daemon says of itself.
    pub fn status(&self) -> PathBuf {
        self.dir.join("status.json")
    }
    /// Held by the running daemon.
    pub fn lock(&self) -> PathBuf {
        self.dir.join("edge.lock")
    }
    /// The local key-value store (mode 0700).
    pub fn secrets(&self) -> PathBuf {
        self.dir.join("secrets")
    }
    /// Keys that were replaced (mode 0700).
    pub fn archive(&self) -> PathBuf {
        self.dir.join("archive")
    }
    /// Where the service manager writes logs.
    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_the_folder_of_the_config() {
        assert_eq!(StateDir::of_config("/a/b/c.yaml").node_key(), Path::new("/a/b/node.key"));
        assert_eq!(StateDir::of_config("c.yaml").dir(), Path::new("."));
    }

    #[test]
    fn the_default_config_follows_the_environment() {
        let with = |pairs: &'static [(&str, &str)]| {
            StateDir::default_config(&|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[("AEGIS_CONFIG", "/x.yaml"), ("AEGIS_HOME", "/h")]).unwrap(), Path::new("/x.yaml"));
        assert_eq!(
            with(&[("AEGIS_HOME", "/h"), ("HOME", "/u")]).unwrap(),
            Path::new("/h/edge/aegis-config.yaml")
        );
        assert_eq!(
            with(&[("AEGIS_HOME", ""), ("HOME", "/u")]).unwrap(),
            Path::new("/u/.aegis/edge/aegis-config.yaml")
        );
        assert_eq!(with(&[]), None);
    }
}
