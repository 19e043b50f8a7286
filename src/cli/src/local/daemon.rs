//! The daemon as a process: its files, whether it lives, and how it is started and told to stop.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::{failure::Failure, paths};

/// So much of the log's end is looked at for the reason of a failed start.
const TAIL: u64 = 8 << 10;

/// The files of one user's daemon.
#[derive(Debug, Clone)]
pub struct Daemon {
    home: PathBuf,
}

/// Whether a daemon lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// None does.
    Down,
    /// One does, and isn't ready.
    Starting,
    /// One does, with this pid.
    Up(u32),
}

impl Daemon {
    /// Where [`paths::home`] is.
    pub fn here() -> Result<Self, Failure> {
        Ok(Self { home: paths::home()? })
    }
    /// The daemon whose files are there.
    #[cfg(test)]
    pub fn at(home: &Path) -> Self {
        Self { home: home.to_owned() }
    }
    /// Its directory.
    pub fn home(&self) -> &Path {
        &self.home
    }
    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.home.join("aegisd.sock")
    }
    /// Its pid, and the lock that it holds as long as it lives.
    pub fn pid_file(&self) -> PathBuf {
        self.home.join("data").join("aegisd.pid")
    }
    /// What it writes to stderr.
    pub fn log(&self) -> PathBuf {
        self.home.join("data").join("aegisd.log")
    }

    /// The process that the pid file names, whoever that is by now.
    pub fn named(&self) -> Option<u32> {
        let mut text = String::new();
        File::open(self.pid_file()).ok()?.take(64).read_to_string(&mut text).ok()?;
        text.split_whitespace().next()?.parse().ok().filter(|pid| *pid > 1)
    }

    /// Whether a daemon lives. The kernel frees its lock when it dies, however it dies: a pid in a file that nobody
    /// locks is a foreign process by now, or none.
    pub fn state(&self) -> Result<State, Failure> {
        let path = self.pid_file();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Down),
            Err(error) => return Err(Failure::file(&path, &error)),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            // It is freed when the file is closed.
            Ok(()) => Ok(State::Down),
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
                Ok(self.named().map_or(State::Starting, State::Up))
            }
            Err(error) => Err(Failure::file(&path, &error.into())),
        }
    }

    /// Asks the daemon to stop, if it is still the one that holds the lock. The process is held by a descriptor first,
    /// so that the signal can't reach another that got its number meanwhile.
    pub fn terminate(&self, pid: u32) -> Result<bool, Failure> {
        let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
        let failed = |error: rustix::io::Errno| {
            Failure::generic(format!("process {pid} can't be told to stop: {}", io::Error::from(error)))
        };
        let held = match pidfd_open(process, PidfdFlags::empty()) {
            Ok(held) => held,
            Err(error) if error == rustix::io::Errno::SRCH => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        if self.state()? != State::Up(pid) {
            return Ok(false);
        }
        match pidfd_send_signal(&held, Signal::TERM) {
            Ok(()) => Ok(true),
            Err(error) if error == rustix::io::Errno::SRCH => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Starts `program` in a session of its own, without this terminal, its output in the log. Says where in the log
    /// it begins.
    pub fn start(&self, program: &Path) -> Result<(Child, u64), Failure> {
        let data = self.home.join("data");
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&data);
        made.map_err(|error| Failure::file(&data, &error))?;
        let log = self.log();
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&log);
        let file = opened.map_err(|error| Failure::file(&log, &error))?;
        let begin = file.metadata().map_or(0, |metadata| metadata.len());
        let both = file.try_clone().map_err(|error| Failure::file(&log, &error))?;
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(both).stderr(file).current_dir("/");
        // A relative AEGIS_HOME is meant from here, not from there.
        let home = std::path::absolute(&self.home).map_err(|error| Failure::file(&self.home, &error))?;
        command.env(crate::environment::HOME.name, home);
        let detach = || {
            rustix::process::setsid()?;
            Ok(())
        };
        #[expect(unsafe_code, reason = "what runs between fork and exec is the caller's promise")]
        // SAFETY: the closure makes one system call, takes no lock and allocates nothing: all that may be done in a child
        // of a program with threads.
        unsafe {
            command.pre_exec(detach);
        }
        let child = command.spawn().map_err(|error| Failure::file(program, &error))?;
        Ok((child, begin))
    }

    /// The last lines of the log from `begin` on.
    pub fn said(&self, begin: u64, lines: usize) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(self.log())?;
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(begin.max(end.saturating_sub(TAIL))))?;
            let mut bytes = Vec::new();
            file.take(TAIL).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_default();
        let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// `aegisd` beside this program.
pub fn program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::generic(format!("this program can't find itself: {error}")))?;
    let program = own.with_file_name("aegisd");
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::generic(format!("there is no aegisd beside aegis: {}", program.display()))
        .hint("install both programs into one directory; from the sources, `make build` makes both"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_pid_file(text: &str) -> (tempfile::TempDir, Daemon) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("data")).unwrap();
        let daemon = Daemon::at(directory.path());
        std::fs::write(daemon.pid_file(), text).unwrap();
        (directory, daemon)
    }

    #[test]
    fn a_pid_file_that_nobody_locks_is_of_no_daemon() {
        let (_directory, daemon) = with_pid_file("1234567\n");
        assert_eq!(daemon.named(), Some(1_234_567));
        assert_eq!(daemon.state().unwrap(), State::Down);
        let nowhere = tempfile::tempdir().unwrap();
        assert_eq!(Daemon::at(nowhere.path()).state().unwrap(), State::Down);
    }

    #[test]
    fn a_foreign_process_is_never_signalled() {
        let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
        let (_directory, daemon) = with_pid_file(&format!("{}\n", sleeper.id()));
        assert!(!daemon.terminate(sleeper.id()).unwrap());
        assert!(sleeper.try_wait().unwrap().is_none());
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }

    #[test]
    fn a_lock_is_of_a_daemon_that_lives() {
        let (_directory, daemon) = with_pid_file("4321 and more\n");
        let held = File::open(daemon.pid_file()).unwrap();
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(daemon.state().unwrap(), State::Up(4321));
        std::fs::write(daemon.pid_file(), "").unwrap();
        assert_eq!(daemon.state().unwrap(), State::Starting);
        drop(held);
        assert_eq!(daemon.state().unwrap(), State::Down);
    }

    #[test]
    fn a_failed_start_has_the_last_lines_of_its_log() {
        let (_directory, daemon) = with_pid_file("");
        std::fs::write(daemon.log(), "old\none\ntwo\n\nthree\n").unwrap();
        assert_eq!(daemon.said(4, 2), "two\nthree");
        assert_eq!(daemon.said(4, 9), "one\ntwo\nthree");
        assert_eq!(daemon.said(900, 9), "");
    }
}
