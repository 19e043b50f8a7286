//! The processes of one call, from the first one's start until the last one's end.

use std::{collections::HashSet, process::ExitStatus, time::Duration};

use rustix::{
    fd::{AsFd, AsRawFd, OwnedFd},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    process::Child,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::table::{Held, Mark, members};

/// Between SIGTERM and SIGKILL (2-protocol.md, "The stream").
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// So long a process that was sent SIGKILL may take to end before it is looked for again.
const KILLED_WITHIN: Duration = Duration::from_millis(200);
/// What survives so many rounds of SIGKILL hangs in the kernel, or isn't ours to signal.
const ROUNDS: usize = 10;

/// A running program and what it started. Dropped, all of it is killed.
pub(super) struct Tree {
    mark: Mark,
    child: Child,
    exit: AsyncFd<OwnedFd>,
    over: bool,
}

impl Tree {
    /// Takes charge of a child that leads a session of its own.
    pub fn new(mut child: Child, call: String) -> std::io::Result<Self> {
        let held = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).map(|leader| {
            let fd = pidfd_open(leader, PidfdFlags::NONBLOCK)?;
            Ok((leader, watched(fd)?))
        });
        match held {
            Some(Ok((leader, exit))) => Ok(Self { mark: Mark { leader, call }, child, exit, over: false }),
            Some(Err(error)) => {
                // Without a way to learn of its end nobody could answer for it.
                let _ = child.start_kill();
                Err(error)
            }
            None => Err(std::io::Error::other("the process has no number")),
        }
    }

    /// Waits for the end of the first process. It isn't reaped by that, so that its number, which is also that of the
    /// group, means nobody else until [`Self::reap`].
    pub async fn exited(&self) {
        // A descriptor that can't be waited on says nothing of the process: the deadline remains.
        if self.exit.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends everything: SIGTERM to all that belongs to the call, and SIGKILL 5 s later to what is left. Gives the
    /// numbers of those that are there even so.
    pub async fn terminate(&self) -> Vec<i32> {
        let until = Instant::now() + GRACE;
        // Looked for before the first signal: once a process has ended, nothing leads from it to its children.
        let mut held = self.look(Vec::new()).await;
        let mut told = HashSet::new();
        while !held.is_empty() {
            self.signal_group(Signal::TERM);
            // One that was stopped couldn't act on it.
            self.signal_group(Signal::CONT);
            for process in held.iter().filter(|process| !told.contains(&process.pid)) {
                process.signal(Signal::TERM);
                process.signal(Signal::CONT);
            }
            told.extend(held.iter().map(|process| process.pid));
            if timeout_at(until, ended(&held)).await.is_err() {
                break;
            }
            held = self.look(held).await;
        }
        for _ in 0..ROUNDS {
            if held.is_empty() {
                return Vec::new();
            }
            self.signal_group(Signal::KILL);
            for process in &held {
                process.signal(Signal::KILL);
            }
            // Reaching the time means to look again.
            let _ = timeout_at(Instant::now() + KILLED_WITHIN, ended(&held)).await;
            held = self.look(held).await;
        }
        held.into_iter().map(|process| process.pid).collect()
    }

    /// Ends what is left of the group behind the first process. What has a session of its own has left on purpose, as a
    /// service does, and stays.
    pub fn end_group(&self) {
        self.signal_group(Signal::KILL);
    }

    /// How the first process ended. Everything that was to be ended has been by now.
    pub async fn reap(mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.over = true;
        status
    }

    /// One signal for the whole group at once: nothing that forks meanwhile slips through.
    fn signal_group(&self, signal: Signal) {
        // No such group any more is fine, and one that isn't ours to signal is said by `terminate`.
        let _ = kill_process_group(self.mark.leader, signal);
    }

    /// What belongs to the call now, also by way of what did before.
    async fn look(&self, known: Vec<Held>) -> Vec<Held> {
        let mark = self.mark.clone();
        spawn_blocking(move || members(&mark, &known)).await.unwrap_or_default()
    }
}

/// A process's descriptor that can be waited on.
fn watched<T: AsFd + AsRawFd>(fd: T) -> std::io::Result<AsyncFd<T>> {
    #[expect(unsafe_code, reason = "the descriptor must stay open for as long as it is registered")]
    // SAFETY: what is returned owns it, or borrows it from its owner, and gives out no way to close it.
    let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    Ok(watched?)
}

/// Waits until all of them have ended.
async fn ended(processes: &[Held]) {
    for process in processes {
        if let Ok(fd) = watched(process.fd.as_fd()) {
            let _ = fd.readable().await;
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut held = members(&self.mark, &[]);
        for _ in 0..ROUNDS {
            self.signal_group(Signal::KILL);
            for process in &held {
                process.signal(Signal::KILL);
            }
            held = members(&self.mark, &held);
            if held.is_empty() {
                break;
            }
        }
        // The child is reaped by tokio, which takes over children that are dropped.
    }
}
