//! `aegis edge status`: what this host is, from its own files and what its daemon last wrote.

use std::collections::BTreeMap;

use aegis_core::{HumanDuration, NodeId, TenantId};
use aegis_wire::{Endpoint, SigningKey, token::NodeClaims};
use serde::Serialize;

use crate::{
    capabilities::{Host, capabilities},
    config::{self, ConfigError},
    state::{LockError, PendingKey, RunStatus, StateDir, StateError, StreamState, running_pid},
};

/// Where the host stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum HostStatus {
    /// There is no key or no token.
    NotEnrolled,
    /// The daemon dials, or waits for the controller's welcome.
    Connecting,
    /// The stream is live.
    Connected,
    /// Live, and no new work is taken.
    Draining,
    /// No stream, or no daemon.
    Disconnected,
}

impl HostStatus {
    /// The word shown to people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotEnrolled => "NotEnrolled",
            Self::Connecting => "Connecting",
            Self::Connected => "Connected",
            Self::Draining => "Draining",
            Self::Disconnected => "Disconnected",
        }
    }
}

/// What the host says of itself, and what the controller says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusCapabilities {
    /// `linux`, `macos` or `windows`.
    pub os: String,
    /// `x86_64` or `aarch64`.
    pub arch: String,
    /// Programs that it offers.
    pub local_tools: Vec<String>,
    /// Its labels, from its config.
    pub labels: BTreeMap<String, String>,
    /// Its tags when the stream was last opened.
    pub tags: Vec<String>,
}

/// Everything that `aegis edge status` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EdgeStatus {
    /// The node's id; `None`: not enrolled.
    pub node_id: Option<NodeId>,
    /// The host's name in listings, once the controller told it.
    pub name: Option<String>,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// Where it stands.
    pub status: HostStatus,
    /// Since when.
    pub since: Option<jiff::Timestamp>,
    /// The controller or relay.
    pub endpoint: Option<Endpoint>,
    /// How long ago the controller last answered.
    pub heartbeat_age: Option<HumanDuration>,
    /// The node key's fingerprint.
    pub key_fingerprint: Option<String>,
    /// The fingerprint of the key that a rotation which isn't finished is going to give it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_key: Option<String>,
    /// Until when the node token is good; the daemon renews it before.
    pub token_expires: Option<jiff::Timestamp>,
    /// What the host says of itself.
    pub capabilities: StatusCapabilities,
    /// Whether a daemon runs.
    pub running: bool,
    /// Its process.
    pub pid: Option<u32>,
    /// Why the last stream or attempt failed.
    pub last_error: Option<String>,
}

/// Why the status can't be told.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// A file.
    #[error(transparent)]
    State(#[from] StateError),
    /// The lock file.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The config.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Reads the status at `now_ms`, in milliseconds since 1970. A host without a config isn't enrolled: that is a status.
pub fn status(state: &StateDir, host: &Host, now_ms: i64) -> Result<EdgeStatus, StatusError> {
    let config = match config::load(state.config()) {
        Err(ConfigError::Missing(_)) => config::EdgeConfig::default(),
        other => other?,
    };
    let read = |path| match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateError::new("read", path, error)),
    };
    let key = read(state.node_key())?.and_then(|bytes| SigningKey::from_bytes(&bytes).ok());
    let claims = read(state.node_token())?
        .and_then(|bytes| NodeClaims::peek(String::from_utf8_lossy(&bytes).trim()).ok());
    let pid = running_pid(state)?;
    let live = if pid.is_some() { RunStatus::read(state)? } else { None };
    let enrolled = key.is_some() && claims.is_some();
    let word = match &live {
        _ if !enrolled => HostStatus::NotEnrolled,
        None => HostStatus::Disconnected,
        Some(live) => match live.status {
            StreamState::Connected => HostStatus::Connected,
            StreamState::Draining => HostStatus::Draining,
            StreamState::Connecting => HostStatus::Connecting,
            StreamState::Disconnected | StreamState::Stopped => HostStatus::Disconnected,
        },
    };
    let of_ms = |ms: u64| jiff::Timestamp::from_second(i64::try_from(ms / 1000).ok()?).ok();
    let age =
        |ms: u64| HumanDuration::from_secs(u64::try_from(now_ms).unwrap_or(0).saturating_sub(ms) / 1000);
    let found = capabilities(&config, host);
    Ok(EdgeStatus {
        node_id: claims.as_ref().map(|claims| claims.node_id.clone()),
        tenant: claims.as_ref().map(|claims| claims.tenant.clone()),
        token_expires: claims.map(|claims| claims.expires_at),
        status: word,
        since: live.as_ref().and_then(|live| of_ms(live.since_ms)),
        endpoint: config.endpoint,
        heartbeat_age: live.as_ref().and_then(|live| live.last_heartbeat_ms).map(age),
        pending_key: PendingKey::read(state)?.map(|pending| pending.key.public().fingerprint()),
        key_fingerprint: key.map(|key| key.public().fingerprint()),
        capabilities: StatusCapabilities {
            os: found.os,
            arch: found.arch,
            local_tools: found.local_tools,
            labels: found.labels,
            tags: live.as_ref().map(|live| live.tags.clone()).unwrap_or_default(),
        },
        running: pid.is_some(),
        pid,
        last_error: live.as_ref().and_then(|live| live.last_error.clone()),
        name: live.and_then(|live| live.name),
    })
}

impl EdgeStatus {
    /// The text of the edge CLI reference, "aegis edge status".
    pub fn text(&self) -> String {
        fn or_dash<T: ToString>(value: Option<&T>) -> String {
            value.map_or_else(|| "-".to_owned(), ToString::to_string)
        }
        let kind = match &self.tenant {
            Some(tenant) if tenant.as_str().starts_with("u-") => " (personal)",
            Some(tenant) if tenant.as_str().starts_with("t-") => " (team)",
            _ => "",
        };
        let stopped = if self.running { "" } else { " (the daemon isn't running)" };
        let capabilities = &self.capabilities;
        let labels: Vec<_> =
            capabilities.labels.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        let labels = if labels.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", labels.join(", ")) };
        let mut lines = vec![
            format!("node_id:        {}", or_dash(self.node_id.as_ref())),
            format!("tenant:         {}{kind}", or_dash(self.tenant.as_ref())),
            format!("status:         {}{stopped}", self.status.as_str()),
            format!("since:          {}", or_dash(self.since.as_ref())),
            format!("endpoint:       {}", or_dash(self.endpoint.as_ref())),
            format!("heartbeat_age:  {}", or_dash(self.heartbeat_age.as_ref())),
            format!("key_fingerprint: {}", or_dash(self.key_fingerprint.as_ref())),
            format!("token_expires:  {}", or_dash(self.token_expires.as_ref())),
            "capabilities:".to_owned(),
            format!("  os:           {}", capabilities.os),
            format!("  arch:         {}", capabilities.arch),
            format!("  local_tools:  [{}]", capabilities.local_tools.join(", ")),
            format!("  labels:       {labels}"),
            format!("  tags:         [{}]", capabilities.tags.join(", ")),
        ];
        if let Some(key) = &self.pending_key {
            lines.push(format!("pending_key:    {key} (finish with 'aegis edge keys rotate')"));
        }
        // Only what is of use now: an error that is over is none.
        if let Some(error) = self.last_error.as_ref().filter(|_| self.status != HostStatus::Connected) {
            lines.push(format!("last_error:     {error}"));
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fake_controller::{NOW, node_token},
        state::{DaemonLock, write_atomic},
    };

    fn lab() -> (tempfile::TempDir, StateDir, Host) {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(dir.path().join("aegis-config.yaml"));
        let host = Host { hostname: "h".into(), os: "linux", arch: "x86_64", path: vec![] };
        (dir, state, host)
    }

    fn enrol(state: &StateDir) {
        let config = "cluster: {edge: {endpoint: 'relay.example.com:443', labels: {region: home}, localTools: [shell, docker]}}";
        let (server, key) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let server = aegis_wire::ServerSigningKey::new(server);
        write_atomic(state.config(), 0o644, config.as_bytes()).unwrap();
        write_atomic(&state.node_key(), 0o600, &key.seed()[..]).unwrap();
        let token = node_token(&server, &key.public(), &"u-8d1c".parse().unwrap());
        write_atomic(&state.node_token(), 0o600, token.as_bytes()).unwrap();
    }

    #[test]
    fn a_host_that_is_not_enrolled_has_a_status() {
        let (_dir, state, host) = lab();
        let found = status(&state, &host, 0).unwrap();
        assert_eq!((found.status, found.running, found.node_id), (HostStatus::NotEnrolled, false, None));
    }

    #[test]
    fn a_connected_host_is_shown_as_in_the_reference() {
        let (_dir, state, host) = lab();
        enrol(&state);
        let _lock = DaemonLock::take(&state).unwrap();
        let now_ms = NOW * 1000;
        let since_ms = u64::try_from(now_ms).unwrap() - 60_000;
        let run = RunStatus {
            status: StreamState::Connected,
            since_ms,
            last_heartbeat_ms: Some(since_ms + 56_000),
            pid: std::process::id(),
            endpoint: String::new(),
            name: Some("web-1".into()),
            tags: vec!["home-server".into()],
            last_error: None,
        };
        run.write(&state).unwrap();
        let found = status(&state, &host, now_ms).unwrap();
        let (id, fingerprint) = (found.node_id.clone().unwrap(), found.key_fingerprint.clone().unwrap());
        assert_eq!(
            found.text(),
            format!(
                "node_id:        {id}\n\
                 tenant:         u-8d1c (personal)\n\
                 status:         Connected\n\
                 since:          2027-01-15T07:59:00Z\n\
                 endpoint:       relay.example.com:443\n\
                 heartbeat_age:  4s\n\
                 key_fingerprint: {fingerprint}\n\
                 token_expires:  2027-01-16T08:00:00Z\n\
                 capabilities:\n  \
                 os:           linux\n  \
                 arch:         x86_64\n  \
                 local_tools:  [shell, docker]\n  \
                 labels:       {{ region: home }}\n  \
                 tags:         [home-server]\n"
            )
        );
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!((&json["status"], &json["heartbeat_age"]), (&"Connected".into(), &"4s".into()));
        assert_eq!(json["pid"], std::process::id());
    }

    #[test]
    fn a_rotation_that_is_not_finished_is_shown() {
        let (_dir, state, host) = lab();
        enrol(&state);
        assert!(!status(&state, &host, 0).unwrap().text().contains("pending_key"));
        let key = SigningKey::from_seed(&[3; 32]);
        let fingerprint = key.public().fingerprint();
        PendingKey { key, keep_old: std::time::Duration::ZERO }.write(&state).unwrap();
        let text = status(&state, &host, 0).unwrap().text();
        assert!(
            text.contains(&format!("pending_key:    {fingerprint} (finish with 'aegis edge keys")),
            "{text}"
        );
    }

    #[test]
    fn what_a_dead_daemon_wrote_is_not_believed() {
        let (_dir, state, host) = lab();
        enrol(&state);
        let run = r#"{"status":"Connected","since_ms":1,"last_heartbeat_ms":1,"pid":1,"endpoint":"a:1","name":null,"last_error":null}"#;
        std::fs::write(state.status(), run).unwrap();
        let found = status(&state, &host, NOW * 1000).unwrap();
        assert_eq!((found.status, found.running, found.since), (HostStatus::Disconnected, false, None));
        assert!(found.text().contains("status:         Disconnected (the daemon isn't running)\n"));
    }
}
