//! Landlock: even if a mount were writable that shouldn't be, or a socket of the host reachable, the kernel would refuse.

#![expect(unsafe_code, reason = "there are no safe wrappers")]

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
};

use rustix::fs::{Mode, OFlags};

const CREATE_RULESET: libc::c_long = 444;
const ADD_RULE: libc::c_long = 445;
const RESTRICT_SELF: libc::c_long = 446;
const VERSION: u32 = 1;
const PATH_BENEATH: libc::c_int = 1;

const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIRECTORY: u64 = 1 << 3;
/// Making and removing entries of all kinds.
const ENTRIES: u64 = 0b1_1111_1111 << 4;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const DEVICE_CONTROL: u64 = 1 << 15;
/// Abstract sockets, and signals, of processes outside.
const SCOPES: u64 = 0b11;

const READ: u64 = EXECUTE | READ_FILE | READ_DIRECTORY;
const USE: u64 = READ_FILE | READ_DIRECTORY | WRITE_FILE | TRUNCATE | DEVICE_CONTROL;
const ALL: u64 = READ | ENTRIES | WRITE_FILE | REFER | TRUNCATE | DEVICE_CONTROL;

/// What may be done where. The rest of the root is read and executed.
const RULES: &[(&str, u64)] = &[
    ("/", READ),
    ("/workspace", ALL),
    ("/tmp", ALL),
    ("/run", ALL),
    ("/var", ALL),
    ("/dev/shm", ALL),
    ("/dev", USE),
    ("/proc", USE | EXECUTE),
];

/// `struct landlock_ruleset_attr`.
#[repr(C)]
struct Ruleset {
    files: u64,
    network: u64,
    scopes: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Rule {
    allowed: u64,
    parent: i32,
}

/// What each version of landlock knows of the above.
fn known(version: i64) -> (u64, u64) {
    let files = match version {
        1 => ALL & !(REFER | TRUNCATE | DEVICE_CONTROL),
        2 => ALL & !(TRUNCATE | DEVICE_CONTROL),
        3 | 4 => ALL & !DEVICE_CONTROL,
        _ => ALL,
    };
    (files, if version >= 6 { SCOPES } else { 0 })
}

/// Restricts this process and all that it will start.
pub fn restrict() -> io::Result<()> {
    // SAFETY: without a structure, the call takes numbers and gives the version.
    let version = unsafe { libc::syscall(CREATE_RULESET, ptr::null::<Ruleset>(), 0, VERSION) };
    let (files, scopes) = known(checked(version)?);
    let ruleset = Ruleset { files, network: 0, scopes };
    // An older kernel takes the longer structure as long as what it doesn't know is zero.
    // SAFETY: the structure is as long as it is said to be, and outlives the call.
    let fd = unsafe { libc::syscall(CREATE_RULESET, &raw const ruleset, size_of::<Ruleset>(), 0) };
    let fd = libc::c_int::try_from(checked(fd)?).map_err(io::Error::other)?;
    // SAFETY: it is new and nobody else's.
    let rules = unsafe { OwnedFd::from_raw_fd(fd) };
    for (path, allowed) in RULES {
        let parent = rustix::fs::open(*path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let rule = Rule { allowed: allowed & files, parent: parent.as_raw_fd() };
        // SAFETY: the structure is the one of this kind of rule, and outlives the call.
        let done = unsafe { libc::syscall(ADD_RULE, rules.as_raw_fd(), PATH_BENEATH, &raw const rule, 0) };
        checked(done)?;
    }
    // SAFETY: it takes numbers.
    checked(unsafe { libc::syscall(RESTRICT_SELF, rules.as_raw_fd(), 0) }).map(drop)
}

/// Whether an error says that this kernel has no landlock, or that it is turned off.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP))
}

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_kernel_is_asked_for_what_it_knows() {
        assert_eq!(known(1), ((1 << 13) - 1, 0));
        assert_eq!(known(3).0, (1 << 15) - 1);
        assert_eq!(known(7), ((1 << 16) - 1, SCOPES));
    }
}
