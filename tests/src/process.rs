//! A process of a test: what it writes is collected, and it doesn't outlive the test.

use std::{
    io::Read,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    output::Output,
    wait::{SOON, eventually},
};

/// What one stream of a process said so far, and whether it has ended.
type Said = Arc<Mutex<(Vec<u8>, bool)>>;

/// A running process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    command: String,
    stdout: Said,
    stderr: Said,
}

impl Process {
    /// Starts it, and reads what it writes from now on. Its standard input is as `command` says.
    pub fn start(mut command: Command) -> Self {
        let shown = format!("{command:?}");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Self { child, command: shown, stdout, stderr }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What it has written to standard error.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it has ended and everything that it wrote is read.
    #[track_caller]
    pub fn wait(self) -> Output {
        self.wait_within(2 * SOON)
    }

    /// As [`Process::wait`], with a bound.
    #[track_caller]
    pub fn wait_within(mut self, bound: Duration) -> Output {
        let what = format!("{} ends", self.command);
        let status = eventually(&what, bound, || self.ended());
        let both = || self.stdout.lock().unwrap().1 && self.stderr.lock().unwrap().1;
        eventually("its output ends", bound, || both().then_some(()));
        Output {
            command: self.command.clone(),
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }

    /// Sends SIGTERM and waits for the end.
    #[track_caller]
    pub fn terminate(self) -> Output {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Sends SIGKILL and waits for the end.
    #[track_caller]
    pub fn kill(self) -> Output {
        self.signal(Signal::KILL);
        self.wait()
    }

    /// Sends a signal; nothing happens if it has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        // It is our child and not waited for yet, so the number is still its own.
        let _ = kill_process(pid, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> Said {
    let said = Said::default();
    let sink = Arc::clone(&said);
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            sink.lock().unwrap().0.extend_from_slice(&buffer[..count]);
        }
        sink.lock().unwrap().1 = true;
    });
    said
}

fn text(said: &Said) -> String {
    String::from_utf8_lossy(&said.lock().unwrap().0).into_owned()
}
