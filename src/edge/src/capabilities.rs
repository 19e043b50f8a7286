//! What the host says of itself: detected, and from its config.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use aegis_wire::edge::Capabilities;

use crate::config::EdgeConfig;

/// The tools that are looked for: the name that is reported, and the programs of which one must be on the PATH.
const TOOLS: &[(&str, &[&str])] = &[
    ("shell", &["sh", "bash"]),
    ("docker", &["docker"]),
    ("podman", &["podman"]),
    ("kubectl", &["kubectl"]),
    ("helm", &["helm"]),
    ("systemctl", &["systemctl"]),
    ("service", &["service"]),
    ("journalctl", &["journalctl"]),
    ("launchctl", &["launchctl"]),
    ("git", &["git"]),
    ("ssh", &["ssh"]),
    ("rsync", &["rsync"]),
    ("curl", &["curl"]),
    ("python", &["python3", "python"]),
    ("node", &["node"]),
    ("terraform", &["terraform"]),
    ("ansible", &["ansible"]),
    ("apt", &["apt-get"]),
    ("dnf", &["dnf"]),
    ("brew", &["brew"]),
    ("nvidia-smi", &["nvidia-smi"]),
];

/// What there is to know of a machine, so that a test can make one up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The system's host name.
    pub hostname: String,
    /// `linux`, `macos` or `windows`.
    pub os: &'static str,
    /// `x86_64` or `aarch64`.
    pub arch: &'static str,
    /// The directories in which programs are.
    pub path: Vec<PathBuf>,
}

impl Host {
    /// This machine; `path` is the `PATH` variable.
    pub fn this(path: Option<&OsStr>) -> Self {
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self {
            hostname,
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            path: path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default(),
        }
    }

    fn has(&self, program: &str) -> bool {
        self.path.iter().any(|dir| is_program(&dir.join(program)))
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// What the host reports: what was detected, with what its config sets instead.
pub fn capabilities(config: &EdgeConfig, host: &Host) -> Capabilities {
    let detected = || {
        let found = TOOLS.iter().filter(|(_, programs)| programs.iter().any(|program| host.has(program)));
        found.map(|(name, _)| (*name).to_owned()).collect()
    };
    Capabilities {
        hostname: config.name.clone().unwrap_or_else(|| host.hostname.clone()),
        os: host.os.to_owned(),
        arch: host.arch.to_owned(),
        local_tools: config.local_tools.clone().unwrap_or_else(detected),
        labels: config.labels.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // The config was checked when it was read.
        tools: config.tools.iter().filter_map(|tool| Some(tool.checked().ok()?.0)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn host(programs: &[(&str, u32)]) -> (tempfile::TempDir, Host) {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in programs {
            fs::write(dir.path().join(name), "").unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(*mode)).unwrap();
        }
        let path = vec![PathBuf::from("/nonexistent"), dir.path().to_path_buf()];
        (dir, Host { hostname: "web-1.example".into(), os: "linux", arch: "x86_64", path })
    }

    #[test]
    fn tools_are_those_on_the_path_that_can_be_run() {
        let (_dir, host) = host(&[("git", 0o755), ("bash", 0o755), ("docker", 0o644), ("unknown", 0o755)]);
        let found = capabilities(&EdgeConfig::default(), &host);
        assert_eq!(found.local_tools, ["shell", "git"]);
        assert_eq!((found.hostname.as_str(), found.os.as_str()), ("web-1.example", "linux"));
    }

    #[test]
    fn the_config_overrides_name_and_tools_and_sets_labels() {
        let (_dir, host) = host(&[("git", 0o755)]);
        let config =
            parse("cluster: {edge: {name: db-1, localTools: [psql], labels: {region: eu}}}", "x").unwrap();
        let found = capabilities(&config, &host);
        assert_eq!(
            (found.hostname.as_str(), found.local_tools.as_slice()),
            ("db-1", &["psql".to_owned()][..])
        );
        assert_eq!(found.labels["region"], "eu");
    }

    #[test]
    fn the_owners_tools_are_reported_complete() {
        let (_dir, host) = host(&[]);
        let tool = "{name: a.b, class: read-only, argv: [x, '{y}'], parameters: {type: object, properties: {y: {type: string}}}}";
        let config = parse(&format!("cluster: {{edge: {{tools: [{tool}]}}}}"), "x").unwrap();
        let found = capabilities(&config, &host).tools;
        assert_eq!((found.len(), found[0].name.as_str(), found[0].fleet_capable), (1, "a.b", true));
        assert_eq!(found[0].parameters["additionalProperties"], false);
    }

    #[test]
    fn this_machine_has_a_name() {
        assert!(!Host::this(Some(OsStr::new("/bin"))).hostname.is_empty());
    }
}
