//! Processes of this machine that aren't ours to wait for, seen through `/proc`.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Whether it is there and no zombie.
pub fn runs(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// Whether this process runs the program of this name.
pub fn is_program(pid: u32, name: &str) -> bool {
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    runs(pid) && exe.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
}

/// Sends a signal, if there is still somebody.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// A process and its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub pid: u32,
    /// Its words, with blanks between.
    pub command: String,
}

/// Every process, with its command line.
pub fn all() -> Vec<Found> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| runs(*pid))
        .map(|pid| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&words).replace('\0', " ").trim().to_owned();
            Found { pid, command }
        })
        .collect()
}

/// The children of a process, and theirs.
pub fn below(pid: u32) -> Vec<u32> {
    let parent = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    let pairs: Vec<(u32, u32)> =
        all().iter().filter_map(|found| Some((found.pid, parent(found.pid)?))).collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(above) = found.get(next).copied() {
        found.extend(pairs.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
        next += 1;
    }
    found.remove(0);
    found
}

/// The processes that name this text on their command line, or in their environment.
pub fn that_show(text: &str) -> Vec<Found> {
    let shows = |found: &Found| {
        let environment = fs::read(format!("/proc/{}/environ", found.pid)).unwrap_or_default();
        found.command.contains(text) || String::from_utf8_lossy(&environment).contains(text)
    };
    all().into_iter().filter(shows).collect()
}

/// The mounts of this machine at or below a path.
pub fn mounts_below(path: &str) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines()
        .filter(|line| line.split(' ').any(|word| word.starts_with(path)))
        .map(str::to_owned)
        .collect()
}
