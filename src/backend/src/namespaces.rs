//! Guests without a VM: the harness in namespaces of its own, with limits from control groups and a filter of system
//! calls. Quick, and a weaker wall than a VM: the host's kernel is the guest's.

mod seccomp;
mod stop;

use std::{
    fs::File,
    io::{self, Seek, Write},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
};

use aegis_harness::{
    jail::{Ids, Jail, Limit},
    message::Root,
};
use base64::Engine;
use futures::future::BoxFuture;
use tokio::net::UnixStream;

use crate::{
    cgroup::{Group, Limits},
    machine::{Backend, Capabilities, Machine, MachineExit, MachineSpec, RootFs, StartError, Started},
    memory_file,
    process::{Process, Program},
};

/// The backend's name.
pub const NAME: &str = "namespaces";

/// The ids of guests begin here on the host; each guest has 65536 of its own.
const FIRST_ID: u32 = 0x8_0000;
const IDS: u32 = 0x1_0000;
/// So many ranges there are before they meet what other programs use.
const RANGES: u32 = 0x4000;

/// As many open files as servers want.
const OPEN_FILES: u64 = 65536;

/// Limits of each process (setrlimit(2)): no core files, and open files up to what this process may have, as nobody in a
/// jail can raise that.
fn process_limits() -> Vec<Limit> {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    vec![
        Limit { resource: libc::RLIMIT_CORE, most: 0 },
        Limit { resource: libc::RLIMIT_NOFILE, most: most.unwrap_or(OPEN_FILES).min(OPEN_FILES) },
    ]
}

/// The backend.
#[derive(Debug, Clone)]
pub struct Namespaces {
    harness: PathBuf,
}

impl Namespaces {
    /// With this `aegis-harness`.
    pub fn new(harness: PathBuf) -> Self {
        Self { harness }
    }

    /// What can't be limited: the disk nowhere, as a workspace is a directory of the host; and what this host lacks groups
    /// for, such as `memory`.
    pub fn unenforced() -> Vec<&'static str> {
        let limits = Limits { memory_mib: 64, cpus: 1, pids_max: Some(64) };
        let group = Group::create(&format!("probe-{}", std::process::id()), limits);
        group.missing().iter().copied().chain(["disk"]).collect()
    }

    async fn start_jail(&self, spec: &MachineSpec) -> Result<Started, StartError> {
        let RootFs::Directory(root) = &spec.rootfs else {
            return Err(failed("open the root file system")(io::Error::other("a directory is needed")));
        };
        let limits = Limits { memory_mib: spec.memory_mib, cpus: spec.cpus, pids_max: spec.pids_max };
        let group = Group::create(&spec.id, limits);
        if !group.missing().is_empty() {
            tracing::warn!(instance = spec.id, missing = ?group.missing(), "limits that can't be enforced here");
        }
        let mut program = Program {
            path: self.harness.clone(),
            directory: Some(spec.directory.clone()),
            cgroups: group.entrances().map_err(failed("join the control groups"))?,
            ..Program::default()
        };
        let (channel, theirs) = socket().map_err(failed("make a socket"))?;
        let jail = Jail {
            token: spec.token.clone(),
            channel: program.give(theirs),
            root: root.clone(),
            workspace: spec.workspace.clone(),
            ids: ids(&spec.id),
            limits: process_limits(),
            seccomp: Some(
                base64::engine::general_purpose::STANDARD.encode(
                    seccomp::program()
                        .map_err(|error| failed("make the seccomp filter")(io::Error::other(error)))?,
                ),
            ),
            oom_events: group.out_of_memory_events().map(|file| program.give(file)),
        };
        let config = document(&jail).map_err(failed("write the jail's document"))?;
        let number = program.give(config);
        program.arguments = vec!["jail".into(), number.to_string().into()];
        let process = program.start().await.map_err(failed("start aegis-harness"))?;
        Ok(Started {
            machine: Box::new(JailMachine { process, group }),
            channel: Box::new(channel),
            root: Root::Here,
            workspace: None,
            is_clone: false,
        })
    }
}

/// Root gives each guest ids that nobody else has; others have only their own.
fn ids(id: &str) -> Ids {
    if !rustix::process::geteuid().is_root() {
        return Ids::Same;
    }
    let digest = blake3::hash(id.as_bytes());
    let [a, b, ..] = *digest.as_bytes();
    Ids::Shifted { base: FIRST_ID + u32::from(u16::from_le_bytes([a, b])) % RANGES * IDS }
}

fn socket() -> io::Result<(UnixStream, std::os::fd::OwnedFd)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs.into()))
}

/// In memory only: it has the token.
fn document(jail: &Jail) -> io::Result<File> {
    let mut file = memory_file::create("aegis-jail", 0)?;
    file.write_all(&serde_json::to_vec(jail)?)?;
    file.rewind()?;
    Ok(file)
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Io { what: what.to_owned(), source }
}

impl Backend for Namespaces {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            pause_resume: true,
            memory_snapshots: false,
            boot_from_disk_layers: false,
            is_vm: false,
        }
    }

    fn start<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, Result<Started, StartError>> {
        Box::pin(self.start_jail(spec))
    }
}

/// A jail. The process goes before its groups do.
#[derive(Debug)]
struct JailMachine {
    process: Process,
    group: Group,
}

impl JailMachine {
    async fn set_frozen(&self, is_frozen: bool) -> io::Result<()> {
        if self.group.freeze(is_frozen).await? { Ok(()) } else { stop::set(self.process.id(), is_frozen) }
    }
}

impl Machine for JailMachine {
    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn pause(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.set_frozen(true))
    }

    fn resume(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.set_frozen(false))
    }

    fn kill(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async {
            self.process.kill()?;
            // What is frozen dies when it is let go.
            let _ = self.group.freeze(false).await;
            self.process.wait().await;
            Ok(())
        })
    }

    fn wait(&self) -> BoxFuture<'_, MachineExit> {
        Box::pin(async {
            let status = self.process.wait().await;
            let console = self.process.console().finished().await;
            let last = console.lines().last().unwrap_or_default();
            let reason = match (status.code(), status.signal()) {
                (Some(0), _) => "the guest ended".to_owned(),
                (_, Some(libc::SIGKILL)) => "it was killed".to_owned(),
                _ if last.is_empty() => status.to_string(),
                _ => last.to_owned(),
            };
            MachineExit { clean: status.success(), reason }
        })
    }

    fn console(&self) -> String {
        self.process.console().text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_have_ids_that_the_host_does_not_use() {
        for id in ["a", "b", "inst-0123456789"] {
            if let Ids::Shifted { base } = ids(id) {
                assert!(base >= FIRST_ID && base % IDS == 0 && base.checked_add(IDS).is_some());
            }
        }
    }
}
