//! The system calls that have no safe wrapper elsewhere. All of this crate's `unsafe` that isn't about a network device
//! or a jail's restrictions is here.

#![expect(unsafe_code, reason = "there are no safe wrappers")]

use std::{
    ffi::{CStr, CString},
    io, mem,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use rustix::process::Pid;

/// Turns the `-1` of the C library into the error that it stands for.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Which side of a fork this is.
pub enum Forked {
    /// The new process.
    Child,
    /// The old one, with the new one's number.
    Parent(Pid),
}

/// Makes a copy of this process. The harness has one thread, so that the copy may do whatever it likes.
pub fn fork() -> io::Result<Forked> {
    // SAFETY: the harness never starts a thread: no lock is held by another one at this moment.
    match check(unsafe { libc::fork() })? {
        0 => Ok(Forked::Child),
        pid => Pid::from_raw(pid).map(Forked::Parent).ok_or_else(|| io::Error::other("fork gave no process")),
    }
}

/// Ends this process at once: nothing is flushed, nothing dropped.
pub fn exit(code: i32) -> ! {
    // SAFETY: it takes a number and doesn't come back.
    unsafe { libc::_exit(code) }
}

/// Becomes another program. Comes back only with the reason why not.
pub fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both arrays end with a null pointer, and they and the strings outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// A file that can be read when a signal came. The signals are blocked; a broken pipe is an error and no signal.
pub fn signal_file(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by `sigemptyset` before anything reads it; the descriptor is new and nobody else's.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        let mut set = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()))?;
        let fd = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Gives a new process the signals as a program expects them: none blocked, none ignored.
pub fn default_signals() -> io::Result<()> {
    // SAFETY: the set is initialised by `sigemptyset` before anything reads it; no handler is installed.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut set = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut())).map(drop)
    }
}

/// Makes `fd` the descriptor `number` of this process, which is kept at exec.
pub fn install(fd: impl AsFd, number: RawFd) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: it takes numbers; what was at `number` before are the standard files, which nobody owns.
    let done =
        unsafe { if fd == number { libc::fcntl(fd, libc::F_SETFD, 0) } else { libc::dup2(fd, number) } };
    check(done).map(drop)
}

/// Takes over an inherited descriptor, which from now on closes at exec.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it takes numbers.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, as the call above proved, and whoever started this program left it to it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets every descriptor from `first` on close at exec.
pub fn close_from(first: RawFd) {
    // SAFETY: it takes numbers. Where the kernel doesn't know it, every file was opened to be closed anyway.
    unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Closes everything but the standard files and what is to be kept: whatever else the caller left open, such as another
/// guest's channel, would stay open as long as this process.
pub fn close_all_but(kept: &[RawFd]) {
    let mut kept: Vec<_> = kept.iter().filter_map(|number| libc::c_uint::try_from(*number).ok()).collect();
    kept.sort_unstable();
    let mut first: libc::c_uint = 3;
    for number in kept.into_iter().chain([libc::c_uint::MAX]) {
        if number > first {
            // SAFETY: it takes numbers; nothing in this process owns a descriptor yet.
            unsafe { libc::syscall(libc::SYS_close_range, first, number - 1, 0) };
        }
        first = first.max(number.saturating_add(1));
    }
}

/// Adds randomness to the kernel's and lets its generator begin anew with it: clones of one template share no numbers.
pub fn add_entropy(bytes: &[u8]) -> io::Result<()> {
    const ADD: libc::Ioctl = 0x4008_5203;
    const RESEED: libc::Ioctl = 0x5207;
    let mut request = Vec::with_capacity(8 + bytes.len());
    let size = libc::c_int::try_from(bytes.len()).map_err(io::Error::other)?;
    request.extend_from_slice(&(size * 8).to_ne_bytes());
    request.extend_from_slice(&size.to_ne_bytes());
    request.extend_from_slice(bytes);
    let pool = std::fs::File::options().write(true).open("/dev/urandom")?;
    // SAFETY: `request` is a `rand_pool_info`: two ints and as many bytes as the second says; it outlives the calls.
    unsafe {
        check(libc::ioctl(pool.as_raw_fd(), ADD, request.as_ptr()))?;
        check(libc::ioctl(pool.as_raw_fd(), RESEED))?;
    }
    Ok(())
}

/// Stands in for the standard files where they are closed, so that nothing else becomes one of them by chance.
pub fn fill_standard_files() {
    for number in 0..=2 {
        // SAFETY: it takes numbers.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
            // SAFETY: the path is a C string; the descriptor is meant to stay open for ever.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        }
    }
}

/// Sends a signal to every process of this guest but its first, which is this one.
pub fn signal_all(signal: i32) {
    // Anywhere else, "all" would be the processes of a person.
    if std::process::id() == 1 {
        // SAFETY: it takes numbers.
        unsafe { libc::kill(-1, signal) };
    }
}

/// As [`fork`], with the child as the first process of namespaces of its own.
pub fn fork_into(namespaces: libc::c_int) -> io::Result<Forked> {
    let flags = libc::c_long::from(namespaces | libc::SIGCHLD);
    // SAFETY: as for `fork`: without a stack of its own, the child goes on with a copy of this one.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    if pid == 0 {
        return Ok(Forked::Child);
    }
    let pid = libc::c_int::try_from(pid).map_err(io::Error::other)?;
    Pid::from_raw(check(pid)?).map(Forked::Parent).ok_or_else(|| io::Error::other("clone gave no process"))
}
