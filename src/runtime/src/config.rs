//! `$AEGIS_HOME/aegisd.yaml`. Everything in it is optional; what isn't known is refused.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use aegis_core::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;

/// The daemon's config.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// The backend to use: `qemu`, `libkrun` or `namespaces`. Without it the first that works.
    pub backend: Option<String>,
    /// The kernel of guests: a PVH vmlinux, or a directory with an unpacked Debian kernel package. Without it the one that
    /// came with aegisd.
    pub kernel: Option<PathBuf>,
    /// Whether guests are cloned from templates where the backend can (default: yes).
    pub warm: Option<bool>,
    /// Registries.
    pub registries: Registries,
    /// The router.
    pub router: Router,
    /// What a guest gets when nobody says otherwise.
    pub defaults: Defaults,
    /// What all guests together and each alone may have.
    pub limits: Limits,
    /// When idle instances are paused and stopped.
    pub idle: Idle,
}

/// Registries.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Registries {
    /// Hosts, with their ports if they have one, that are spoken to in clear. Loopback is anyway.
    pub insecure: Vec<String>,
}

/// The router.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Router {
    /// Where it listens: an address of the loopback.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
}

impl Default for Router {
    fn default() -> Self {
        Self { listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8099) }
    }
}

/// What a guest gets when nobody says otherwise.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Defaults {
    /// MiB of memory.
    pub memory: u32,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Processes at once.
    pub pids: u32,
    /// MiB of a new workspace.
    pub disk: u64,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { memory: 256, cpus: 1, pids: 512, disk: 1024 }
    }
}

/// Ceilings.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Limits {
    /// MiB of memory of all guests together. Without it three quarters of the machine's.
    pub memory: Option<u32>,
    /// Guests at once.
    pub guests: u32,
    /// Virtual CPUs of one guest.
    pub cpus: u32,
    /// MiB of one workspace.
    pub disk: u64,
    /// Seconds that a guest has until its harness answers.
    pub boot_seconds: u64,
    /// Seconds that a server has until its first port accepts a connection.
    pub ready_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: None, guests: 64, cpus: 16, disk: 256 * 1024, boot_seconds: 60, ready_seconds: 60 }
    }
}

/// When idle instances are paused and stopped.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Idle {
    /// Paused after so long without use; 0: never.
    pub pause_after: HumanDuration,
    /// Stopped after so long more; 0: never.
    pub stop_after: HumanDuration,
}

impl Default for Idle {
    fn default() -> Self {
        Self { pause_after: HumanDuration::from_secs(60), stop_after: HumanDuration::from_secs(20 * 60) }
    }
}

/// What is wrong with the config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It can't be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It isn't right.
    #[error("{path}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What isn't.
        reason: String,
    },
}

impl Config {
    /// Reads the file; a missing one says nothing.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigError::Io { path: path.to_owned(), source }),
        };
        Self::parse(&text).map_err(|reason| ConfigError::Invalid { path: path.to_owned(), reason })
    }

    /// Reads a config from its text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        let config: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        if !config.router.listen.ip().is_loopback() {
            // Guests are reached without any credentials.
            return Err(format!("router.listen is {}, which isn't on the loopback", config.router.listen));
        }
        if let Some(backend) = &config.backend
            && !["qemu", "libkrun", "namespaces"].contains(&backend.as_str())
        {
            return Err(format!("backend is '{backend}'; there are qemu, libkrun and namespaces"));
        }
        if config.defaults.memory < 64 || config.defaults.cpus == 0 || config.defaults.pids == 0 {
            return Err("defaults: memory is at least 64 (MiB), cpus and pids are at least 1".to_owned());
        }
        Ok(config)
    }

    /// The idle rules that an app has which says nothing.
    pub fn idle_times(&self) -> (Option<Duration>, Option<Duration>) {
        let some = |duration: HumanDuration| (!duration.0.is_zero()).then_some(duration.0);
        (some(self.idle.pause_after), some(self.idle.stop_after))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn nothing_is_required_and_nothing_unknown_is_taken() {
        assert_eq!(Config::parse("# nothing\n").unwrap(), Config::default());
        let config =
            Config::parse("backend: qemu\nidle: {pauseAfter: 2s}\nrouter: {listen: '127.0.0.1:0'}").unwrap();
        assert_eq!(config.idle_times(), (Some(Duration::from_secs(2)), Some(Duration::from_mins(20))));
        assert_eq!(Config::parse("idle: {pauseAfter: '0'}").unwrap().idle_times().0, None);
        for (wrong, word) in [
            ("bakend: qemu", "bakend"),
            ("backend: docker", "docker"),
            ("router: {listen: '0.0.0.0:80'}", "loopback"),
            ("defaults: {memory: 1}", "memory"),
        ] {
            let error = Config::parse(wrong).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
