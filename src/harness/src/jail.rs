//! What `aegis-harness jail N` is given: the guest of the backend without a VM, as JSON on the inherited file N.
//!
//! The process that reads it must be its caller's child: it dies with the thread that made it (`PR_SET_PDEATHSIG`).
//! It leaves the namespaces of the host, forks, waits for its child and ends with its exit code; the child is PID 1 of the
//! guest and speaks the protocol of this crate on [`Jail::channel`]. Killing the first kills everything in the jail.
//! Limits that a cgroup sets are set by the caller, from outside, before it executes the harness: the guest begins in
//! that cgroup, and sees it as the root of its cgroup namespace.
//!
//! The guest's layout is the one of a VM. `/proc` is fresh, with what belongs to the host's kernel covered or read-only;
//! `/dev` has `null zero full random urandom tty ptmx pts shm` and nothing else.

use std::{os::fd::RawFd, path::PathBuf};

use serde::{Deserialize, Serialize};

/// What the guest is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jail {
    /// For the greeting.
    pub token: String,
    /// The inherited stream socket of the control channel.
    pub channel: RawFd,
    /// The directory of the root file system. Never written to: it is mounted read-only, without devices.
    pub root: PathBuf,
    /// The directory that becomes `/workspace`; none: it is in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<PathBuf>,
    /// Who the guest's root is on the host.
    #[serde(default)]
    pub ids: Ids,
    /// Upper bounds on resources of each process, as `setrlimit` takes them.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// The seccomp filter: the bytes of its `struct sock_filter` array, base64. It holds for the guest's PID 1, once that
    /// has mounted what there is to mount, and for all that it starts. None: no filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<String>,
    /// An inherited file that is open on the cgroup's `memory.events` (version 2) or `memory.oom_control` (version 1):
    /// its line `oom_kill N` tells processes that ran out of memory from killed ones. None: the kernel's own count is used, which
    /// is the whole machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_events: Option<RawFd>,
}

/// The guest's user ids on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Ids {
    /// The guest's root is whoever starts the jail, in a user namespace of its own. For an ordinary user that is the only id
    /// there is; for root it is the ids 0 to 65535 unchanged, so that an image's owners stay what they are, without any
    /// power over the host's kernel.
    #[default]
    Same,
    /// For root only: the guest's ids 0 to 65535 are `base` and above on the host, and root and workspace are mounted so
    /// that files look as they do on disk. Where the kernel or the file system can't do that, it is as [`Ids::Same`].
    Shifted {
        /// The host's id of the guest's root.
        base: u32,
    },
}

/// One of a process's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Which, by its number (`RLIMIT_NOFILE` is 7).
    pub resource: u32,
    /// Soft and hard limit alike.
    pub most: u64,
}
