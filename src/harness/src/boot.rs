//! From the kernel's first process to the moment when the control channel is open. Nothing here depends on the instance:
//! a template is saved in the state that this leaves.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use aegis_harness::PORT_NAME;
use rustix::{
    fs::{Mode, OFlags},
    mm::MlockAllFlags,
    mount::MountFlags,
};

use crate::{
    context::{Context, Outcome},
    layout::mount,
    limits, network, sys,
};

/// Where the initramfs has the kernel's modules, in files whose names are their order.
const MODULES: &str = "/modules";
/// Where it has the token.
const TOKEN: &str = "/aegis/token";
/// Devices come within this after their driver.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often one looks for what the kernel doesn't announce.
const STEP: Duration = Duration::from_millis(1);

/// What a booted guest has.
pub struct Booted {
    /// The control channel.
    pub channel: OwnedFd,
    /// What its greeting says.
    pub token: String,
    /// What a setup goes on with.
    pub prepared: Prepared,
    /// What went wrong on the way without ending it.
    pub remarks: Vec<String>,
}

/// What takes an emulated kernel longer than most of a setup and is the same for every instance: a clone has it already.
pub struct Prepared {
    /// A network device, if this kernel can make them.
    pub tun: Outcome<OwnedFd>,
    /// The cgroup for all that isn't the harness.
    pub cgroup: Outcome<PathBuf>,
}

/// Mounts what everything else needs, loads modules and opens the channel.
pub fn boot() -> Outcome<Booted> {
    let mut remarks = Vec::new();
    for (kind, target) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        fs::create_dir_all(target).context(target)?;
        // A kernel may have mounted /dev by itself.
        if let Err(error) = mount(kind, Path::new(target), kind, MountFlags::NOSUID, "") {
            remarks.push(error);
        }
    }
    sys::fill_standard_files();
    load_modules(&mut remarks);
    network::raise_loopback()?;
    let prepared =
        Prepared { tun: network::open_tun().and_then(network::make_tun), cgroup: limits::make_cgroup() };
    let token = fs::read_to_string(TOKEN).context(TOKEN)?.trim().to_owned();
    fs::remove_file(TOKEN).context(TOKEN)?;
    let channel = open_port()?;
    // The pages of this program are in memory before a template is saved, so that a clone has no faults of its own for
    // them. It matters a little and can fail: then it is slower.
    let _ = rustix::mm::mlockall(MlockAllFlags::CURRENT);
    Ok(Booted { channel, token, prepared, remarks })
}

/// A kernel with everything built in has no such directory.
fn load_modules(remarks: &mut Vec<String>) {
    for path in in_order(fs::read_dir(MODULES)) {
        let loaded = fs::File::open(&path)
            .and_then(|file| Ok(rustix::system::finit_module(&file, c"", 0)?))
            .or_else(|error| if error.raw_os_error() == Some(libc::EEXIST) { Ok(()) } else { Err(error) });
        if let Err(error) = loaded {
            remarks.push(format!("module {}: {error}", path.display()));
        }
    }
    // They are in the kernel now; their files are memory.
    let _ = fs::remove_dir_all(MODULES);
}

fn in_order(entries: io::Result<fs::ReadDir>) -> Vec<PathBuf> {
    let paths = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "ko")).collect();
    paths.sort();
    paths
}

fn open_port() -> Outcome<OwnedFd> {
    let device = wait_for("the port of the control channel", || {
        fs::read_dir("/sys/class/virtio-ports").ok()?.find_map(|entry| {
            let path = entry.ok()?.path();
            let name = fs::read_to_string(path.join("name")).ok()?;
            (name.trim() == PORT_NAME).then(|| Path::new("/dev").join(path.file_name().unwrap_or_default()))
        })
    })?;
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    wait_for("the device of the control channel", || rustix::fs::open(&device, flags, Mode::empty()).ok())
}

/// Waits for something that comes without a sign.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Outcome<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= until {
            return Err(format!("{what} didn't come in {} s", PATIENCE.as_secs()));
        }
        thread::sleep(STEP);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn modules_are_loaded_in_the_order_of_their_names() {
        let directory = std::env::temp_dir().join(format!("aegis-modules-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        for name in ["10-virtio_blk.ko", "02-virtio.ko", "01-virtio_ring.ko", "README"] {
            fs::write(directory.join(name), "").unwrap();
        }
        let names: Vec<_> = in_order(fs::read_dir(&directory))
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["01-virtio_ring.ko", "02-virtio.ko", "10-virtio_blk.ko"]);
        fs::remove_dir_all(&directory).unwrap();
        assert!(in_order(fs::read_dir("/nonexistent")).is_empty());
    }
}
