//! Which processes belong to a call: those of its session and group, what descends from it, and what carries its id in
//! the environment although it has left all of that.

use std::{collections::HashMap, fs};

use rustix::{
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::environment::CALL_ID;

/// What tells a call's processes from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// The first process, which leads a session and a group of its own.
    pub leader: Pid,
    /// The value of [`CALL_ID`].
    pub call: String,
}

/// A process that is held, so that its number can't come to mean another one.
pub(super) struct Held {
    pub pid: i32,
    /// See [`Entry::started`].
    started: u64,
    pub fd: OwnedFd,
}

impl Held {
    /// Sends a signal. That it has ended in the meantime is fine.
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = pidfd_send_signal(&self.fd, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::debug!(pid = self.pid, %error, "a process can't be signalled");
        }
    }
}

/// One line of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// In clock ticks since the system started: with the number it names a process for ever.
    started: u64,
    ended: bool,
}

/// The line of `/proc/PID/stat`. The name, in parentheses, may hold anything.
fn parse(stat: &str) -> Option<Entry> {
    let (pid, rest) = stat.split_once(' ')?;
    let fields: Vec<_> = rest.get(rest.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse().ok();
    Some(Entry {
        pid: pid.parse().ok()?,
        ended: matches!(*fields.first()?, "Z" | "X"),
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        started: fields.get(19)?.parse().ok()?,
    })
}

fn entry(pid: i32) -> Option<Entry> {
    parse(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

fn all() -> HashMap<i32, Entry> {
    let Ok(dir) = fs::read_dir("/proc") else { return HashMap::new() };
    dir.filter_map(|found| found.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(entry)
        .map(|entry| (entry.pid, entry))
        .collect()
}

/// All processes of the call that haven't ended, each held. What descends from those that are `known` belongs to it, too.
pub(super) fn members(mark: &Mark, known: &[Held]) -> Vec<Held> {
    let table = all();
    let leader = mark.leader.as_raw_nonzero().get();
    // The leader isn't reaped before its tree is: its line is there. What is older than it can't belong to it.
    let since = table.get(&leader).map_or(0, |entry| entry.started);
    let known: HashMap<i32, u64> = known.iter().map(|held| (held.pid, held.started)).collect();
    let descends = |entry: &Entry| {
        let mut at = entry;
        // The table isn't of one moment, so that there might be a circle in it.
        for _ in 0..table.len() {
            if at.pid == leader || known.get(&at.pid) == Some(&at.started) {
                return true;
            }
            match table.get(&at.parent) {
                Some(parent) => at = parent,
                None => return false,
            }
        }
        false
    };
    // The leader of a session may have ended; its number isn't given away as long as the session is there.
    let of_known = |session: i32| {
        known.get(&session).is_some_and(|started| table.get(&session).is_none_or(|e| e.started == *started))
    };
    let belongs = |entry: &Entry| {
        entry.session == leader
            || entry.group == leader
            || of_known(entry.session)
            || descends(entry)
            || carries(entry.pid, &mark.call)
    };
    let found = table.values().filter(|entry| !entry.ended && entry.started >= since && belongs(entry));
    found.filter_map(hold).collect()
}

/// Whether the process was started with the call's id in its environment.
fn carries(pid: i32, call: &str) -> bool {
    let wanted = format!("{CALL_ID}={call}");
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|text| text.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()))
}

fn hold(entry: &Entry) -> Option<Held> {
    let fd = pidfd_open(Pid::from_raw(entry.pid)?, PidfdFlags::NONBLOCK).ok()?;
    // Looked at again behind the descriptor: the number may have come to mean another process in between.
    let still = self::entry(entry.pid).is_some_and(|now| now.started == entry.started);
    still.then_some(Held { pid: entry.pid, started: entry.started, fd })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_name_of_the_process() {
        let numbers = "0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1000 200";
        for name in ["sh", "a b", ") S 1 1 1", "x) (y"] {
            let entry = parse(&format!("42 ({name}) S 7 41 40 {numbers}\n")).unwrap();
            assert_eq!(
                entry,
                Entry { pid: 42, parent: 7, group: 41, session: 40, started: 777, ended: false },
                "{name}"
            );
        }
        assert!(parse(&format!("42 (sh) Z 7 41 40 {numbers}")).unwrap().ended);
        for broken in ["", "42", "42 (sh", "42 (sh) S", "x (sh) S 7 41 40"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
