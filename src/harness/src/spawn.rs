//! How a process begins: its files, its session, its directory, and the search for its program.

use std::{ffi::CString, fmt::Write as _, io, os::fd::OwnedFd, path::Path};

use aegis_harness::message::Command;
use rustix::{io::Errno, process::Pid};

use crate::sys::{self, Forked};

/// Where programs are looked for when the environment doesn't say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where processes begin when the command doesn't say.
const DEFAULT_DIRECTORY: &str = "/workspace";

/// The standard files of a process, its own ends of them.
pub enum Files {
    /// Three files.
    Three([OwnedFd; 3]),
    /// A terminal that becomes the session's.
    Terminal(OwnedFd),
}

/// What all processes of this guest have in common.
pub struct Common {
    /// The cgroup that bounds how many there may be.
    pub cgroup: Option<OwnedFd>,
    /// What is added to the kernel's wish to end a process when memory runs out: more than the harness has.
    pub oom_score_adj: &'static str,
}

/// How far a process came that didn't start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its files, session or cgroup.
    Prepare = 0,
    /// Its directory.
    Directory = 1,
    /// Its program.
    Program = 2,
    /// The program is there; what its first line or its header names isn't.
    Interpreter = 3,
}

/// What a child that couldn't start says of it: the stage, then the error's number.
pub const REPORT: usize = 5;

/// Forks; the child executes the command or writes its report. The caller sees `report`'s end when it runs.
pub fn spawn(command: &Command, files: &Files, common: &Common, report: &OwnedFd) -> io::Result<Pid> {
    match sys::fork()? {
        Forked::Parent(pid) => Ok(pid),
        Forked::Child => {
            let (stage, error) = begin(command, files, common);
            let number = error.raw_os_error().unwrap_or(libc::EIO).to_le_bytes();
            let [a, b, c, d] = number;
            let _ = rustix::io::write(report, &[stage as u8, a, b, c, d]);
            sys::exit(127)
        }
    }
}

/// Runs in the child; comes back only when it can't.
fn begin(command: &Command, files: &Files, common: &Common) -> (Stage, io::Error) {
    if let Err(error) = prepare(files, common) {
        return (Stage::Prepare, error);
    }
    if let Err(error) = rustix::process::chdir(command.directory.as_deref().unwrap_or(DEFAULT_DIRECTORY)) {
        return (Stage::Directory, error.into());
    }
    execute(command)
}

fn prepare(files: &Files, common: &Common) -> io::Result<()> {
    sys::default_signals()?;
    if let Some(cgroup) = &common.cgroup {
        rustix::io::write(cgroup, b"0")?;
    }
    // Not there, or not allowed: then it is as likely to be chosen as the harness, which is better than not to run.
    let _ = std::fs::write("/proc/self/oom_score_adj", common.oom_score_adj);
    rustix::process::setsid()?;
    match files {
        Files::Three(three) => {
            for (fd, number) in three.iter().zip(0..) {
                sys::install(fd, number)?;
            }
        }
        Files::Terminal(terminal) => {
            rustix::process::ioctl_tiocsctty(terminal)?;
            for number in 0..3 {
                sys::install(terminal, number)?;
            }
        }
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    sys::close_from(3);
    Ok(())
}

fn execute(command: &Command) -> (Stage, io::Error) {
    let invalid = || (Stage::Program, io::Error::from_raw_os_error(libc::EINVAL));
    let c_strings = |strings: &mut dyn Iterator<Item = String>| {
        strings.map(CString::new).collect::<Result<Vec<_>, _>>().ok()
    };
    let variables = command.env.iter().map(|(name, value)| format!("{name}={value}"));
    let arguments = c_strings(&mut command.argv.iter().cloned());
    let (Some(arguments), Some(environment)) = (arguments, c_strings(&mut { variables })) else {
        return invalid();
    };
    let Some(name) = command.argv.first() else { return invalid() };
    let path = command.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let mut worst = (Stage::Program, io::Error::from_raw_os_error(libc::ENOENT));
    for candidate in candidates(name, path) {
        let Ok(program) = CString::new(candidate.as_str()) else { return invalid() };
        let error = sys::execute(&program, &arguments, &environment);
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT) if Path::new(&candidate).exists() => return (Stage::Interpreter, error),
            Some(Errno::NOENT | Errno::NOTDIR) => {}
            // As shells do: one that may be run further down the path is better.
            Some(Errno::ACCESS) => worst = (Stage::Program, error),
            _ => return (Stage::Program, error),
        }
    }
    worst
}

/// Where a program may be, in order.
fn candidates(name: &str, path: &str) -> Vec<String> {
    if name.contains('/') || name.is_empty() {
        return vec![name.to_owned()];
    }
    let directory = |entry: &str| if entry.is_empty() { "." } else { entry }.to_owned();
    path.split(':').map(|entry| directory(entry) + "/" + name).collect()
}

/// The exit code and the line for a process that didn't start.
pub fn explain(command: &Command, report: [u8; REPORT]) -> (i32, String) {
    let [stage, a, b, c, d] = report;
    let number = i32::from_le_bytes([a, b, c, d]);
    let error = io::Error::from_raw_os_error(number);
    let name = command.argv.first().map_or("the command", String::as_str);
    let directory = command.directory.as_deref().unwrap_or(DEFAULT_DIRECTORY);
    let not_found = matches!(number, libc::ENOENT | libc::ENOTDIR);
    match (stage, number) {
        (1, _) if not_found => (126, format!("{directory}: no such directory in the image")),
        (1, _) => (126, format!("{directory}: {}", plain(&error))),
        (2, _) if not_found => (127, format!("{name}: no such program in the image")),
        (2, libc::EACCES) => (126, format!("{name}: not executable")),
        (2, libc::ENOEXEC) => (126, format!("{name}: not a program for this machine")),
        (2, libc::EINVAL) => {
            (126, format!("{name}: its arguments or environment can't be passed to a program"))
        }
        (2, libc::E2BIG) => (126, format!("{name}: its arguments and environment are too long")),
        (3, _) => (127, format!("{name}: what its first line or header asks for isn't in the image")),
        _ => (126, format!("{name}: {}", plain(&error))),
    }
}

/// An error as the C library words it, in lower case and without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut out = String::new();
    let mut letters = text.chars();
    if let Some(first) = letters.next() {
        let _ = write!(out, "{}{}", first.to_lowercase(), letters.as_str());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str) -> Command {
        Command { argv: vec![name.to_owned()], ..Command::default() }
    }

    fn report(stage: Stage, number: i32) -> [u8; REPORT] {
        let [a, b, c, d] = number.to_le_bytes();
        [stage as u8, a, b, c, d]
    }

    #[test]
    fn a_name_is_looked_for_in_the_path_and_a_path_is_not() {
        assert_eq!(candidates("sh", "/bin::/usr/bin"), ["/bin/sh", "./sh", "/usr/bin/sh"]);
        assert_eq!(candidates("./sh", "/bin"), ["./sh"]);
        assert_eq!(candidates("", "/bin"), [""]);
    }

    #[test]
    fn what_did_not_start_is_said_in_one_line_with_the_codes_of_shells() {
        let said = |stage, number| explain(&command("nosuch"), report(stage, number));
        assert_eq!(
            said(Stage::Program, libc::ENOENT),
            (127, "nosuch: no such program in the image".to_owned())
        );
        assert_eq!(said(Stage::Program, libc::EACCES), (126, "nosuch: not executable".to_owned()));
        assert_eq!(said(Stage::Program, libc::ENOEXEC).0, 126);
        assert_eq!(said(Stage::Interpreter, libc::ENOENT).0, 127);
        assert_eq!(
            said(Stage::Directory, libc::ENOENT),
            (126, "/workspace: no such directory in the image".to_owned())
        );
        assert_eq!(
            said(Stage::Prepare, libc::EAGAIN),
            (126, "nosuch: resource temporarily unavailable".to_owned())
        );
    }
}
