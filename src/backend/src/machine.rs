//! What every backend does.

use std::{path::PathBuf, time::Duration};

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

/// Every rootfs image has this size as a disk, whatever it holds (the file is sparse): a clone's disk can only be replaced by
/// one of the size that its template saw.
pub const ROOTFS_DISK_SIZE: u64 = 16 * 1024 * 1024 * 1024;

/// The two ends of a byte stream.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The control channel, from the host's side, before anything was read from it.
pub type Channel = Box<dyn Duplex>;

/// What a backend can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "a table of yes and no, as `status` shows it")]
pub struct Capabilities {
    /// Whether machines can be paused.
    pub pause_resume: bool,
    /// Whether a machine's memory can be saved and cloned: the warm start.
    pub memory_snapshots: bool,
    /// Whether it boots from disk images, which instances share.
    pub boot_from_disk_layers: bool,
    /// Whether the guest has a kernel of its own.
    pub is_vm: bool,
}

/// The root file system, in the two forms that backends take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootFs {
    /// A read-only EROFS image, [`ROOTFS_DISK_SIZE`] long.
    Image(PathBuf),
    /// A directory, never written to.
    Directory(PathBuf),
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    /// The instance's id.
    pub id: String,
    /// A directory of its own (0700) for sockets and the like. Whoever gives it removes it.
    pub directory: PathBuf,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub cpus: u32,
    /// How many processes there may be.
    pub pids_max: Option<u32>,
    /// The root file system.
    pub rootfs: RootFs,
    /// The workspace that persists: an ext4 image for VMs, a directory for namespaces. None: in memory.
    pub workspace: Option<PathBuf>,
    /// The one-time token that the guest's greeting must have.
    pub token: String,
    /// Whether a template may be used or made: a warm start.
    pub warm: bool,
}

/// A machine that was started, with what its harness needs to hear in its setup.
pub struct Started {
    /// The machine.
    pub machine: Box<dyn Machine>,
    /// The way to its harness.
    pub channel: Channel,
    /// Where the root file system is, for the guest.
    pub root: aegis_harness::message::Root,
    /// The device of the workspace, for the guest.
    pub workspace: Option<String>,
    /// Whether it is a clone of a template: then the setup carries the token, as the greeting is still to come.
    pub is_clone: bool,
}

/// Why a machine isn't there.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The backend doesn't work on this host, and why.
    #[error("{backend} can't run here: {reason}")]
    Unusable {
        /// Its name.
        backend: &'static str,
        /// Why.
        reason: String,
        /// What to do about it: a command.
        hint: Option<String>,
    },
    /// It ended before its channel was open; the last lines of its console.
    #[error("the machine ended while it booted: {reason}")]
    Died {
        /// What is known.
        reason: String,
        /// The end of its console.
        console: String,
    },
    /// It didn't get that far in time.
    #[error("the machine wasn't there after {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The host refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineExit {
    /// Whether it powered off by itself or was asked to.
    pub clean: bool,
    /// What its process said of its end, for the record.
    pub reason: String,
}

/// A way to run guests.
pub trait Backend: Send + Sync {
    /// `qemu`, `libkrun` or `namespaces`.
    fn name(&self) -> &'static str;
    /// What it can do here.
    fn capabilities(&self) -> Capabilities;
    /// Starts a machine: done when the byte stream to its harness exists.
    fn start<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, Result<Started, StartError>>;
}

/// A machine that runs. Dropping it kills it.
pub trait Machine: Send + Sync {
    /// Its process on the host.
    fn pid(&self) -> u32;
    /// Stops its CPUs.
    fn pause(&self) -> BoxFuture<'_, std::io::Result<()>>;
    /// Lets them run again.
    fn resume(&self) -> BoxFuture<'_, std::io::Result<()>>;
    /// Ends it at once.
    fn kill(&self) -> BoxFuture<'_, std::io::Result<()>>;
    /// Waits for its end. May be called more than once.
    fn wait(&self) -> BoxFuture<'_, MachineExit>;
    /// The end of its console.
    fn console(&self) -> String;
}
