//! `aegis-harness jail N`: from a process of the host's to the first process of a guest in namespaces.
//!
//! [`run`] is the process that the backend started; it stays outside, says who is who, brings in what only it may, and
//! waits. Its child is the guest.

mod brought;
mod ids;
mod landlock;
mod restrict;
mod seal;
mod tree;

use std::{fs, io::Read, os::fd::OwnedFd};

use aegis_harness::jail::{Ids, Jail};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::OFlags,
    net::{AddressFamily, SocketFlags, SocketType},
    process::{Pid, Signal, WaitOptions},
};

use crate::{
    channel::Channel,
    context::{Context, Outcome},
    guest::Guest,
    health::{Counters, Whose},
    inside::brought::Brought,
    serve, sys,
    sys::Forked,
};

/// All that the kernel can set apart, but time.
const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWCGROUP;

/// Runs the guest and waits for its end, which is this process's exit code.
pub fn run(number: &str) -> Outcome<i32> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).context("the parent's end")?;
    let mut jail = read(number)?;
    let kept: Vec<_> = jail.oom_events.into_iter().chain([jail.channel]).collect();
    sys::close_all_but(&kept);
    let channel = sys::inherited(jail.channel).context("the channel")?;
    let events = jail.oom_events.map(sys::inherited).transpose().context("the file of the cgroup")?;
    let mut inherited = Inherited { channel, events, remarks: Vec::new() };
    if !rustix::process::geteuid().is_root() {
        jail.ids = Ids::Same;
    }
    if let Ids::Shifted { .. } = jail.ids {
        match start(&jail, inherited)? {
            Started::Ended(code) => return Ok(code),
            Started::Impossible(back, reason) => {
                inherited = back;
                inherited.remarks.push(format!("users are those of the host: {reason}"));
                jail.ids = Ids::Same;
            }
        }
    }
    match start(&jail, inherited)? {
        Started::Ended(code) => Ok(code),
        Started::Impossible(_, reason) => Err(reason),
    }
}

/// What the guest has from the backend.
struct Inherited {
    channel: OwnedFd,
    events: Option<OwnedFd>,
    remarks: Vec<String>,
}

/// What became of a guest.
enum Started {
    /// It ran.
    Ended(i32),
    /// This kernel or file system can't do what was asked for; what it was to have comes back.
    Impossible(Inherited, String),
}

fn start(jail: &Jail, inherited: Inherited) -> Outcome<Started> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .context("a socket to the guest")?;
    match sys::fork_into(NAMESPACES).map_err(|error| explain(&error))? {
        Forked::Child => {
            drop(ours);
            // Nothing comes back from here: this is the guest now.
            match guest(jail, inherited, &theirs) {
                Ok(()) => sys::exit(0),
                Err(reason) => {
                    crate::complain(&reason);
                    sys::exit(1)
                }
            }
        }
        Forked::Parent(child) => {
            drop(theirs);
            let prepared = ids::write(child, jail.ids).and_then(|()| match jail.ids {
                Ids::Same => Ok(None),
                Ids::Shifted { .. } => Brought::mapped(jail, child).map(Some),
            });
            match prepared.and_then(|brought| brought::send(&ours, brought.as_ref())) {
                Ok(()) => {
                    drop(inherited);
                    // The open socket tells the guest that this process is there.
                    let code = wait_for(child)?;
                    drop(ours);
                    Ok(Started::Ended(code))
                }
                Err(reason) => {
                    let _ = rustix::process::kill_process(child, Signal::KILL);
                    wait_for(child)?;
                    Ok(Started::Impossible(inherited, reason))
                }
            }
        }
    }
}

fn read(number: &str) -> Outcome<Jail> {
    let number = number.parse().context(format_args!("{number}: not the number of a file"))?;
    let mut text = Vec::new();
    let mut file = fs::File::from(sys::inherited(number).context(format_args!("file {number}"))?);
    file.read_to_end(&mut text).context(format_args!("file {number}"))?;
    serde_json::from_slice(&text).context("the description of the jail")
}

fn explain(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::ENOSPC) => format!(
            "namespaces: {error}; let users make them: sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000"
        ),
        _ => format!("namespaces: {error}"),
    }
}

fn wait_for(child: Pid) -> Outcome<i32> {
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                return Ok(status.exit_status().or(signal).unwrap_or(1));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for the guest"),
        }
    }
}

/// Runs as the first process of the namespaces.
fn guest(jail: &Jail, inherited: Inherited, outside: &OwnedFd) -> Outcome<()> {
    let brought = brought::receive(outside)?;
    ids::become_root()?;
    // After the last change of who this is, which would undo it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).context("the parent's end")?;
    if has_ended(outside) {
        return Err("whoever started this is gone".to_owned());
    }
    let Inherited { channel, events, remarks } = inherited;
    let flags = rustix::fs::fcntl_getfl(&channel).context("the channel")?;
    rustix::fs::fcntl_setfl(&channel, flags | OFlags::NONBLOCK).context("the channel")?;
    let signals = sys::signal_file(&[libc::SIGCHLD]).context("signals")?;
    let counters = Counters::new(Whose::Jail(events));
    let jail = jail.clone();
    let token = jail.token.clone();
    let maker = Box::new(move |setup: &_| tree::make(&jail, brought, remarks, setup));
    let mut guest = Guest::new(Channel::new(channel), signals, counters, maker);
    guest.greet(&token);
    serve::serve(&mut guest)
}

/// Whether the other end of a socket is closed.
fn has_ended(socket: &OwnedFd) -> bool {
    let mut files = [PollFd::new(socket, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut files, Some(&now)).is_ok_and(|ready| ready > 0)
}
