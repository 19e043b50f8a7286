//! A jail's names, file systems and network, out of directories of the host.

use std::{fs, os::fd::OwnedFd, path::Path};

use aegis_harness::{jail::Jail, message::Setup};
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags};

use crate::{
    context::{Context, Outcome},
    inside::{
        brought::Brought,
        restrict,
        seal::{Seal, seal_mount},
    },
    layout::{Layout, mount},
    network::{self, Tun},
    setup::Made,
    spawn::Common,
};

/// The devices that do nothing but what every program may ask of a kernel.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
/// What of `/proc` belongs to the host's kernel, and may be read.
const READ_ONLY: &[&str] = &["proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus", "proc/fs"];
/// What may not even be read: it tells of the host and its other programs. As container engines have it.
const COVERED: &[&str] = &[
    "proc/kcore",
    "proc/keys",
    "proc/key-users",
    "proc/kmsg",
    "proc/kallsyms",
    "proc/timer_list",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/acpi",
    "proc/scsi",
    "proc/interrupts",
    "sys/firmware",
    "sys/devices/virtual/powercap",
];

/// Where the new root is put together. What is there on the host can't be seen from here afterwards, and needn't be.
const BASE: &str = "/tmp";

/// Makes all of it and gives up what power was needed for it.
pub fn make(
    jail: &Jail,
    mut brought: Option<Brought>,
    mut remarks: Vec<String>,
    setup: &Setup,
) -> Outcome<Made> {
    rustix::system::sethostname(setup.hostname.as_bytes()).context("the hostname")?;
    network::raise_loopback()?;
    // While the host's /dev is there, and before /proc/sys can't be written to.
    let tun = match &setup.network {
        Some(network) => match make_tun(brought.as_mut().and_then(|brought| brought.tun.take())) {
            Ok(device) => Some(Tun::new(device, network)?),
            Err(error) => {
                remarks
                    .push(format!("only loopback: {error}; let users make devices: chmod 666 /dev/net/tun"));
                None
            }
        },
        None => None,
    };
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).context("making mounts private")?;
    let brought = match brought {
        Some(brought) => brought,
        None => Brought::own(jail)?,
    };
    let base = Path::new(BASE);
    mount("tmpfs", base, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, "mode=0755,size=1m")?;
    let (new_root, scratch) = (base.join("root"), base.join("scratch"));
    fs::create_dir(&new_root).context(new_root.display())?;
    attach(&brought.root, &new_root)?;
    let layout = Layout::new(&new_root, &scratch, setup.scratch_mib)?;
    layout.writable(true)?;
    match &brought.workspace {
        Some(workspace) => attach(workspace, &layout.place("workspace")?.path())?,
        None => layout.memory("workspace", "0755")?,
    }
    devices(&layout)?;
    layout.processes()?;
    if let Err(error) = layout.kernel(MountFlags::RDONLY) {
        remarks.push(format!("{error}: /sys is empty"));
        layout.mount("tmpfs", "sys", MountFlags::RDONLY, "size=0")?;
    }
    cover(&layout, &scratch)?;
    layout.names(&setup.hostname, setup.network.as_ref().filter(|_| tun.is_some()))?;
    switch_root(&new_root)?;
    restrict::restrict(jail, &mut remarks)?;
    // More likely than the harness, which alone can say what happened.
    Ok(Made { common: Common { cgroup: None, oom_score_adj: "300" }, tun, remarks })
}

fn make_tun(opened: Option<OwnedFd>) -> Outcome<OwnedFd> {
    let file = match opened {
        Some(file) => file,
        None => network::open_tun()?,
    };
    network::make_tun(file)
}

fn attach(tree: &OwnedFd, target: &Path) -> Outcome<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    rustix::mount::move_mount(tree, "", rustix::fs::CWD, target, flags)
        .context(format_args!("mounting {}", target.display()))
}

fn bind(source: &Path, target: &Path) -> Outcome<()> {
    rustix::mount::mount_bind(source, target).context(format_args!("mounting {}", target.display()))
}

fn devices(layout: &Layout) -> Outcome<()> {
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    layout.mount("tmpfs", "dev", flags, "mode=0755,size=64k")?;
    let place = layout.place("dev")?;
    for name in DEVICES {
        let target = place.path().join(name);
        fs::write(&target, "").context(format_args!("/dev/{name}"))?;
        bind(&Path::new("/dev").join(name), &target)?;
        // It is the host's own: its mode isn't the guest's to change.
        seal_mount(&target, Seal::Changing).context(format_args!("/dev/{name}"))?;
    }
    layout.devices("")
}

fn cover(layout: &Layout, scratch: &Path) -> Outcome<()> {
    let (nothing, empty) = (scratch.join("nothing"), scratch.join("empty"));
    fs::write(&nothing, "").context("a cover")?;
    fs::create_dir(&empty).context("a cover")?;
    for inner in READ_ONLY {
        // What this kernel doesn't have needs no cover.
        let Ok(place) = layout.place(inner) else { continue };
        bind(&place.path(), &place.path())?;
        seal_mount(&layout.place(inner)?.path(), Seal::Writing).context(format_args!("/{inner}"))?;
    }
    for inner in COVERED {
        let Ok(place) = layout.place(inner) else { continue };
        let cover = if place.path().is_dir() { &empty } else { &nothing };
        bind(cover, &place.path())?;
        seal_mount(&layout.place(inner)?.path(), Seal::Writing).context(format_args!("/{inner}"))?;
    }
    Ok(())
}

/// The new root becomes the root, and the host's is gone from this namespace.
fn switch_root(root: &Path) -> Outcome<()> {
    rustix::process::chdir(root).context(root.display())?;
    rustix::process::pivot_root(".", ".").context("changing the root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).context("leaving the host's root")?;
    rustix::process::chdir("/").context("/")
}
