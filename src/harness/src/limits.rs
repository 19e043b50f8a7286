//! Bounds on the processes of a VM, where nobody outside can set them.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Resource, Rlimit},
};

use crate::{
    context::{Context, Outcome},
    layout::{KERNEL, mount},
};

/// Files that a process may have open at once. Kernels begin with 1024, which servers find too few.
const OPEN_FILES: u64 = 65_536;

/// Where a boot has the kernel's cgroups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Makes the cgroup of everything but the harness.
pub fn make_cgroup() -> Outcome<PathBuf> {
    mount("cgroup2", Path::new(CGROUPS), "cgroup2", KERNEL, "")?;
    let top = Path::new(CGROUPS);
    fs::write(top.join("cgroup.subtree_control"), "+pids").context("the pids controller")?;
    let group = top.join("guest");
    fs::create_dir(&group).context("the guest's cgroup")?;
    Ok(group)
}

/// Bounds how many processes there are. What comes back is the file that a new process writes itself into; none: another
/// way was found, or there is no bound.
pub fn bound_processes(group: &Outcome<PathBuf>, most: Option<u32>) -> Outcome<Option<OwnedFd>> {
    let Some(most) = most else { return Ok(None) };
    // A kernel without cgroups: its bound for everything, itself included, does as well.
    let Ok(group) = group else { return bound_threads(most).map(|()| None) };
    fs::write(group.join("pids.max"), most.to_string()).context("pids.max")?;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(group.join("cgroup.procs"), flags, Mode::empty()).context("cgroup.procs")?;
    Ok(Some(file))
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
