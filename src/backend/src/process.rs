//! Processes of machines: they die with the daemon, have no more of its files than they are given, and are waited for.

mod console;
mod record;
mod user;

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, OnceLock, mpsc},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{oneshot, watch},
};

pub(crate) use self::{
    console::Console,
    record::{RECORD, Record, boot_id},
    user::{kvm_user, nobody},
};

/// What to execute. Standard input is `/dev/null`, output and errors are its console.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// All of its environment.
    pub(crate) environment: Vec<(&'static str, &'static str)>,
    /// Files that it inherits under their numbers. All others close.
    pub(crate) files: Vec<OwnedFd>,
    /// User and group that it runs as.
    pub(crate) user: Option<(u32, u32)>,
    /// How much it lets others go first.
    pub(crate) nice: i32,
    /// `cgroup.procs` files, open for writing, of the groups that it joins.
    pub(crate) cgroups: Vec<OwnedFd>,
    /// Where its record is written, so that it is found if this daemon dies and it doesn't.
    pub(crate) directory: Option<PathBuf>,
}

impl Program {
    /// Gives a file to the program and says its number there.
    pub(crate) fn give(&mut self, file: impl Into<OwnedFd>) -> RawFd {
        let file = file.into();
        let number = file.as_raw_fd();
        self.files.push(file);
        number
    }

    /// Starts it.
    pub(crate) async fn start(self) -> io::Result<Process> {
        let directory = self.directory.clone();
        let (answer, started) = oneshot::channel();
        let job: Job = Box::new(move || drop(answer.send(self.start_here())));
        spawner()?.send(job).map_err(|_| io::Error::other("the thread that starts processes is gone"))?;
        let (child, output) = started.await.map_err(io::Error::other)??;
        Process::watch(child, output, directory.as_deref())
    }

    fn start_here(self) -> io::Result<(Child, OwnedFd)> {
        let (output, input) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().copied())
            .current_dir("/")
            .process_group(0);
        command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        let files: Vec<RawFd> = self.files.iter().map(AsRawFd::as_raw_fd).collect();
        let cgroups: Vec<RawFd> = self.cgroups.iter().map(AsRawFd::as_raw_fd).collect();
        let before = Before { files, nice: self.nice, parent: std::process::id() };
        // The groups are joined by whoever we are, before the user changes: `before_exec` runs after that.
        let joined = command.spawn_in(&cgroups, before)?;
        Ok((joined, output))
    }
}

/// What the child does to itself.
struct Before {
    files: Vec<RawFd>,
    nice: i32,
    parent: u32,
}

impl Before {
    /// Runs between fork and exec: only system calls, no allocation.
    fn apply(&self, cgroups: &[RawFd]) -> io::Result<()> {
        let check = |result: libc::c_int| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        #[allow(unsafe_code, reason = "system calls without a safe form that may be used after a fork")]
        // SAFETY: each call takes plain numbers or a pointer to a static; none touches memory of this process.
        unsafe {
            for cgroup in cgroups {
                check(libc::write(*cgroup, c"0".as_ptr().cast(), 1).try_into().unwrap_or(-1))?;
            }
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            // The daemon may have died before the line above.
            if u32::try_from(libc::getppid()) != Ok(self.parent) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
            if self.nice != 0 {
                check(libc::setpriority(libc::PRIO_PROCESS, 0, self.nice))?;
            }
            let all = libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
            check(all.try_into().unwrap_or(-1))?;
            for file in &self.files {
                check(libc::fcntl(*file, libc::F_SETFD, 0))?;
            }
        }
        Ok(())
    }
}

trait SpawnIn {
    fn spawn_in(&mut self, cgroups: &[RawFd], before: Before) -> io::Result<Child>;
}

impl SpawnIn for Command {
    fn spawn_in(&mut self, cgroups: &[RawFd], before: Before) -> io::Result<Child> {
        let cgroups = cgroups.to_vec();
        #[allow(unsafe_code, reason = "what has to be done between fork and exec")]
        // SAFETY: `apply` makes system calls only.
        unsafe {
            self.pre_exec(move || before.apply(&cgroups));
        }
        self.spawn()
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// The thread that starts all processes. The kernel ends a child when the *thread* that made it ends, so that must be one
/// that lives as long as the daemon, not one of a pool.
fn spawner() -> io::Result<mpsc::Sender<Job>> {
    static SPAWNER: OnceLock<io::Result<mpsc::Sender<Job>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || jobs.iter().for_each(|job| job()))?;
        Ok(sender)
    });
    match spawner {
        Ok(sender) => Ok(sender.clone()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

/// A process that was started. Dropping it kills it and all of its group.
#[derive(Debug)]
pub(crate) struct Process {
    id: u32,
    handle: Arc<OwnedFd>,
    exit: watch::Receiver<Option<ExitStatus>>,
    console: Console,
}

/// A handle, what it says, and what tells its end.
type Prepared = (Arc<OwnedFd>, Console, AsyncFd<Arc<OwnedFd>>);

impl Process {
    fn watch(mut child: Child, output: OwnedFd, directory: Option<&Path>) -> io::Result<Self> {
        let (handle, console, waiting) = match Self::prepare(&child, output, directory) {
            Ok(prepared) => prepared,
            Err(error) => {
                // Nobody would know of it.
                let _ = child.kill().and_then(|()| child.wait());
                return Err(error);
            }
        };
        let id = child.id();
        let (sender, exit) = watch::channel(None);
        tokio::spawn(async move {
            let status = match waiting.readable().await {
                Ok(_) => child.wait(),
                Err(error) => Err(error),
            };
            // An end that can't be waited for is one of unknown status.
            sender.send_replace(Some(status.unwrap_or_else(|_| ExitStatus::from_raw(255 << 8))));
        });
        Ok(Self { id, handle, exit, console })
    }

    fn prepare(child: &Child, output: OwnedFd, directory: Option<&Path>) -> io::Result<Prepared> {
        let handle = Arc::new(pidfd_open(Pid::from_child(child), PidfdFlags::NONBLOCK)?);
        let console = Console::read(output)?;
        // One that has ended already needs no record: its exit says what is to be said.
        if let (Some(directory), Ok(record)) = (directory, Record::of(child.id())) {
            record.write(directory)?;
        }
        #[allow(unsafe_code, reason = "the reactor is given a file that it doesn't own")]
        // SAFETY: it keeps the `Arc`, and an `OwnedFd` in it stays open and the same.
        let waiting = unsafe { AsyncFd::register_with_interest(Arc::clone(&handle), Interest::READABLE) };
        let waiting = waiting.map_err(|_| io::Error::other("the process can't be watched"))?;
        Ok((handle, console, waiting))
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn console(&self) -> &Console {
        &self.console
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits for its end.
    pub(crate) async fn wait(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        let status = exit.wait_for(Option::is_some).await.ok().and_then(|status| *status);
        // Without a sender the runtime is going down, and the process with it.
        status.unwrap_or_else(|| ExitStatus::from_raw(libc::SIGKILL))
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&*self.handle, signal) {
            // It has ended already.
            Err(rustix::io::Errno::SRCH) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Ends it at once, with its group as long as it leads one.
    pub(crate) fn kill(&self) -> io::Result<()> {
        if self.ended().is_none() {
            // Until it was waited for, its number is its own and so is that of its group.
            if let Some(group) = i32::try_from(self.id).ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process_group(group, Signal::KILL);
            }
        }
        self.signal(Signal::KILL)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{fs::File, io::Write};

    use super::*;

    fn sh(script: &str) -> Program {
        Program { path: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()], ..Program::default() }
    }

    #[tokio::test]
    async fn a_process_has_what_it_was_given_and_nothing_else() {
        let (reads, writes) = rustix::pipe::pipe().unwrap();
        File::from(writes).write_all(b"given\n").unwrap();
        let other = File::open("/dev/null").unwrap();
        let mut program = sh("");
        let number = program.give(reads);
        // Dash takes no number above 9 after `<&`.
        let script = format!(
            "head -n 1 /proc/self/fd/{number}; cd /proc/self/fd; for f in *; do echo fd $f; done; env; grep NoNewPrivs /proc/self/status"
        );
        program.arguments[1] = script.into();
        let process = program.start().await.unwrap();
        assert!(process.wait().await.success());
        let text = process.console().finished().await;
        assert!(text.starts_with("given\n"), "{text}");
        assert!(!text.contains(&format!("fd {}\n", other.as_raw_fd())), "{text}");
        assert!(text.contains("NoNewPrivs:\t1"), "{text}");
        assert!(!text.contains("PATH=/") && !text.contains("HOME="), "{text}");
    }

    #[tokio::test]
    async fn a_dropped_process_is_killed_with_its_group() {
        let process = sh("sleep 600 & echo $!; wait").start().await.unwrap();
        let mut bound = 0;
        while !process.console().text().contains('\n') {
            bound += 1;
            assert!(bound < 3000);
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let child: u32 = process.console().text().trim().parse().unwrap();
        let exit = process.exit.clone();
        drop(process);
        let status = exit.clone().wait_for(Option::is_some).await.unwrap().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        let mut bound = 0;
        while Record::of(child).is_ok_and(|record| record.is_alive()) {
            bound += 1;
            assert!(bound < 3000, "the shell's child lives on");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_process_whose_record_cannot_be_written_does_not_run_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut program = sh("echo $$ > $0/id; exec sleep 600");
        program.arguments.push(directory.path().into());
        program.directory = Some(directory.path().join("gone"));
        assert_eq!(program.start().await.unwrap_err().kind(), io::ErrorKind::NotFound);
        // It was waited for: if it had begun to run, it is no more.
        if let Some(id) =
            std::fs::read_to_string(directory.path().join("id")).ok().and_then(|id| id.trim().parse().ok())
        {
            assert!(Record::of(id).is_err());
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_an_error() {
        let program = Program { path: "/nowhere/at/all".into(), ..Program::default() };
        assert_eq!(program.start().await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
