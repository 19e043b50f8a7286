//! The guest's file systems on top of its read-only root.

use std::{
    fs,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use aegis_harness::message::Network;
use rustix::{
    fs::{Mode, OFlags, ResolveFlags},
    mount::MountFlags,
};

use crate::context::{Context, Outcome};

/// What everything that is written to gets.
const SCRATCH: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);
/// What the kernel's own file systems get.
pub const KERNEL: MountFlags = SCRATCH.union(MountFlags::NOEXEC);

/// A root file system that isn't the root yet.
pub struct Layout {
    root: OwnedFd,
    /// A directory outside of the root for what is mounted into it.
    scratch: PathBuf,
    scratch_mib: u64,
}

/// A path in the new root, found as if that were the root already: an image's links lead nowhere else.
pub struct Place(OwnedFd);

impl Place {
    /// A path to it that works until it is dropped.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

impl Layout {
    /// Of the file system that is mounted at `root`; makes `scratch` and mounts memory there.
    pub fn new(root: &Path, scratch: &Path, scratch_mib: u64) -> Outcome<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty()).context(root.display())?;
        fs::create_dir_all(scratch).context(scratch.display())?;
        let layout = Self { root, scratch: scratch.to_owned(), scratch_mib };
        mount("tmpfs", scratch, "tmpfs", SCRATCH, &layout.sized("0755"))?;
        Ok(layout)
    }

    /// Finds a path in the new root.
    pub fn place(&self, inner: &str) -> Outcome<Place> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let fd = rustix::fs::openat2(&self.root, inner, flags, Mode::empty(), resolve);
        fd.map(Place).context(format_args!("/{inner} of the image"))
    }

    /// Mounts a file system in the new root.
    pub fn mount(&self, kind: &str, inner: &str, flags: MountFlags, options: &str) -> Outcome<()> {
        mount(kind, &self.place(inner)?.path(), kind, flags, options)
    }

    /// Mounts memory in the new root.
    pub fn memory(&self, inner: &str, mode: &str) -> Outcome<()> {
        self.mount("tmpfs", inner, SCRATCH, &self.sized(mode))
    }

    fn sized(&self, mode: &str) -> String {
        format!("mode={mode},size={}m", self.scratch_mib)
    }

    /// `/tmp`, `/run` and `/var`, to be written to. `user_namespace`: without the marks that only the real root may make.
    pub fn writable(&self, user_namespace: bool) -> Outcome<()> {
        self.memory("tmp", "1777")?;
        self.memory("run", "0755")?;
        let (upper, work) = (self.scratch.join("var"), self.scratch.join("work"));
        fs::create_dir_all(&upper).context(upper.display())?;
        fs::create_dir_all(&work).context(work.display())?;
        let var = self.place("var")?;
        let marks = if user_namespace { ",userxattr" } else { "" };
        let options = format!(
            "lowerdir={},upperdir={},workdir={}{marks}",
            var.path().display(),
            upper.display(),
            work.display()
        );
        mount("overlay", &var.path(), "overlay", SCRATCH, &options)
    }

    /// What is left of `/dev` once its nodes are there: terminals, shared memory and the usual links.
    pub fn devices(&self, terminal_group: &str) -> Outcome<()> {
        let place = self.place("dev")?;
        let dev = place.path();
        for directory in ["pts", "shm"] {
            fs::create_dir_all(dev.join(directory)).context(format_args!("/dev/{directory}"))?;
        }
        let terminals = format!("newinstance,ptmxmode=0666,mode=0620{terminal_group}");
        self.mount("devpts", "dev/pts", MountFlags::NOSUID | MountFlags::NOEXEC, &terminals)?;
        self.memory("dev/shm", "1777")?;
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("ptmx", "pts/ptmx"),
        ] {
            let link = dev.join(name);
            // A kernel that makes nodes makes one for `ptmx`, of the host's instance of terminals in a jail.
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(target, &link).context(format_args!("/dev/{name}"))?;
        }
        Ok(())
    }

    /// The names that the guest knows itself and others by.
    pub fn names(&self, hostname: &str, network: Option<&Network>) -> Outcome<()> {
        for (name, text) in [
            ("hostname", format!("{hostname}\n")),
            ("hosts", hosts(hostname, network)),
            ("resolv.conf", resolver(network)),
        ] {
            let file = self.scratch.join(name);
            fs::write(&file, text).context(file.display())?;
            let place = self.place(&format!("etc/{name}"))?;
            rustix::mount::mount_bind(&file, place.path()).context(format_args!("/etc/{name}"))?;
        }
        Ok(())
    }

    /// `/proc`.
    pub fn processes(&self) -> Outcome<()> {
        self.mount("proc", "proc", KERNEL, "")
    }

    /// `/sys`.
    pub fn kernel(&self, flags: MountFlags) -> Outcome<()> {
        self.mount("sysfs", "sys", KERNEL | flags, "")
    }
}

/// Mounts, and says what if it can't.
pub fn mount(source: &str, target: &Path, kind: &str, flags: MountFlags, options: &str) -> Outcome<()> {
    let options = std::ffi::CString::new(options).context(kind)?;
    let options = Some(options.as_c_str()).filter(|options| !options.is_empty());
    rustix::mount::mount(source, target, kind, flags, options)
        .context(format_args!("mounting {kind} from {source}"))
}

fn hosts(hostname: &str, network: Option<&Network>) -> String {
    let own = network.and_then(|network| network.address.split('/').next()).unwrap_or("127.0.0.1");
    format!("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n{own} {hostname}\n")
}

fn resolver(network: Option<&Network>) -> String {
    network.map_or_else(String::new, |network| format!("nameserver {}\n", network.nameserver))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_knows_its_own_name_with_and_without_a_network() {
        let network = Network {
            address: "10.0.2.15/24".to_owned(),
            gateway: "10.0.2.2".to_owned(),
            nameserver: "10.0.2.3".to_owned(),
            mtu: 1500,
        };
        assert!(hosts("i-1", None).ends_with("127.0.0.1 i-1\n"));
        assert!(hosts("i-1", Some(&network)).ends_with("10.0.2.15 i-1\n"));
        assert_eq!(resolver(Some(&network)), "nameserver 10.0.2.3\n");
        assert_eq!(resolver(None), "");
    }
}
