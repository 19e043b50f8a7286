//! Guests in QEMU's `microvm` machine, with KVM where that is quick, else by translation (TCG).
//!
//! A cold start boots the kernel. A warm one restores a template: the state of such a machine at the moment in which its
//! harness waits for its setup, with the memory mapped so that only what a clone changes is its own.

mod command;
mod launch;
mod machine;
mod qmp;
mod template;
mod template_files;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aegis_harness::message::Root;
use futures::future::BoxFuture;

pub use self::command::Accelerator;
use self::{
    launch::{Launch, Launched},
    machine::QemuMachine,
    template::{Key, Templates},
};
use crate::{
    clock::TimeStampCounter,
    kernel::{self, GuestKernel, cpio},
    machine::{Backend, Capabilities, MachineSpec, ROOTFS_DISK_SIZE, RootFs, StartError, Started},
    memory_file,
};

/// The backend's name.
pub const NAME: &str = "qemu";

/// How long a QEMU may take until it can be spoken with.
const LAUNCH_LIMIT: Duration = Duration::from_secs(30);

/// What the backend works with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `qemu-system-x86_64`.
    pub program: PathBuf,
    /// What executes the guest's instructions.
    pub accelerator: Accelerator,
    /// The guest assets.
    pub assets: PathBuf,
    /// Where kernels and templates are kept: `$AEGIS_HOME/data`.
    pub data: PathBuf,
}

/// The backend.
#[derive(Debug, Clone)]
pub struct Qemu {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    counter: TimeStampCounter,
    kernel: tokio::sync::OnceCell<GuestKernel>,
    templates: Templates,
}

impl Qemu {
    /// A backend that was found usable.
    pub fn new(settings: Settings) -> Self {
        let templates = Templates::new(settings.data.join("templates"));
        let counter = TimeStampCounter::start();
        Self { inner: Arc::new(Inner { settings, counter, kernel: tokio::sync::OnceCell::new(), templates }) }
    }

    /// What executes the guests' instructions.
    pub fn accelerator(&self) -> Accelerator {
        self.inner.settings.accelerator
    }

    /// Makes what every start needs ahead of the first: the kernel and, unless it is there, a template of this form.
    pub async fn prepare(&self, memory_mib: u32, cpus: u32, has_workspace: bool) -> Result<(), StartError> {
        let kernel = self.inner.kernel().await?;
        let key = Key::new(&self.inner.settings, kernel, memory_mib, cpus, has_workspace);
        if self.inner.templates.find(&key).await.is_none() {
            self.inner.make_template(&key).await?;
        }
        Ok(())
    }
}

impl Inner {
    async fn kernel(&self) -> Result<&GuestKernel, StartError> {
        let (assets, cache) = (self.settings.assets.clone(), self.settings.data.join("kernel"));
        self.kernel
            .get_or_try_init(|| async move {
                let made = tokio::task::spawn_blocking(move || kernel::prepare(&assets, &cache)).await;
                made.map_err(io::Error::other).and_then(|made| made.map_err(io::Error::other)).map_err(
                    |error| StartError::Unusable {
                        backend: NAME,
                        reason: format!("there is no guest kernel: {error}"),
                        hint: Some("make guest".to_owned()),
                    },
                )
            })
            .await
    }

    async fn start(self: &Arc<Self>, spec: &MachineSpec) -> Result<Started, StartError> {
        let kernel = self.kernel().await?;
        let RootFs::Image(image) = &spec.rootfs else {
            return Err(failed("open the root file system")(io::Error::other("a VM needs an image")));
        };
        let disks = Disks::open(image, spec.workspace.as_deref()).await?;
        if spec.warm && disks.fit_a_template {
            let key = Key::new(&self.settings, kernel, spec.memory_mib, spec.cpus, spec.workspace.is_some());
            match self.templates.find(&key).await {
                Some(template) => match self.clone_template(spec, kernel, &disks, &template).await {
                    Ok(started) => return Ok(started),
                    Err(error) => {
                        tracing::warn!(%error, "a template is given up, the machine boots instead");
                        self.templates.remove(&key);
                    }
                },
                None => self.make_template_soon(key),
            }
        }
        let launched = Launch::boot(spec, self.initramfs(kernel, &spec.token).await?, disks.try_clone()?);
        let launched = self.launch(kernel, launched).await?;
        Ok(started(launched, spec.workspace.is_some(), false))
    }

    async fn clone_template(
        &self,
        spec: &MachineSpec,
        kernel: &GuestKernel,
        disks: &Disks,
        template: &template::Template,
    ) -> Result<Started, StartError> {
        let initramfs = File::open(&kernel.initramfs).map_err(failed("open the initramfs"))?;
        let launch = Launch::clone(spec, initramfs, disks.try_clone()?, template)?;
        let launched = self.launch(kernel, launch).await?;
        launched.restore().await?;
        Ok(started(launched, spec.workspace.is_some(), true))
    }

    /// The initramfs of one boot: with its token, and on no disk.
    async fn initramfs(&self, kernel: &GuestKernel, token: &str) -> Result<File, StartError> {
        let (path, token) = (kernel.initramfs.clone(), cpio::token(token));
        let made = tokio::task::spawn_blocking(move || {
            let mut file = memory_file::create("aegis-initramfs", 0)?;
            io::copy(&mut File::open(path)?, &mut file)?;
            io::Write::write_all(&mut file, &token)?;
            Ok(file)
        });
        made.await.map_err(io::Error::other).and_then(|made| made).map_err(failed("make the initramfs"))
    }
}

/// What both ways of starting come to.
fn started(launched: Launched, has_workspace: bool, is_clone: bool) -> Started {
    let Launched { process, qmp, channel, .. } = launched;
    Started {
        machine: Box::new(QemuMachine::new(process, qmp)),
        channel: Box::new(channel),
        root: Root::Device { device: "vda".to_owned(), file_system: "erofs".to_owned() },
        workspace: has_workspace.then(|| "vdb".to_owned()),
        is_clone,
    }
}

/// A machine's disks, opened by us: QEMU itself may open none.
#[derive(Debug)]
struct Disks {
    rootfs: File,
    workspace: Option<File>,
    /// Whether they have the size that templates were made with.
    fit_a_template: bool,
}

impl Disks {
    async fn open(image: &Path, workspace: Option<&Path>) -> Result<Self, StartError> {
        let (image, workspace) = (image.to_owned(), workspace.map(Path::to_owned));
        let opened = tokio::task::spawn_blocking(move || {
            let rootfs = File::open(&image).map_err(failed_at("open", &image))?;
            let open = |path: &PathBuf| {
                File::options().read(true).write(true).open(path).map_err(failed_at("open", path))
            };
            let workspace = workspace.as_ref().map(open).transpose()?;
            let fits = |file: &File| file.metadata().is_ok_and(|file| file.len() == ROOTFS_DISK_SIZE);
            let fit_a_template = fits(&rootfs) && workspace.as_ref().is_none_or(fits);
            Ok(Self { rootfs, workspace, fit_a_template })
        });
        opened.await.map_err(|error| failed("open the disks")(io::Error::other(error)))?
    }

    fn try_clone(&self) -> Result<(File, Option<File>), StartError> {
        let workspace = self.workspace.as_ref().map(File::try_clone).transpose();
        let both = self.rootfs.try_clone().and_then(|rootfs| Ok((rootfs, workspace?)));
        both.map_err(failed("open the disks"))
    }
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Io { what: what.to_owned(), source }
}

fn failed_at<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> StartError + 'a {
    move |source| StartError::Io { what: format!("{what} {}", path.display()), source }
}

impl Backend for Qemu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { pause_resume: true, memory_snapshots: true, boot_from_disk_layers: true, is_vm: true }
    }

    fn start<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, Result<Started, StartError>> {
        Box::pin(self.inner.start(spec))
    }
}
