//! One process of the guest, from its start to the moment when its exit is reported.

use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use aegis_harness::{
    message::{Command, ToHost, WindowSize},
    stream,
};
use rustix::{
    fs::OFlags,
    io::Errno,
    pipe::PipeFlags,
    process::{Pid, Signal, WaitStatus},
    pty::OpenptFlags,
    termios::Winsize,
};

use crate::{
    channel::Channel,
    input::{Input, Sink},
    output::{Output, Source},
    spawn::{self, Common, Files, REPORT},
};

/// How long a terminal must be silent, after its process ended, to be taken as finished while others still hold it.
const QUIET: Duration = Duration::from_millis(100);

/// A process.
pub struct Process {
    number: u32,
    pid: Pid,
    command: Command,
    /// Open until it is known whether the program runs.
    report: Option<OwnedFd>,
    /// Not started, and the host knows.
    failed: bool,
    outputs: Vec<Output>,
    input: Option<Input>,
    terminal: Option<OwnedFd>,
    status: Option<WaitStatus>,
    /// When a terminal's output counts as finished.
    quiet_at: Option<Instant>,
    /// The kernel's count of processes ended for memory, when this one began.
    memory_ends: u64,
    out_of_memory: bool,
    reported: bool,
}

impl Process {
    /// Starts one. Its `Started` or `NotStarted` comes by [`Self::read_report`].
    pub fn start(number: u32, command: Command, common: &Common, memory_ends: u64) -> io::Result<Self> {
        let (report, child_report) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let (files, outputs, input, terminal) = match command.terminal {
            Some(size) => on_terminal(number, size)?,
            None => on_pipes(number, command.stdin)?,
        };
        let pid = spawn::spawn(&command, &files, common, &child_report)?;
        Ok(Self {
            number,
            pid,
            command,
            report: Some(report),
            failed: false,
            outputs,
            input,
            terminal,
            status: None,
            quiet_at: None,
            memory_ends,
            out_of_memory: false,
            reported: false,
        })
    }

    /// The kernel's number for it, which is also its session's and group's; none: it was reaped, and the number may be another's.
    pub fn pid(&self) -> Option<Pid> {
        Some(self.pid).filter(|_| self.status.is_none())
    }

    /// What tells whether it started, until that is known.
    pub fn report(&self) -> Option<&OwnedFd> {
        self.report.as_ref()
    }

    /// Its outputs, from the moment when it is known to run: `Started` comes first.
    pub fn outputs(&self) -> &[Output] {
        if self.report.is_none() { &self.outputs } else { &[] }
    }

    /// Where its input goes.
    pub fn input(&mut self) -> Option<&mut Input> {
        self.input.as_mut()
    }

    /// Where its input goes, to be looked at.
    pub fn waiting_input(&self) -> Option<&OwnedFd> {
        self.input.as_ref()?.wanted()
    }

    /// The output of that stream.
    pub fn output(&mut self, stream: u32) -> Option<&mut Output> {
        self.outputs.iter_mut().find(|output| output.stream() == stream)
    }

    /// When to look again though nothing comes.
    pub fn deadline(&self) -> Option<Instant> {
        self.quiet_at.filter(|_| !self.reported)
    }

    /// Reads whether it started.
    pub fn read_report(&mut self, channel: &mut Channel) {
        let Some(report) = &self.report else { return };
        let mut bytes = [0; REPORT];
        match rustix::io::read(report, &mut bytes) {
            Err(Errno::AGAIN | Errno::INTR) => return,
            Ok(REPORT) => {
                let (code, reason) = spawn::explain(&self.command, bytes);
                channel.say(&ToHost::NotStarted { process: self.number, code, reason });
                self.failed = true;
                self.outputs.clear();
                self.input = None;
            }
            _ => channel.say(&ToHost::Started { process: self.number }),
        }
        self.report = None;
        // Only a start needs them; secrets shouldn't stay longer than they must.
        self.command = Command::default();
    }

    /// Reads one of its outputs.
    pub fn pump(&mut self, stream: u32, channel: &mut Channel, buffer: &mut [u8]) {
        let Some(at) = self.outputs.iter().position(|output| output.stream() == stream) else { return };
        if self.outputs[at].pump(channel, buffer) != Source::Open {
            self.outputs.remove(at);
        }
        self.quiet_at = self.quiet_at.map(|_| Instant::now() + QUIET);
    }

    /// It was reaped.
    pub fn ended(&mut self, status: WaitStatus, memory_ends: u64, channel: &mut Channel) {
        // An end comes after its report, which may not have been read yet.
        self.read_report(channel);
        self.status = Some(status);
        self.input = None;
        let killed = status.terminating_signal() == Some(libc::SIGKILL) || status.exit_status() == Some(137);
        self.out_of_memory = killed && memory_ends > self.memory_ends;
        if self.terminal.is_some() {
            self.quiet_at = Some(Instant::now() + QUIET);
        } else {
            self.outputs.iter_mut().for_each(|output| output.finish_what_is_there(channel));
        }
    }

    /// Reports the exit once nothing more is to be sent. Whether this process can be forgotten.
    pub fn settle(&mut self, now: Instant, channel: &mut Channel) -> bool {
        let Some(status) = self.status else { return false };
        if self.failed {
            return true;
        }
        if self.quiet_at.is_some_and(|quiet| quiet <= now) {
            // Silent is one that could speak: what waits for credit is still to come.
            if self.outputs.iter().all(|output| output.is_wanted(channel)) {
                self.outputs.iter_mut().for_each(|output| output.end(channel));
            } else {
                self.quiet_at = Some(now + QUIET);
            }
        }
        if !self.reported && self.outputs.iter().all(Output::has_ended) {
            let signal = status.terminating_signal();
            let code = status.exit_status().or(signal.map(|signal| 128 + signal)).unwrap_or(255);
            let out_of_memory = self.out_of_memory;
            channel.say(&ToHost::Exited { process: self.number, code, signal, out_of_memory });
            self.reported = true;
        }
        // What others still hold of its pipes is read and thrown away, so that they don't die of it; a terminal hangs up.
        self.reported && (self.outputs.is_empty() || self.terminal.is_some())
    }

    /// Whether its exit was reported, or will never be.
    pub fn is_over(&self) -> bool {
        self.reported || (self.failed && self.status.is_some())
    }

    /// Sends a signal to its group.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // It may be gone already, and its exit is on its way.
            let _ = rustix::process::kill_process_group(pid, signal);
        }
    }

    /// Sets the size of its terminal.
    pub fn resize(&self, size: WindowSize) {
        if let Some(terminal) = &self.terminal {
            let _ = rustix::termios::tcsetwinsize(terminal, window(size));
        }
    }
}

fn window(size: WindowSize) -> Winsize {
    Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
}

type Ends = (Files, Vec<Output>, Option<Input>, Option<OwnedFd>);

fn on_pipes(number: u32, with_stdin: bool) -> io::Result<Ends> {
    let (stdout, child_stdout) = pipe_from_child()?;
    let (stderr, child_stderr) = pipe_from_child()?;
    let (child_stdin, input) = if with_stdin {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        unblock(&writer)?;
        (reader, Some(Input::new(writer, Sink::Pipe, stream::stdin(number))))
    } else {
        let null =
            rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty())?;
        (null, None)
    };
    let outputs =
        vec![Output::new(stdout, stream::stdout(number)), Output::new(stderr, stream::stderr(number))];
    Ok((Files::Three([child_stdin, child_stdout, child_stderr]), outputs, input, None))
}

fn on_terminal(number: u32, size: WindowSize) -> io::Result<Ends> {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    rustix::termios::tcsetwinsize(&slave, window(size))?;
    unblock(&master)?;
    let output = Output::new(master.try_clone()?, stream::stdout(number));
    let input = Input::new(master.try_clone()?, Sink::Terminal, stream::stdin(number));
    Ok((Files::Terminal(slave), vec![output], Some(input), Some(master)))
}

fn pipe_from_child() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    unblock(&reader)?;
    Ok((reader, writer))
}

/// Only this end: the child's end is a file of its own, and programs expect theirs to block.
fn unblock(fd: &OwnedFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)?)
}
