//! A backend without machines, for tests: its guests are tasks that speak the harness's protocol, and its programs are
//! words of their command line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod guest;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aegis_backend::{Backend, Capabilities, Machine, MachineExit, MachineSpec, StartError, Started};
use aegis_wire::runtime::{BackendStatus, RuntimeClient};
use futures::future::BoxFuture;
use tokio::sync::{oneshot, watch};

use crate::{backends::Backends, clock::Clock, run};

/// What all guests of a fake have in common, and what was seen of them.
#[derive(Debug, Default)]
pub struct World {
    /// Machines that were ever started.
    pub starts: AtomicUsize,
    /// Machines that are there now.
    pub machines: AtomicUsize,
    /// The most that ever were there at once.
    pub most: AtomicUsize,
    /// CPU time that guests report, in microseconds.
    pub cpu_us: AtomicU64,
    /// What a start waits for, when it isn't zero.
    pub boot_time: Mutex<Duration>,
    /// Whether machines have disks, as VMs do.
    pub disks: std::sync::atomic::AtomicBool,
    /// The workspaces that machines were started with.
    pub workspaces: Mutex<Vec<Option<PathBuf>>>,
    /// Why a start fails, when it does.
    pub fails: Mutex<Option<String>>,
    /// Every machine that is there, to be killed from outside.
    pub ends: Mutex<Vec<watch::Sender<Option<MachineExit>>>>,
    /// The environments that processes were started with.
    pub environments: Mutex<Vec<std::collections::BTreeMap<String, String>>>,
}

impl World {
    /// Kills every machine, as somebody with `kill -9` would.
    pub fn kill_all(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            end.send_replace(Some(MachineExit { clean: false, reason: "killed by signal 9".to_owned() }));
        }
    }
}

/// The backend.
#[derive(Debug, Clone)]
pub struct Fake(pub Arc<World>);

impl Backend for Fake {
    fn name(&self) -> &'static str {
        "qemu"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            pause_resume: true,
            memory_snapshots: false,
            boot_from_disk_layers: self.0.disks.load(Ordering::SeqCst),
            is_vm: true,
        }
    }

    fn start<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, Result<Started, StartError>> {
        Box::pin(async move {
            self.0.starts.fetch_add(1, Ordering::SeqCst);
            self.0.workspaces.lock().unwrap().push(spec.workspace.clone());
            let boot_time = *self.0.boot_time.lock().unwrap();
            let machine = FakeMachine::new(self.0.clone());
            if !boot_time.is_zero() {
                tokio::time::sleep(boot_time).await;
            }
            if let Some(reason) = self.0.fails.lock().unwrap().clone() {
                return Err(StartError::Died { reason, console: "Kernel panic".to_owned() });
            }
            let (ours, theirs) = tokio::io::duplex(256 * 1024);
            tokio::spawn(guest::run(
                theirs,
                spec.token.clone(),
                machine.end.clone(),
                machine.paused.subscribe(),
                self.0.clone(),
            ));
            Ok(Started {
                machine: Box::new(machine),
                channel: Box::new(ours),
                root: aegis_harness::message::Root::Here,
                workspace: None,
                is_clone: false,
            })
        })
    }
}

struct FakeMachine {
    end: watch::Sender<Option<MachineExit>>,
    paused: watch::Sender<bool>,
    world: Arc<World>,
}

impl FakeMachine {
    fn new(world: Arc<World>) -> Self {
        let now = world.machines.fetch_add(1, Ordering::SeqCst) + 1;
        world.most.fetch_max(now, Ordering::SeqCst);
        let end = watch::Sender::new(None);
        world.ends.lock().unwrap().push(end.clone());
        Self { end, paused: watch::Sender::new(false), world }
    }
}

impl Drop for FakeMachine {
    fn drop(&mut self) {
        self.end.send_replace(Some(MachineExit { clean: false, reason: "dropped".to_owned() }));
        self.world.machines.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Machine for FakeMachine {
    fn pid(&self) -> u32 {
        0
    }
    fn pause(&self) -> BoxFuture<'_, std::io::Result<()>> {
        self.paused.send_replace(true);
        Box::pin(async { Ok(()) })
    }
    fn resume(&self) -> BoxFuture<'_, std::io::Result<()>> {
        self.paused.send_replace(false);
        Box::pin(async { Ok(()) })
    }
    fn kill(&self) -> BoxFuture<'_, std::io::Result<()>> {
        self.end.send_replace(Some(MachineExit { clean: false, reason: "killed".to_owned() }));
        Box::pin(async { Ok(()) })
    }
    fn wait(&self) -> BoxFuture<'_, MachineExit> {
        let mut end = self.end.subscribe();
        Box::pin(async move {
            let ended = end.wait_for(Option::is_some).await.unwrap().clone();
            ended.unwrap()
        })
    }
    fn console(&self) -> String {
        String::new()
    }
}

/// A daemon in a home of its own, with guests that are none.
pub struct TestDaemon {
    pub home: Option<tempfile::TempDir>,
    pub world: Arc<World>,
    pub client: RuntimeClient,
    /// Where the router listens.
    pub router: String,
    stop: Option<oneshot::Sender<()>>,
    running: tokio::task::JoinHandle<Result<(), run::RunError>>,
}

impl TestDaemon {
    /// One with this config.
    pub async fn start(config: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let text = format!("router: {{listen: '127.0.0.1:0'}}\n{config}");
        std::fs::write(home.path().join("aegisd.yaml"), text).unwrap();
        Self::start_in(home, Arc::default()).await
    }

    /// One in a home that may have been used before.
    pub async fn start_in(home: tempfile::TempDir, world: Arc<World>) -> Self {
        let (ready, is_ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let options = options(home.path(), &world);
        let running = tokio::spawn(run::run(
            options,
            move |daemon| ready.send(*daemon.router.get().unwrap()).unwrap(),
            async move { drop(stopped.await) },
        ));
        let router = format!("http://{}", is_ready.await.expect("the daemon didn't start"));
        let client = RuntimeClient::new(home.path().join("aegisd.sock"));
        Self { home: Some(home), world, client, router, stop: Some(stop), running }
    }

    /// Stops it in good order, and gives the home back.
    pub async fn stop(mut self) -> tempfile::TempDir {
        drop(self.stop.take());
        self.running.await.unwrap().unwrap();
        self.home.take().unwrap()
    }
}

/// How a daemon runs on this world.
pub fn options(home: &Path, world: &Arc<World>) -> run::Options {
    // The smallest tar file: nothing, and its end.
    let tar = home.join("base.tar");
    std::fs::write(&tar, [0; 1024]).unwrap();
    let fake = Fake(world.clone());
    let status =
        BackendStatus { name: "qemu".into(), usable: true, reason: "it is a fake".into(), hint: None };
    run::Options {
        home: PathBuf::from(home),
        user: "tester".to_owned(),
        backends: Box::new(move |_, _| Backends::new(vec![Arc::new(fake)], vec![status], None)),
        base_tar: Some(tar),
        clock: Clock::system(),
    }
}

/// Waits until `holds`, for at most half a minute.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..3000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain until {what}");
}

/// An image with nothing in it, as an OCI layout in `directory`; its reference.
pub fn layout(directory: &Path) -> String {
    use sha2::{Digest, Sha256};
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let blob = |bytes: &[u8]| {
        let hex = hex::encode(Sha256::digest(bytes));
        std::fs::write(blobs.join(&hex), bytes).unwrap();
        (format!("sha256:{hex}"), bytes.len())
    };
    let (layer, layer_size) = blob(&[0; 1024]);
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "rootfs": { "type": "layers", "diff_ids": [layer] }
    });
    let (config, config_size) = blob(config.to_string().as_bytes());
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": layer_size }],
    });
    let (manifest, manifest_size) = blob(manifest.to_string().as_bytes());
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": manifest_size }],
    });
    std::fs::write(directory.join("index.json"), index.to_string()).unwrap();
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
    format!("oci:{}", directory.display())
}
