//! Starting a QEMU: which files it is given, who it runs as, and the way to speak with it.

use std::{fs::File, io, os::fd::OwnedFd, path::PathBuf};

use serde_json::json;
use tokio::net::UnixStream;

use super::{
    Accelerator, Inner, LAUNCH_LIMIT,
    command::{Line, Memory},
    failed,
    qmp::Qmp,
    template::Template,
};
use crate::{
    kernel::GuestKernel,
    machine::{MachineSpec, StartError},
    memory_file,
    process::{Process, Program, kvm_user, nobody},
};

/// Where the memory comes from.
pub(super) enum Source {
    /// QEMU's own.
    Own,
    /// A template in the making: the file for its memory.
    Template(File),
    /// A clone: the template's memory, and its state from the beginning.
    Clone(File, OwnedFd),
}

/// What differs from machine to machine.
pub(super) struct Launch {
    pub(super) name: String,
    pub(super) directory: Option<PathBuf>,
    pub(super) memory_mib: u32,
    pub(super) cpus: u32,
    pub(super) source: Source,
    pub(super) initramfs: File,
    pub(super) disks: (File, Option<File>),
    pub(super) nice: i32,
}

impl Launch {
    pub(super) fn boot(spec: &MachineSpec, initramfs: File, disks: (File, Option<File>)) -> Self {
        Self::of(spec, Source::Own, initramfs, disks)
    }

    pub(super) fn clone(
        spec: &MachineSpec,
        initramfs: File,
        disks: (File, Option<File>),
        template: &Template,
    ) -> Result<Self, StartError> {
        let state = memory_file::reopen(&template.state).map_err(failed("open the template"))?;
        let memory = template.memory.try_clone().map_err(failed("open the template"))?;
        Ok(Self::of(spec, Source::Clone(memory, state), initramfs, disks))
    }

    fn of(spec: &MachineSpec, source: Source, initramfs: File, disks: (File, Option<File>)) -> Self {
        Self {
            name: spec.id.clone(),
            directory: Some(spec.directory.clone()),
            memory_mib: spec.memory_mib,
            cpus: spec.cpus,
            source,
            initramfs,
            disks,
            nice: 0,
        }
    }
}

/// A QEMU that can be spoken with.
pub(super) struct Launched {
    pub(super) process: Process,
    pub(super) qmp: Qmp,
    pub(super) channel: UnixStream,
    /// The number of the file with a clone's state.
    pub(super) state: Option<i32>,
}

impl Launched {
    /// Loads the template's state and waits until the CPUs run. What is sent on the channel before that would be lost.
    pub(super) async fn restore(&self) -> Result<(), StartError> {
        let state = self.state.unwrap_or_default();
        let restored = async {
            self.ignore_shared().await?;
            self.qmp.execute("migrate-incoming", json!({"uri": format!("fd:{state}")})).await?;
            self.qmp.running().await
        };
        match tokio::time::timeout(LAUNCH_LIMIT, restored).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.why(&error).await),
            Err(_) => Err(StartError::TimedOut(LAUNCH_LIMIT)),
        }
    }

    /// Leaves memory that is in a file out of what is saved and loaded.
    pub(super) async fn ignore_shared(&self) -> io::Result<()> {
        let capabilities = json!({"capabilities": [{"capability": "x-ignore-shared", "state": true}]});
        self.qmp.execute("migrate-set-capabilities", capabilities).await.map(drop)
    }

    /// What is known when it could not be spoken with.
    pub(super) async fn why(&self, error: &io::Error) -> StartError {
        why(&self.process, error).await
    }
}

async fn why(process: &Process, error: &io::Error) -> StartError {
    // If it ended, that is the reason, and it is told within a moment.
    let ended = tokio::time::timeout(std::time::Duration::from_secs(1), process.wait()).await;
    let reason = ended.map_or_else(|_| error.to_string(), |status| format!("qemu: {status}"));
    StartError::Died { reason, console: process.console().finished().await }
}

impl Inner {
    /// Starts it, and returns when it can be spoken with: a cold guest boots by then.
    pub(super) async fn launch(&self, kernel: &GuestKernel, launch: Launch) -> Result<Launched, StartError> {
        let mut program = Program {
            path: self.settings.program.clone(),
            user: match self.settings.accelerator {
                Accelerator::Kvm => kvm_user(),
                Accelerator::Tcg => nobody(),
            },
            nice: launch.nice,
            directory: launch.directory,
            ..Program::default()
        };
        let (channel, channel_there) = pair()?;
        let (control, control_there) = pair()?;
        let (memory, state) = match launch.source {
            Source::Own => (Memory::Own, None),
            Source::Template(memory) => (Memory::Shared(program.give(memory)), None),
            Source::Clone(memory, state) => {
                (Memory::Private(program.give(memory)), Some(program.give(state)))
            }
        };
        let vmlinux = File::open(&kernel.vmlinux).map_err(failed("open the kernel"))?;
        let line = Line {
            name: &launch.name,
            accelerator: self.settings.accelerator,
            memory_mib: launch.memory_mib,
            is_clone: matches!(memory, Memory::Private(_)),
            memory,
            cpus: launch.cpus,
            discovery: kernel.discovery,
            tsc_khz: self.counter.khz().await,
            vmlinux: program.give(vmlinux),
            initramfs: program.give(launch.initramfs),
            channel: program.give(channel_there),
            qmp: program.give(control_there),
            rootfs: program.give(launch.disks.0),
            workspace: launch.disks.1.map(|file| program.give(file)),
        };
        program.arguments = line.arguments();
        let process = program.start().await.map_err(failed("start qemu"))?;
        match tokio::time::timeout(LAUNCH_LIMIT, Qmp::connect(control)).await {
            Ok(Ok(qmp)) => Ok(Launched { process, qmp, channel, state }),
            Ok(Err(error)) => Err(why(&process, &error).await),
            Err(_) => Err(StartError::TimedOut(LAUNCH_LIMIT)),
        }
    }
}

/// Our end, and the one that is given away.
fn pair() -> Result<(UnixStream, OwnedFd), StartError> {
    let made = std::os::unix::net::UnixStream::pair().and_then(|(ours, theirs)| {
        ours.set_nonblocking(true)?;
        Ok((UnixStream::from_std(ours)?, OwnedFd::from(theirs)))
    });
    made.map_err(failed("make a socket"))
}
