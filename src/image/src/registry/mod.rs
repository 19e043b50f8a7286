//! Registries: what may be asked, and how long one waits for them.

mod auth;
mod connection;
mod credentials;
#[cfg(test)]
pub mod fake;
mod origin;
mod session;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

pub use connection::Connector;
pub use session::{Found, Session, pause};

/// How registries are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Hosts (`HOST` or `HOST:PORT`) that are spoken to without TLS. Loopback addresses always are, unless they are in
    /// `secure`.
    pub insecure: Vec<String>,
    /// Loopback hosts (`HOST` or `HOST:PORT`) that speak TLS.
    pub secure: Vec<String>,
    /// Files with certificates (PEM) of authorities that are trusted on top of the system's.
    pub authorities: Vec<PathBuf>,
    /// Files with credentials, in the form of Docker's config.json, the first that knows a registry wins.
    pub auth_files: Vec<PathBuf>,
    /// How long the other side may say nothing before it is given up.
    pub idle_timeout: Duration,
    /// How often a request is made at most when registry or network fail.
    pub attempts: u32,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            secure: Vec::new(),
            authorities: Vec::new(),
            auth_files: Vec::new(),
            idle_timeout: Duration::from_secs(30),
            attempts: 3,
        }
    }
}

impl RegistryConfig {
    /// The usual files with credentials, those of Podman before those of Docker. `variable` reads the environment.
    #[must_use]
    pub fn with_usual_auth_files(mut self, variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        self.auth_files.extend(variable("REGISTRY_AUTH_FILE"));
        self.auth_files.extend(variable("XDG_RUNTIME_DIR").map(|path| path.join("containers/auth.json")));
        let config =
            variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
        self.auth_files.extend(config.map(|path| path.join("containers/auth.json")));
        let docker = variable("DOCKER_CONFIG").or_else(|| variable("HOME").map(|home| home.join(".docker")));
        self.auth_files.extend(docker.map(|path| path.join("config.json")));
        self
    }
}
