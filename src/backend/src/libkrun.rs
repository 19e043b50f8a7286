//! Guests in libkrun, a library that makes a VM of the process that calls it: so each has a child process of its own.
//!
//! It needs KVM and a kernel that finds its devices by its command line. Where KVM can't run a kernel only the way up to the
//! library's calls is tested.

mod calls;

use std::{
    fs::File,
    io::{self, Seek, Write},
    os::fd::{OwnedFd, RawFd},
    path::{Path, PathBuf},
};

use aegis_harness::message::Root;
use futures::future::BoxFuture;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

pub use self::calls::child;
use crate::{
    kernel::{self, cpio},
    machine::{Backend, Capabilities, Machine, MachineExit, MachineSpec, RootFs, StartError, Started},
    memory_file,
    process::{Process, Program, kvm_user},
};

/// The backend's name.
pub const NAME: &str = "libkrun";
/// The first argument of the program that is to call [`child`]; the second is its number.
pub const CHILD: &str = "libkrun-child";

/// Where the library may be: as users and packages install it, then where the linker looks.
const PLACES: &[&str] = &[
    "/usr/local/lib/libkrun.so.1",
    "/usr/local/lib/libkrun.so",
    "/usr/local/lib64/libkrun.so.1",
    "/usr/lib/libkrun.so",
    "/usr/lib/libkrun.so.1",
    "/usr/lib64/libkrun.so.1",
    "/usr/lib/x86_64-linux-gnu/libkrun.so.1",
    "/usr/lib/aarch64-linux-gnu/libkrun.so.1",
];

/// The library, if it is there and has what is called.
pub fn library() -> Result<PathBuf, String> {
    let places = PLACES.iter().map(PathBuf::from).filter(|place| place.exists());
    // A name without a slash is one for the linker.
    let mut reason = None;
    for place in places.chain(["libkrun.so.1".into(), "libkrun.so".into()]) {
        match calls::check(&place) {
            Ok(()) => return Ok(place),
            Err(error) if place.is_absolute() => reason = reason.or(Some(error)),
            Err(_) => {}
        }
    }
    Err(reason.unwrap_or_else(|| "libkrun isn't installed".to_owned()))
}

/// What the backend works with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The library.
    pub library: PathBuf,
    /// The program that calls [`child`].
    pub program: PathBuf,
    /// The guest assets.
    pub assets: PathBuf,
    /// `$AEGIS_HOME/data`.
    pub data: PathBuf,
}

/// What a child is told. All files are inherited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Config {
    library: PathBuf,
    memory_mib: u32,
    cpus: u8,
    vmlinux: RawFd,
    initramfs: RawFd,
    command_line: String,
    rootfs: RawFd,
    workspace: Option<RawFd>,
    channel: RawFd,
}

/// The backend.
#[derive(Debug, Clone)]
pub struct Libkrun {
    settings: Settings,
}

impl Libkrun {
    /// A backend that was found usable.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    async fn start_child(&self, spec: &MachineSpec) -> Result<Started, StartError> {
        let RootFs::Image(image) = &spec.rootfs else {
            return Err(failed("open the root file system")(io::Error::other("a VM needs an image")));
        };
        let (assets, cache) = (self.settings.assets.clone(), self.settings.data.join("kernel"));
        let token = cpio::token(&spec.token);
        let made = tokio::task::spawn_blocking(move || {
            let kernel = kernel::prepare(&assets, &cache).map_err(io::Error::other)?;
            let mut initramfs = memory_file::create("aegis-initramfs", 0)?;
            io::copy(&mut File::open(&kernel.initramfs)?, &mut initramfs)?;
            initramfs.write_all(&token)?;
            Ok((File::open(&kernel.vmlinux)?, initramfs))
        });
        let made = made.await.map_err(io::Error::other).and_then(|made| made);
        let (vmlinux, initramfs) = made.map_err(failed("make the guest's kernel"))?;
        let (channel, theirs) = socket().map_err(failed("make a socket"))?;
        let mut program = Program {
            path: self.settings.program.clone(),
            user: kvm_user(),
            directory: Some(spec.directory.clone()),
            ..Program::default()
        };
        let rootfs = File::open(image).map_err(failed("open the root file system"))?;
        let open = |path: &Path| File::options().read(true).write(true).open(path);
        let workspace =
            spec.workspace.as_deref().map(open).transpose().map_err(failed("open the workspace"))?;
        let config = Config {
            library: self.settings.library.clone(),
            memory_mib: spec.memory_mib,
            cpus: u8::try_from(spec.cpus).unwrap_or(u8::MAX),
            vmlinux: program.give(vmlinux),
            initramfs: program.give(initramfs),
            command_line: "console=hvc0 quiet panic=-1 reboot=k random.trust_cpu=on".to_owned(),
            rootfs: program.give(rootfs),
            workspace: workspace.map(|file| program.give(file)),
            channel: program.give(theirs),
        };
        let document = document(&config).map_err(failed("write the child's document"))?;
        let number = program.give(document);
        program.arguments = vec![CHILD.into(), number.to_string().into()];
        let process = program.start().await.map_err(failed("start the child"))?;
        Ok(Started {
            machine: Box::new(Child { process }),
            channel: Box::new(channel),
            root: Root::Device { device: "vda".to_owned(), file_system: "erofs".to_owned() },
            workspace: spec.workspace.is_some().then(|| "vdb".to_owned()),
            is_clone: false,
        })
    }
}

fn socket() -> io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs.into()))
}

fn document(config: &Config) -> io::Result<File> {
    let mut file = memory_file::create("aegis-libkrun", 0)?;
    file.write_all(&serde_json::to_vec(config)?)?;
    file.rewind()?;
    Ok(file)
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Io { what: what.to_owned(), source }
}

impl Backend for Libkrun {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { pause_resume: true, memory_snapshots: false, boot_from_disk_layers: true, is_vm: true }
    }

    fn start<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, Result<Started, StartError>> {
        Box::pin(self.start_child(spec))
    }
}

/// A process that is a VM. Stopping it stops its CPUs, which are its threads.
#[derive(Debug)]
struct Child {
    process: Process,
}

impl Machine for Child {
    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn pause(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async { self.process.signal(Signal::STOP) })
    }

    fn resume(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async { self.process.signal(Signal::CONT) })
    }

    fn kill(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async {
            self.process.kill()?;
            self.process.wait().await;
            Ok(())
        })
    }

    fn wait(&self) -> BoxFuture<'_, MachineExit> {
        Box::pin(async {
            let status = self.process.wait().await;
            let console = self.process.console().finished().await;
            let panicked = console.lines().rev().find(|line| line.contains("Kernel panic"));
            let clean = status.success() && panicked.is_none();
            let last =
                panicked.or_else(|| console.lines().last()).map(str::trim).filter(|line| !line.is_empty());
            let reason = match last {
                _ if clean => "the guest powered off".to_owned(),
                Some(line) => line.to_owned(),
                None => format!("libkrun ended with {status}"),
            };
            MachineExit { clean, reason }
        })
    }

    fn console(&self) -> String {
        self.process.console().text()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn a_child_that_ends_at_once_is_told_with_its_last_line() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let assets = at("guest");
        std::fs::create_dir_all(assets.join("kernel")).unwrap();
        std::fs::write(assets.join("kernel/vmlinux"), kernel::tests_kernel()).unwrap();
        std::fs::write(assets.join("aegis-harness"), b"harness").unwrap();
        std::fs::write(at("rootfs"), b"").unwrap();
        let script = at("program");
        std::fs::write(&script, "#!/bin/sh\necho $1 fails; exit 3\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let settings = Settings { library: at("none"), program: script, assets, data: at("data") };
        let spec = MachineSpec {
            id: "one".to_owned(),
            directory: directory.path().to_owned(),
            memory_mib: 64,
            cpus: 1,
            pids_max: None,
            rootfs: RootFs::Image(at("rootfs")),
            workspace: None,
            token: "token".to_owned(),
            warm: false,
        };
        let started = Libkrun::new(settings).start(&spec).await.unwrap();
        let exit = started.machine.wait().await;
        assert_eq!(exit, MachineExit { clean: false, reason: "libkrun-child fails".to_owned() });
    }
}
