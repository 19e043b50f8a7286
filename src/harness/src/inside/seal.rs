//! What mounts of the host's may not do in a jail.

#![expect(unsafe_code, reason = "there are no safe wrappers")]

use std::{
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// What a mount is sealed against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// Nothing in it is a device or gives anybody's rights.
    Devices,
    /// And nothing is written.
    Writing,
    /// It is a device; only its owner and mode stay as they are.
    Changing,
}

/// Seals a mount and what is below it. It only ever adds to what holds there already, which a mount with flags of its
/// own couldn't promise.
pub fn seal_mount(path: &Path, what: Seal) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    set(libc::AT_FDCWD, &path, 0, bits(what), 0)
}

/// The same for a mount that isn't anywhere yet.
pub fn seal_tree(tree: &OwnedFd, what: Seal) -> io::Result<()> {
    set(tree.as_raw_fd(), c"", libc::AT_EMPTY_PATH, bits(what), 0)
}

/// The same, and files belong in there to whom they belong on disk, although `users` counts its ids from elsewhere.
pub fn map_tree(tree: &OwnedFd, what: Seal, users: &OwnedFd) -> io::Result<()> {
    let users_fd = u64::try_from(users.as_raw_fd()).map_err(io::Error::other)?;
    set(tree.as_raw_fd(), c"", libc::AT_EMPTY_PATH, bits(what) | libc::MOUNT_ATTR_IDMAP, users_fd)
}

fn bits(what: Seal) -> u64 {
    libc::MOUNT_ATTR_NOSUID
        | match what {
            Seal::Devices => libc::MOUNT_ATTR_NODEV,
            Seal::Writing => libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_RDONLY,
            Seal::Changing => libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOEXEC,
        }
}

fn set(from: RawFd, path: &CStr, flags: libc::c_int, attr_set: u64, userns_fd: u64) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set, attr_clr: 0, propagation: 0, userns_fd };
    let size = size_of::<libc::mount_attr>();
    let flags = flags | libc::AT_RECURSIVE;
    // SAFETY: the path is a C string and the structure is as long as it is said to be; both outlive the call.
    let done = unsafe {
        libc::syscall(libc::SYS_mount_setattr, from, path.as_ptr(), flags, &raw const attributes, size)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
