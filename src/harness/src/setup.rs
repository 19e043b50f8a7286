//! Makes a guest of a VM what its setup says: time, randomness, names, file systems, network, bounds.

use std::{fs, path::Path};

use aegis_harness::message::{Root, Setup};
use base64::{Engine, prelude::BASE64_STANDARD};
use rustix::{
    mount::{MountFlags, UnmountFlags},
    time::{ClockId, Timespec},
};

use crate::{
    boot::{Prepared, wait_for},
    context::{Context, Outcome},
    layout::{KERNEL, Layout, mount},
    limits,
    network::Tun,
    spawn::Common,
    sys,
};

/// Where the root is until it is the root.
const NEW_ROOT: &str = "/sysroot";
/// Memory for what is mounted into it; out of reach once the root is the root.
const SCRATCH: &str = "/scratch";
/// The same where the root is the root from the beginning.
const SCRATCH_HERE: &str = "/dev/.scratch";

/// What a guest has after its setup.
pub struct Made {
    /// For every process.
    pub common: Common,
    /// The way out.
    pub tun: Option<Tun>,
    /// What is less than it could be, for the log.
    pub remarks: Vec<String>,
}

/// Does all of it.
pub fn make(prepared: Prepared, setup: &Setup) -> Outcome<Made> {
    set_clock(setup.unix_ns)?;
    let entropy = BASE64_STANDARD.decode(&setup.entropy).context("the entropy of the setup")?;
    sys::add_entropy(&entropy).context("adding entropy")?;
    rustix::system::sethostname(setup.hostname.as_bytes()).context("the hostname")?;
    let here = setup.root == Root::Here;
    let (root, scratch) = if here { ("/", SCRATCH_HERE) } else { (NEW_ROOT, SCRATCH) };
    mount_root(&setup.root)?;
    let layout = Layout::new(Path::new(root), Path::new(scratch), setup.scratch_mib)?;
    layout.writable(false)?;
    mount_workspace(&layout, setup.workspace.as_deref())?;
    if !here {
        layout.processes()?;
        layout.kernel(MountFlags::empty())?;
        layout.mount("devtmpfs", "dev", MountFlags::NOSUID, "")?;
    }
    layout.devices(",gid=5")?;
    layout.names(&setup.hostname, setup.network.as_ref())?;
    let cgroup = limits::bound_processes(&prepared.cgroup, setup.pids_max)?;
    if !here && prepared.cgroup.is_ok() {
        // Programs look there for what they may use.
        layout.mount("cgroup2", "sys/fs/cgroup", KERNEL, "")?;
    }
    limits::raise_open_files();
    if here {
        rustix::mount::unmount(scratch, UnmountFlags::DETACH).context(scratch)?;
    } else {
        switch_root()?;
    }
    let tun = match &setup.network {
        Some(network) => Some(Tun::new(prepared.tun?, network)?),
        None => None,
    };
    // The kernel never ends a VM's first process for lack of memory, so that others need no more than they have.
    Ok(Made { common: Common { cgroup, oom_score_adj: "0" }, tun, remarks: Vec::new() })
}

/// Sets the time of day.
pub fn set_clock(unix_ns: u64) -> Outcome<()> {
    const SECOND: u64 = 1_000_000_000;
    let whole = i64::try_from(unix_ns / SECOND).context("the time")?;
    let rest = i64::try_from(unix_ns % SECOND).context("the time")?;
    let time = Timespec { tv_sec: whole, tv_nsec: rest };
    rustix::time::clock_settime(ClockId::Realtime, time).context("setting the clock")
}

fn mount_root(root: &Root) -> Outcome<()> {
    let Root::Device { device, file_system } = root else { return Ok(()) };
    let device = wait_for_device(device)?;
    fs::create_dir_all(NEW_ROOT).context(NEW_ROOT)?;
    let flags = MountFlags::RDONLY | MountFlags::NODEV;
    mount(&device, Path::new(NEW_ROOT), file_system, flags, "")
}

fn mount_workspace(layout: &Layout, device: Option<&str>) -> Outcome<()> {
    match device {
        Some(device) => {
            let device = wait_for_device(device)?;
            mount(&device, &layout.place("workspace")?.path(), "ext4", MountFlags::NODEV, "")
        }
        None => layout.memory("workspace", "0755"),
    }
}

/// The disk that says to be called so by its serial number: which one the kernel finds first differs between machines. Where no
/// disk has one, it is the kernel's name.
fn wait_for_device(name: &str) -> Outcome<String> {
    let path = format!("/dev/{name}");
    wait_for(&path, || {
        let serials = serials(Path::new("/sys/block"));
        let found = match serials.iter().find(|(_, serial)| serial == name) {
            Some((device, _)) => format!("/dev/{device}"),
            None if serials.is_empty() => path.clone(),
            None => return None,
        };
        Path::new(&found).exists().then_some(found)
    })
}

/// The disks that have a serial number, and it.
fn serials(disks: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(disks).into_iter().flatten().flatten();
    let serial = |disk: std::fs::DirEntry| {
        let text = std::fs::read_to_string(disk.path().join("serial")).ok()?;
        let serial = text.trim_matches(['\0', '\n', ' ']).to_owned();
        (!serial.is_empty()).then(|| (disk.file_name().to_string_lossy().into_owned(), serial))
    };
    entries.filter_map(serial).collect()
}

/// The new root becomes the root of everything; what was there before is under it and out of reach.
fn switch_root() -> Outcome<()> {
    rustix::process::chdir(NEW_ROOT).context(NEW_ROOT)?;
    rustix::mount::mount_move(".", "/").context("moving the root")?;
    rustix::process::chroot(".").context("changing the root")?;
    rustix::process::chdir("/").context("/")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_disk_is_known_by_its_serial_number_whatever_the_kernel_calls_it() {
        let disks = tempfile::tempdir().unwrap();
        for (disk, serial) in
            [("vda", Some("vdb\n")), ("vdb", Some("vda\0\0")), ("loop0", None), ("vdc", Some("\n"))]
        {
            std::fs::create_dir(disks.path().join(disk)).unwrap();
            if let Some(serial) = serial {
                std::fs::write(disks.path().join(disk).join("serial"), serial).unwrap();
            }
        }
        let mut found = serials(disks.path());
        found.sort();
        let pair = |disk: &str, serial: &str| (disk.to_owned(), serial.to_owned());
        assert_eq!(found, [pair("vda", "vdb"), pair("vdb", "vda")]);
        assert!(serials(Path::new("/nonexistent")).is_empty());
    }
}
