//! Templates: which there are, and how one is made.

use std::{
    collections::HashMap,
    fs::File,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    Inner, Settings, failed,
    launch::{Launch, Source},
    template_files,
};
use crate::{
    guest::receive_greeting,
    kernel::GuestKernel,
    machine::{ROOTFS_DISK_SIZE, StartError},
    memory_file,
};

/// More are not kept; each takes some 80 MB of memory that no clone needs more.
pub(super) const MOST: usize = 4;
/// A boot for a template goes behind everything else, so it may take long.
const BOOT_LIMIT: Duration = Duration::from_mins(3);
/// How long it takes to save, at most.
const SAVE_LIMIT: Duration = Duration::from_secs(30);
/// After one couldn't be made, the next try waits so long.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_mins(10);

/// What a template is good for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Of all that has to be the same on both sides: kernel, harness, QEMU, accelerator, and this program's flags.
    pub(super) stamp: String,
    pub(super) memory_mib: u32,
    pub(super) cpus: u32,
    pub(super) has_workspace: bool,
}

impl Key {
    pub(super) fn new(
        settings: &Settings,
        kernel: &GuestKernel,
        memory_mib: u32,
        cpus: u32,
        has_workspace: bool,
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        let program = settings.program.metadata();
        let changed = program.as_ref().ok().and_then(|file| file.modified().ok());
        let size = program.as_ref().map_or(0, std::fs::Metadata::len);
        hasher.update(format!("{changed:?} {size} {:?} {}\n", settings, kernel.digest).as_bytes());
        hasher.update(concat!(env!("CARGO_PKG_VERSION"), "\n").as_bytes());
        hasher.update(include_bytes!("command.rs"));
        Self { stamp: hasher.finalize().to_hex()[..24].to_owned(), memory_mib, cpus, has_workspace }
    }

    /// The name of its directory.
    pub(super) fn name(&self) -> String {
        let disks = if self.has_workspace { 2 } else { 1 };
        format!("{}-{}m-{}c-{disks}d", self.stamp, self.memory_mib, self.cpus)
    }
}

/// A machine that was saved. Both files are sealed: no clone can change what the next one gets.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) memory: File,
    pub(super) state: File,
}

#[derive(Debug)]
enum Slot {
    Making,
    Ready(Arc<Template>, Instant),
    Failed(Instant),
}

/// All templates of a daemon.
#[derive(Debug)]
pub(super) struct Templates {
    directory: PathBuf,
    slots: Mutex<HashMap<Key, Slot>>,
}

impl Templates {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, slots: Mutex::default() }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that is there, from memory or else from disk.
    pub(super) async fn find(&self, key: &Key) -> Option<Arc<Template>> {
        match self.slots().get_mut(key) {
            Some(Slot::Ready(template, used)) => {
                *used = Instant::now();
                return Some(Arc::clone(template));
            }
            Some(Slot::Making) => return None,
            Some(Slot::Failed(_)) | None => {}
        }
        let directory = self.directory.join(key.name());
        let size = u64::from(key.memory_mib) << 20;
        let loaded = tokio::task::spawn_blocking(move || template_files::load(&directory, size)).await;
        let template = Arc::new(loaded.ok().flatten()?);
        self.keep(key.clone(), &template);
        Some(template)
    }

    fn keep(&self, key: Key, template: &Arc<Template>) {
        let mut slots = self.slots();
        slots.insert(key, Slot::Ready(Arc::clone(template), Instant::now()));
        let ready = |(key, slot): (&Key, &Slot)| match slot {
            Slot::Ready(_, used) => Some((*used, key.clone())),
            Slot::Making | Slot::Failed(_) => None,
        };
        let mut ready: Vec<(Instant, Key)> = slots.iter().filter_map(ready).collect();
        ready.sort_by_key(|(used, _)| *used);
        for (_, key) in ready.iter().rev().skip(MOST) {
            slots.remove(key);
        }
    }

    /// Forgets one that did not work, also on disk.
    pub(super) fn remove(&self, key: &Key) {
        self.slots().remove(key);
        template_files::remove(&self.directory.join(key.name()));
    }

    /// Whether the caller is the one to make it.
    fn claim(&self, key: &Key) -> bool {
        let mut slots = self.slots();
        let is_free = match slots.get(key) {
            None => true,
            Some(Slot::Failed(when)) => when.elapsed() > PAUSE_AFTER_FAILURE,
            Some(Slot::Making | Slot::Ready(..)) => false,
        };
        if is_free {
            slots.insert(key.clone(), Slot::Making);
        }
        is_free
    }
}

impl Inner {
    /// Makes a template in the background, unless somebody does.
    pub(super) fn make_template_soon(self: &Arc<Self>, key: Key) {
        if !self.templates.claim(&key) {
            return;
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = this.make_template(&key).await {
                tracing::warn!(%error, "no template could be made: starts stay cold");
            }
        });
    }

    /// Makes a template and keeps it.
    pub(super) async fn make_template(&self, key: &Key) -> Result<(), StartError> {
        self.templates.slots().insert(key.clone(), Slot::Making);
        let began = Instant::now();
        match self.save_machine(key).await {
            Ok(template) => {
                let template = Arc::new(template);
                self.templates.keep(key.clone(), &template);
                let (all, name) = (self.templates.directory.clone(), key.name());
                tracing::info!(
                    template = name,
                    milliseconds = began.elapsed().as_millis(),
                    "made a template"
                );
                let stamp = key.stamp.clone();
                let stored = tokio::task::spawn_blocking(move || {
                    template_files::store(&all.join(&name), &template)
                        .map(|()| template_files::collect(&all, &stamp, MOST))
                });
                if let Err(error) = stored.await.map_err(std::io::Error::other).and_then(|stored| stored) {
                    tracing::warn!(%error, "a template could not be stored: it lasts as long as this daemon");
                }
                Ok(())
            }
            Err(error) => {
                self.templates.slots().insert(key.clone(), Slot::Failed(Instant::now()));
                Err(error)
            }
        }
    }

    async fn save_machine(&self, key: &Key) -> Result<Template, StartError> {
        let kernel = self.kernel().await?;
        let file = |name, size| memory_file::create(name, size).map_err(failed("make a template"));
        let clone = |file: &File| file.try_clone().map_err(failed("make a template"));
        let memory = file("aegis-memory", u64::from(key.memory_mib) << 20)?;
        let state = file("aegis-state", 0)?;
        // Disks of the size that the real ones have, and empty: nobody looks at them before the setup.
        let empty = file("aegis-empty", ROOTFS_DISK_SIZE)?;
        let rootfs = memory_file::reopen(&empty).map_err(failed("make a template"))?;
        let workspace = key.has_workspace.then(|| clone(&empty)).transpose()?;
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| failed("make a token")(std::io::Error::other(error)))?;
        let token = random.map(|byte| format!("{byte:02x}")).concat();
        let mut launched = self
            .launch(
                kernel,
                Launch {
                    name: "template".to_owned(),
                    directory: None,
                    memory_mib: key.memory_mib,
                    cpus: key.cpus,
                    source: Source::Template(clone(&memory)?),
                    initramfs: self.initramfs(kernel, &token).await?,
                    disks: (rootfs.into(), workspace),
                    nice: 10,
                },
            )
            .await?;
        let greeted = tokio::time::timeout(BOOT_LIMIT, receive_greeting(&mut launched.channel, &token)).await;
        greeted.map_err(|_| StartError::TimedOut(BOOT_LIMIT))?.map_err(|error| StartError::Died {
            reason: error.to_string(),
            console: launched.process.console().text(),
        })?;
        let saved = async {
            let qmp = &launched.qmp;
            qmp.execute("stop", json!({})).await?;
            launched.ignore_shared().await?;
            qmp.give("state", &state).await?;
            qmp.execute("migrate", json!({"uri": "fd:state"})).await?;
            loop {
                let progress = qmp.execute("query-migrate", json!({})).await?;
                match progress["status"].as_str() {
                    Some("completed") => break,
                    Some("failed" | "cancelled") => {
                        return Err(std::io::Error::other(format!("qemu couldn't save: {progress}")));
                    }
                    _ => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
            // It may end before it answers.
            let _ = qmp.execute("quit", json!({})).await;
            launched.process.wait().await;
            memory_file::seal(&memory)?;
            memory_file::seal(&state)
        };
        let saved = tokio::time::timeout(SAVE_LIMIT, saved).await;
        saved.map_err(|_| StartError::TimedOut(SAVE_LIMIT))?.map_err(failed("save a template"))?;
        Ok(Template { memory, state })
    }
}
