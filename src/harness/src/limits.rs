//! Bounds on the processes of a VM, where nobody outside can set them.

use std::{fs, os::fd::OwnedFd};

use rustix::{
    fs::{Mode, OFlags},
    mount::MountFlags,
    process::{Resource, Rlimit},
};

use crate::{
    context::{Context, Outcome},
    layout::Layout,
};

/// Files that a process may have open at once. Kernels begin with 1024, which servers find too few.
const OPEN_FILES: u64 = 65_536;

/// The cgroup that bounds how many processes there are: the file that a new process writes itself into. None: another way
/// was found, or there is no bound.
pub fn bound_processes(layout: &Layout, most: Option<u32>) -> Outcome<Option<OwnedFd>> {
    // Programs look there for what they may use, whether or not it is needed here.
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mounted = layout.mount("cgroup2", "sys/fs/cgroup", flags, "");
    let Some(most) = most else { return Ok(None) };
    match mounted.and_then(|()| make_cgroup(layout, most)) {
        Ok(file) => Ok(Some(file)),
        // A kernel without cgroups: its bound for everything, itself included, does as well.
        Err(_) => bound_threads(most).map(|()| None),
    }
}

fn make_cgroup(layout: &Layout, most: u32) -> Outcome<OwnedFd> {
    let place = layout.place("sys/fs/cgroup")?;
    let top = place.path();
    fs::write(top.join("cgroup.subtree_control"), "+pids").context("the pids controller")?;
    let group = top.join("guest");
    fs::create_dir_all(&group).context("the guest's cgroup")?;
    fs::write(group.join("pids.max"), most.to_string()).context("pids.max")?;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::open(group.join("cgroup.procs"), flags, Mode::empty()).context("cgroup.procs")
}

fn bound_threads(most: u32) -> Outcome<()> {
    let load = fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    let bound = threads(&load).unwrap_or(0) + most;
    fs::write("/proc/sys/kernel/threads-max", bound.to_string()).context("the number of processes")
}

/// All threads, out of `0.00 0.01 0.05 1/85 1234`.
fn threads(load: &str) -> Option<u32> {
    load.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

/// Lets processes open more files than a kernel's first process may.
pub fn raise_open_files() {
    let limit = Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) };
    // One that can't be raised stays as it is.
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_how_many_threads_there_are() {
        assert_eq!(threads("0.00 0.01 0.05 1/85 1234\n"), Some(85));
        assert_eq!(threads(""), None);
    }
}
