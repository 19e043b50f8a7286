//! `aegis-harness jail N`: from a process of the host's to the first process of a guest in namespaces.
//!
//! [`run`] is the process that the backend started; it stays outside, writes who is who, and waits. Its child is the guest.

mod landlock;
mod restrict;
mod tree;

use std::{fs, io::Read, os::fd::OwnedFd};

use aegis_harness::jail::{Ids, Jail};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::OFlags,
    pipe::PipeFlags,
    process::{Pid, Signal, WaitOptions},
};

use crate::{
    channel::Channel,
    context::{Context, Outcome},
    guest::Guest,
    health::{Counters, Whose},
    serve, sys,
    sys::Forked,
};

/// How many ids there are in a guest whose starter is root.
const IDS: u32 = 65_536;

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
    let jail = read(number)?;
    let kept: Vec<_> = jail.oom_events.into_iter().chain([jail.channel]).collect();
    sys::close_all_but(&kept);
    let channel = sys::inherited(jail.channel).context("the channel")?;
    let events = jail.oom_events.map(sys::inherited).transpose().context("the file of the cgroup")?;
    let (go, start) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context("a pipe")?;
    match sys::fork_into(NAMESPACES).map_err(|error| explain(&error))? {
        Forked::Child => {
            drop(start);
            // Nothing comes back from here: this is the guest now.
            match guest(jail, channel, events, &go) {
                Ok(()) => sys::exit(0),
                Err(reason) => {
                    crate::complain(&reason);
                    sys::exit(1)
                }
            }
        }
        Forked::Parent(child) => {
            drop((channel, events, go));
            let written = write_ids(child, jail.ids);
            if written.is_ok() {
                rustix::io::write(&start, b".").context("starting the guest")?;
            }
            // Without its sign the guest ends by itself; with it, the open pipe tells it that this process is there.
            let start = written.is_ok().then_some(start);
            let code = wait_for(child)?;
            drop(start);
            written.map(|()| code)
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

/// Says who on the host the guest's users are.
fn write_ids(child: Pid, ids: Ids) -> Outcome<()> {
    let pid = child.as_raw_nonzero();
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let write = |file: &str, text: String| {
        let path = format!("/proc/{pid}/{file}");
        fs::write(&path, text).context(path)
    };
    if uid == 0 {
        let base = match ids {
            Ids::Same => 0,
            Ids::Shifted { base } => base,
        };
        write("uid_map", format!("0 {base} {IDS}\n"))?;
        write("gid_map", format!("0 {base} {IDS}\n"))
    } else {
        // Whoever has one id may hand on that one, and no groups with it.
        write("setgroups", "deny".to_owned())?;
        write("uid_map", format!("0 {uid} 1\n"))?;
        write("gid_map", format!("0 {gid} 1\n"))
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
fn guest(jail: Jail, channel: OwnedFd, events: Option<OwnedFd>, go: &OwnedFd) -> Outcome<()> {
    let mut sign = [0];
    if rustix::io::read(go, &mut sign).context("the sign to start")? == 0 {
        return Err("its ids couldn't be written".to_owned());
    }
    become_root()?;
    // After the last change of who this is, which would undo it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).context("the parent's end")?;
    if has_ended(go) {
        return Err("whoever started this is gone".to_owned());
    }
    let flags = rustix::fs::fcntl_getfl(&channel).context("the channel")?;
    rustix::fs::fcntl_setfl(&channel, flags | OFlags::NONBLOCK).context("the channel")?;
    let signals = sys::signal_file(&[libc::SIGCHLD]).context("signals")?;
    let counters = Counters::new(Whose::Jail(events));
    let token = jail.token.clone();
    let maker = Box::new(move |setup: &_| tree::make(&jail, setup));
    let mut guest = Guest::new(Channel::new(channel), signals, counters, maker);
    guest.greet(&token);
    serve::serve(&mut guest)
}

/// Whether the other end of a pipe is closed.
fn has_ended(pipe: &OwnedFd) -> bool {
    let mut files = [PollFd::new(pipe, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut files, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// The ids that it has on the host needn't be its own in here.
fn become_root() -> Outcome<()> {
    use rustix::thread::{Gid, Uid};
    if rustix::process::getuid().is_root() && rustix::process::getgid().is_root() {
        return Ok(());
    }
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).context("becoming the group root")?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).context("becoming root")
}
