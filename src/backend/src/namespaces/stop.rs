//! Stopping processes where no control group can: a signal to each.

use std::{fs, io};

use rustix::process::{Pid, Signal, kill_process};

/// Processes that are made while one looks are found by looking again; a jail whose limit is smaller than this can't go
/// on for ever.
const ROUNDS: usize = 64;

/// Stops or continues a process's descendants. The process itself only waits for them.
pub(super) fn set(root: u32, is_stopped: bool) -> io::Result<()> {
    let signal = if is_stopped { Signal::STOP } else { Signal::CONT };
    let mut done = Vec::new();
    for _ in 0..ROUNDS {
        let found = descendants(root);
        let new: Vec<u32> = found.into_iter().filter(|id| !done.contains(id)).collect();
        if new.is_empty() {
            return Ok(());
        }
        for id in new {
            if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
                // One that ended meanwhile is stopped enough.
                let _ = kill_process(pid, signal);
            }
            done.push(id);
        }
    }
    Err(io::Error::other("its processes multiply faster than they can be stopped"))
}

fn descendants(root: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut left = vec![root];
    while let Some(id) = left.pop() {
        let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().filter_map(Result::ok);
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            let children: Vec<u32> = children.split_whitespace().filter_map(|id| id.parse().ok()).collect();
            left.extend(&children);
            found.extend(children);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn descendants_stop_and_go_on() {
        let mut shell = Command::new("sh")
            .args(["-c", "sh -c 'echo $$; exec sleep 600' & wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let child = line.trim().to_owned();
        let state = |wanted: char| {
            let until = Instant::now() + Duration::from_secs(10);
            loop {
                let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
                if stat.rsplit(") ").next().unwrap().starts_with(wanted) {
                    break;
                }
                assert!(Instant::now() < until, "never {wanted}: {stat}");
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        set(shell.id(), true).unwrap();
        state('T');
        set(shell.id(), false).unwrap();
        state('S');
        let pid = Pid::from_raw(child.parse().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        shell.wait().unwrap();
    }
}
