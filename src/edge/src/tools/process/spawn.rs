//! From what is to be run to a running process: found on the fixed path, in a session of its own, with nothing of the
//! daemon's but the two pipes.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fd::OwnedFd;
use tokio::{net::unix::pipe::Receiver, process::Command};

use super::{environment, tree::Tree};

/// What is to be run.
#[derive(Debug)]
pub(in crate::tools) struct Program {
    /// The program, by name or absolute path, and its arguments. Never given to a shell.
    pub argv: Vec<String>,
    /// Where it begins: an open directory, or a path of the daemon's own choice.
    pub directory: Directory,
    /// Its whole environment, but for the call's id.
    pub environment: BTreeMap<String, String>,
    /// What it reads; none: nothing.
    pub stdin: Option<Vec<u8>>,
    /// The command's id.
    pub call: String,
}

/// Where a program begins.
#[derive(Debug)]
pub(in crate::tools) enum Directory {
    /// One that was opened beneath a granted root: what the path means by now doesn't matter.
    Open(OwnedFd),
    /// The user's home, or the root directory where that isn't there.
    Home(PathBuf),
}

/// A process, and its ends of the pipes.
pub(super) struct Spawned {
    pub tree: Tree,
    pub stdin: Option<tokio::process::ChildStdin>,
    pub stdout: Receiver,
    pub stderr: Receiver,
}

/// The file of a program: an absolute path is itself, a name is looked for on the fixed path.
fn find_program(name: &str) -> Result<PathBuf, String> {
    if name.starts_with('/') {
        return Ok(PathBuf::from(name));
    }
    if name.is_empty() || name.contains('/') {
        return Err(format!("'{name}' is no program: write its name or its absolute path"));
    }
    let runs = |path: &Path| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    environment::PATH.split(':').map(|dir| Path::new(dir).join(name)).find(|path| runs(path)).ok_or_else(
        || {
            format!(
                "there is no program '{name}' in {}; install it, or name its absolute path",
                environment::PATH
            )
        },
    )
}

/// Starts it. Blocks for as long as the system takes to load the program.
pub(super) fn spawn(program: &Program) -> Result<Spawned, String> {
    let (name, arguments) = program.argv.split_first().ok_or("there is no program to run; name one")?;
    let path = find_program(name)?;
    let call = call_id(&program.call);
    let mut command = Command::new(&path);
    command
        .arg0(name)
        .args(arguments)
        .env_clear()
        .envs(&program.environment)
        .env(environment::CALL_ID, &call)
        .stdin(if program.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let directory = match &program.directory {
        Directory::Open(fd) => Some(fd.try_clone().map_err(|error| cannot(&path, &error))?),
        Directory::Home(home) => {
            command.current_dir(if home.is_dir() { home } else { Path::new("/") });
            None
        }
    };
    let prepare = move || {
        rustix::process::setsid()?;
        if let Some(directory) = &directory {
            rustix::process::fchdir(directory)?;
        }
        inherit_nothing()
    };
    #[expect(unsafe_code, reason = "what runs between fork and exec is the caller's promise")]
    // SAFETY: the closure makes three system calls, takes no lock and allocates nothing: all that may be done in a child
    // of a program with threads.
    unsafe {
        command.pre_exec(prepare);
    }
    let mut child = command.spawn().map_err(|error| cannot(&path, &error))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let tree = Tree::new(child, call).map_err(|error| cannot(&path, &error))?;
    let pipe = |fd: io::Result<OwnedFd>| fd.and_then(Receiver::from_owned_fd).map_err(|e| cannot(&path, &e));
    match (stdout, stderr) {
        (Some(stdout), Some(stderr)) => Ok(Spawned {
            tree,
            stdin,
            stdout: pipe(stdout.into_owned_fd())?,
            stderr: pipe(stderr.into_owned_fd())?,
        }),
        _ => Err(cannot(&path, &io::Error::other("it has no pipes"))),
    }
}

fn cannot(path: &Path, error: &io::Error) -> String {
    let way_out = match error.kind() {
        io::ErrorKind::NotFound => "; is it installed, and the interpreter in its first line too?",
        io::ErrorKind::PermissionDenied => "; make it executable for the daemon's user",
        _ => "",
    };
    format!("can't run {}: {error}{way_out}", path.display())
}

/// Unlike a command's id, also unique among the daemons of one machine.
fn call_id(command: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("{command}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Lets every descriptor but the first three close at exec. The daemon's own do that already; those it was itself given
/// by whoever started it may not. Runs between fork and exec.
fn inherit_nothing() -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    #[expect(unsafe_code, reason = "there is no safe wrapper")]
    // SAFETY: the call takes three numbers and touches no memory.
    let done = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            libc::c_uint::MAX,
            libc::c_uint::try_from(libc::CLOSE_RANGE_CLOEXEC).unwrap_or(4),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
