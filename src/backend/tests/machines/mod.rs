//! What tests of real machines share.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use aegis_backend::{Guest, Machine, MachineSpec, RootFs, Started, machine::ROOTFS_DISK_SIZE};
use aegis_harness::message::{Command, Setup};
use tokio::io::AsyncReadExt;

pub const LIMIT: Duration = Duration::from_mins(1);

pub fn assets() -> PathBuf {
    let given = std::env::var_os("AEGIS_TEST_GUEST_DIR").map(PathBuf::from);
    let beside = || std::env::current_exe().ok()?.ancestors().nth(2).map(|target| target.join("guest"));
    let path = given.or_else(beside).unwrap();
    assert!(path.join("aegis-harness").exists(), "{} has no harness: run make guest", path.display());
    path
}

/// A place with an empty root file system, one for all tests of a run.
pub struct Place {
    pub directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("rootfs");
        File::create(&image).unwrap().set_len(ROOTFS_DISK_SIZE).unwrap();
        rootfs(directory.path(), &image);
        Self { directory }
    }

    /// A new disk for a workspace, as the daemon makes one.
    pub fn workspace(&self) -> PathBuf {
        let path = self.directory.path().join("workspace.ext4");
        File::create(&path).unwrap().set_len(ROOTFS_DISK_SIZE).unwrap();
        let made = std::process::Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&path).arg("64M").status();
        assert!(made.unwrap().success());
        path
    }

    pub fn spec(&self, id: &str, warm: bool) -> MachineSpec {
        let directory = self.directory.path().join(id);
        std::fs::create_dir_all(&directory).unwrap();
        MachineSpec {
            id: id.to_owned(),
            directory,
            memory_mib: 256,
            cpus: 1,
            pids_max: None,
            rootfs: RootFs::Image(self.directory.path().join("rootfs")),
            workspace: None,
            token: format!("token-of-{id}-0123456789abcdef0123456789abcdef"),
            warm,
        }
    }
}

/// The base image as ext4: what mkfs at hand makes of a tree.
fn rootfs(directory: &Path, image: &Path) {
    let tree = directory.join("tree");
    std::fs::create_dir(&tree).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run("tar", &["-xf", assets().join("base.tar").to_str().unwrap(), "-C", tree.to_str().unwrap()]);
    for name in ["proc", "sys", "dev", "tmp", "run", "var", "workspace", "etc"] {
        std::fs::create_dir_all(tree.join(name)).unwrap();
    }
    for name in ["resolv.conf", "hosts", "hostname"] {
        File::create(tree.join("etc").join(name)).unwrap();
    }
    run(
        "mkfs.ext4",
        &["-q", "-F", "-O", "^has_journal", "-d", tree.to_str().unwrap(), image.to_str().unwrap(), "64M"],
    );
    File::options().write(true).open(image).unwrap().set_len(ROOTFS_DISK_SIZE).unwrap();
}

pub async fn open(mut started: Started, spec: &MachineSpec) -> (Guest, Box<dyn Machine>) {
    if let aegis_harness::message::Root::Device { file_system, .. } = &mut started.root {
        "ext4".clone_into(file_system);
    }
    let setup = Setup {
        hostname: spec.id.clone(),
        unix_ns: 1_700_000_000_000_000_000,
        entropy: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(),
        root: started.root.clone(),
        workspace: started.workspace.clone(),
        scratch_mib: 32,
        ..Setup::default()
    };
    let opened = Guest::open(started.channel, &spec.token, started.is_clone, setup, LIMIT).await;
    let guest = opened.unwrap_or_else(|error| panic!("{error}: {}", started.machine.console()));
    (guest, started.machine)
}

pub async fn run(guest: &Guest, script: &str) -> String {
    let command = Command {
        argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: BTreeMap::from([("PATH".to_owned(), "/bin:/usr/bin".to_owned())]),
        ..Command::default()
    };
    let mut process = guest.exec(command).await.unwrap();
    let mut text = String::new();
    process.stdout.read_to_string(&mut text).await.unwrap();
    process.stderr.take().unwrap().read_to_string(&mut text).await.unwrap();
    let exit = process.exit.await.unwrap();
    assert_eq!(exit.code, 0, "{text}");
    text
}

/// What of its memory is a process's own share, in MiB.
pub fn pss(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
