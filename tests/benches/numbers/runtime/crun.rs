//! The peer of guests that aren't VMs: `crun` with the files of the base image.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use aegis_tests::runtime::guest_cache;
use serde_json::json;
use tempfile::TempDir;

/// A bundle that `crun` can run.
pub struct Container {
    directory: TempDir,
}

impl Container {
    /// Unpacks the base image and tries it once. The error says why there is no peer.
    pub fn new() -> Result<Self, String> {
        let found = Command::new("crun").arg("--version").output();
        if found.is_err() {
            return Err("it isn't installed (`apt-get install crun`)".to_owned());
        }
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let root = directory.path().join("rootfs");
        fs::create_dir(&root).map_err(|error| error.to_string())?;
        let archive = fs::File::open(guest_cache().join("base.tar")).map_err(|error| error.to_string())?;
        tar::Archive::new(archive).unpack(&root).map_err(|error| error.to_string())?;
        fs::write(directory.path().join("config.json"), config().to_string())
            .map_err(|error| error.to_string())?;
        let container = Self { directory };
        let output = container.command().output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(container)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }

    /// What it takes to run `true` in it.
    pub fn run_true(&self) -> Duration {
        let mut command = self.command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        assert!(command.status().expect("crun").success());
        begun.elapsed()
    }

    /// `crun` refuses a machine with both kinds of control groups: it gets a mount namespace in which there is only the
    /// second, as it is on other machines. What that takes itself is about a millisecond.
    fn command(&self) -> Command {
        let hybrid = Path::new("/sys/fs/cgroup/unified").exists();
        let script = if hybrid {
            "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec crun run --bundle \"$1\" \"$2\""
        } else {
            "exec crun run --bundle \"$1\" \"$2\""
        };
        let name = format!("aegis-bench-{}", std::process::id());
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(self.directory.path())
            .arg(name)
            .stdin(Stdio::null());
        command
    }
}

/// The namespaces and mounts that a container usually has.
fn config() -> serde_json::Value {
    let mount = |place: &str, kind: &str| json!({"destination": place, "type": kind, "source": kind});
    let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": {"uid": 0, "gid": 0}, "args": ["true"], "cwd": "/",
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [mount("/proc", "proc"), mount("/dev", "tmpfs"), mount("/tmp", "tmpfs"), mount("/run", "tmpfs")],
        "linux": {"namespaces": namespaces},
    })
}
