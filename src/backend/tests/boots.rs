//! Real machines: Debian's kernel and the real harness, in QEMU.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use aegis_backend::{
    Backend, Guest, MachineSpec, RootFs, Started,
    machine::ROOTFS_DISK_SIZE,
    qemu::{Accelerator, Qemu, Settings},
};
use aegis_harness::message::{Command, Setup};
use tokio::io::AsyncReadExt;

const LIMIT: Duration = Duration::from_secs(60);

fn assets() -> PathBuf {
    let given = std::env::var_os("AEGIS_TEST_GUEST_DIR").map(PathBuf::from);
    let beside = || std::env::current_exe().ok()?.ancestors().nth(2).map(|target| target.join("guest"));
    let path = given.or_else(beside).unwrap();
    assert!(path.join("aegis-harness").exists(), "{} has no harness: run make guest", path.display());
    path
}

/// A place with an empty root file system, one for all tests of a run.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("rootfs");
        File::create(&image).unwrap().set_len(ROOTFS_DISK_SIZE).unwrap();
        rootfs(directory.path(), &image);
        Self { directory }
    }

    fn qemu(&self) -> Qemu {
        Qemu::new(Settings {
            program: "/usr/bin/qemu-system-x86_64".into(),
            accelerator: Accelerator::Tcg,
            assets: assets(),
            data: self.directory.path().join("data"),
        })
    }

    fn spec(&self, id: &str, warm: bool) -> MachineSpec {
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

async fn open(mut started: Started, spec: &MachineSpec) -> (Guest, Box<dyn aegis_backend::Machine>) {
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

async fn run(guest: &Guest, script: &str) -> String {
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
fn pss(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn a_machine_boots_pauses_and_powers_off() {
    let place = Place::new();
    let qemu = place.qemu();
    let spec = place.spec("cold", false);
    let began = Instant::now();
    let started = qemu.start(&spec).await.unwrap();
    assert!(!started.is_clone);
    let (guest, machine) = open(started, &spec).await;
    println!("cold, to ready: {:?}", began.elapsed());
    assert_eq!(
        run(&guest, "cat /proc/sys/kernel/hostname; uname -r; id -u").await.lines().next(),
        Some("cold")
    );
    println!("cold, to the end of the first command: {:?}", began.elapsed());
    let paused = Instant::now();
    machine.pause().await.unwrap();
    println!("pause: {:?}", paused.elapsed());
    let silent = tokio::time::timeout(Duration::from_millis(300), guest.health()).await;
    assert!(silent.is_err(), "a paused guest answers nothing");
    let resumed = Instant::now();
    machine.resume().await.unwrap();
    guest.health().await.unwrap();
    println!("resume, to an answer: {:?}", resumed.elapsed());
    guest.shutdown().unwrap();
    let exit = tokio::time::timeout(LIMIT, machine.wait()).await.unwrap();
    assert!(exit.clean, "{exit:?} {}", machine.console());
}

#[tokio::test]
async fn clones_of_one_template_are_machines_of_their_own() {
    let place = Place::new();
    let qemu = place.qemu();
    qemu.prepare(256, 1, false).await.unwrap();
    let mut clones = Vec::new();
    for number in 0..3 {
        let spec = place.spec(&format!("clone{number}"), true);
        let began = Instant::now();
        let started = qemu.start(&spec).await.unwrap();
        println!("clone, to running: {:?}", began.elapsed());
        assert!(started.is_clone);
        let (guest, machine) = open(started, &spec).await;
        println!("clone, to ready: {:?}", began.elapsed());
        let text = run(&guest, "cat /proc/sys/kernel/hostname /proc/sys/kernel/random/uuid; date +%s").await;
        println!("clone, to the end of the first command: {:?}", began.elapsed());
        clones.push((guest, machine, text));
    }
    let names: Vec<_> = clones.iter().map(|(_, _, text)| text.lines().next().unwrap().to_owned()).collect();
    assert_eq!(names, ["clone0", "clone1", "clone2"]);
    let random: std::collections::BTreeSet<_> =
        clones.iter().map(|(_, _, text)| text.lines().nth(1)).collect();
    assert_eq!(random.len(), 3, "clones share no randomness");
    for (_, machine, text) in &clones {
        let time: u64 = text.lines().nth(2).unwrap().parse().unwrap();
        assert!((1_700_000_000..1_700_000_100).contains(&time), "the clock is the one of the setup: {time}");
        println!("pss: {} MiB", pss(machine.pid()));
    }
    let (guest, machine, _) = clones.pop().unwrap();
    guest.shutdown().unwrap();
    let exit = tokio::time::timeout(LIMIT, machine.wait()).await.unwrap();
    assert!(exit.clean, "{exit:?} {}", machine.console());
    machine.kill().await.unwrap();

    // A second daemon finds the template on disk; one that is damaged is not used and goes.
    let again = place.qemu();
    let spec = place.spec("again", true);
    assert!(again.start(&spec).await.unwrap().is_clone);
    let templates: Vec<PathBuf> = std::fs::read_dir(place.directory.path().join("data/templates"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    assert_eq!(templates.len(), 1);
    std::fs::write(templates[0].join("state"), b"damaged").unwrap();
    let third = place.qemu();
    let spec = place.spec("third", true);
    let started = third.start(&spec).await.unwrap();
    assert!(!started.is_clone, "a damaged template is not used");
    open(started, &spec).await;
}
