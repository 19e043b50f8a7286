//! The programs that are measured: started here, bounded in time, and ended by their own handle.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// No command takes longer.
const COMMAND_WITHIN: Duration = Duration::from_mins(1);
/// No server needs longer to begin, or to end.
const SERVER_WITHIN: Duration = Duration::from_secs(20);

/// The folder of the built programs: this one is in `deps` in it.
pub fn programs() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    own.parent().and_then(Path::parent).expect("a folder above target's deps").to_path_buf()
}

/// The program under test.
pub fn aegis() -> PathBuf {
    let path = programs().join("aegis");
    assert!(path.exists(), "{} isn't built: cargo build --release -p aegis-cli", path.display());
    path
}

/// A command without this shell's settings.
pub fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    for name in ["AEGIS_CONTEXT", "AEGIS_CONFIG", "AEGIS_USER_TOKEN", "AEGIS_OUTPUT", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.env("AEGIS_HOME", home).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// What a command took.
pub struct Taken {
    pub wall: Duration,
    pub status: ExitStatus,
}

/// Runs a command to its end and measures the time from before its start until it has ended.
pub async fn time(mut command: Command) -> Taken {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let status = timeout(COMMAND_WITHIN, child.wait()).await.expect("the command ends in time").unwrap();
    Taken { wall: start.elapsed(), status }
}

/// Runs a command to its end and gives its highest resident memory in bytes. The kernel keeps the high-water mark; it
/// is read every half millisecond, so that only what grows in the very last one could be missed.
pub async fn peak_memory(mut command: Command) -> u64 {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    let process = Process(child.id().expect("it runs"));
    let deadline = Instant::now() + COMMAND_WITHIN;
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the command ends in time");
        peak = peak.max(process.status("VmHWM:").unwrap_or(0));
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    peak
}

/// Runs a command that must succeed, and gives what it prints.
pub async fn output(mut command: Command) -> String {
    let output = timeout(COMMAND_WITHIN, command.output()).await.expect("the command ends in time").unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// A program that runs until it is told to end; also killed when this is dropped.
pub struct Server {
    child: Child,
    /// Kept, so that it can be written to while the server runs.
    _stdout: Option<Lines<BufReader<ChildStdout>>>,
    /// What it said when it was ready, behind the words that were waited for.
    pub ready: String,
}

impl Server {
    /// Starts it, its log in `log`, and waits until it prints a line that begins with `ready`.
    pub async fn start(mut command: Command, ready: &str, log: &Path) -> Self {
        command.stdout(Stdio::piped()).stderr(fs::File::create(log).unwrap());
        let mut child = command.spawn().expect("the server starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let first = async {
            while let Some(line) = stdout.next_line().await.unwrap() {
                if let Some(rest) = line.strip_prefix(ready) {
                    return Some(rest.trim().to_owned());
                }
            }
            None
        };
        let Ok(Some(ready)) = timeout(SERVER_WITHIN, first).await else {
            panic!("{command:?} isn't ready: {}", fs::read_to_string(log).unwrap_or_default());
        };
        Self { child, _stdout: Some(stdout), ready }
    }

    /// Starts one that doesn't say when it is ready.
    pub fn spawn(mut command: Command, log: &Path) -> Self {
        command.stdout(Stdio::null()).stderr(fs::File::create(log).unwrap());
        let child = command.spawn().expect("the server starts");
        Self { child, _stdout: None, ready: String::new() }
    }

    /// Its process, to be watched.
    pub fn process(&self) -> Process {
        Process(self.child.id().expect("it runs"))
    }

    /// Ends it as a service manager would, and by force when that takes too long.
    pub async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if timeout(SERVER_WITHIN, self.child.wait()).await.is_err() {
            self.child.kill().await.unwrap();
        }
    }
}

/// A running process, seen through `/proc`.
#[derive(Clone, Copy)]
pub struct Process(u32);

impl Process {
    /// A line of its status that is in kB, in bytes.
    fn status(self, name: &str) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    }

    /// Resident memory in bytes.
    pub fn resident(self) -> u64 {
        self.status("VmRSS:").expect("the process runs")
    }

    /// The highest resident memory so far, in bytes.
    pub fn peak(self) -> u64 {
        self.status("VmHWM:").expect("the process runs")
    }

    /// Resident memory in bytes that isn't a file's.
    pub fn anonymous(self) -> u64 {
        self.status("RssAnon:").expect("the process runs")
    }

    /// The time on a core of all its threads, in nanoseconds of the scheduler: threads that have ended aren't counted,
    /// so compare only while none ends.
    pub fn cpu(self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0)).expect("the process runs");
        let spent = tasks.flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(spent.sum())
    }

    /// Waits until its resident memory has stood still for two seconds, twenty at most.
    pub async fn settle(self) -> u64 {
        let mut last = self.resident();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let now = self.resident();
            if now.abs_diff(last) < last / 500 {
                return now;
            }
            last = now;
        }
        last
    }
}
