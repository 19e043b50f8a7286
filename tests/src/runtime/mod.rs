//! `aegisd` for tests: each has a home of its own, its router on a free port, and a registry on the loopback to pull from.

pub mod http;
pub mod image;
pub mod processes;
pub mod registry;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::fs::FlockOperation;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    output::Output,
    process::Process,
    program::{Program, binary},
    wait::eventually,
};
use http::{Request, Response};

/// How long anything may take that waits for a guest: boots are emulated, on a busy machine.
pub const BOOTS: Duration = Duration::from_mins(1);

/// What `make guest` fetched and made.
pub fn guest_cache() -> PathBuf {
    // The program is target/debug/aegis.
    binary().ancestors().nth(2).unwrap().join("guest-cache")
}

/// A daemon with a home of its own. It is ended, with everything that it runs, when this is dropped.
#[derive(Debug)]
pub struct Runtime {
    directory: TempDir,
    program: Program,
}

impl Runtime {
    /// Starts a daemon with this config, besides its router's port.
    #[track_caller]
    pub fn start(config: &str) -> Self {
        let runtime = Self::not_started(config);
        runtime.up();
        runtime
    }

    /// A home with a config, and no daemon yet.
    pub fn not_started(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = Program::new(directory.path());
        let runtime = Self { directory, program };
        fs::create_dir_all(runtime.home()).unwrap();
        runtime.configure(config);
        runtime
    }

    /// Writes its config anew: in force from the next start on.
    pub fn configure(&self, config: &str) {
        let config = format!("router: {{listen: '127.0.0.1:0'}}\n{config}");
        fs::write(self.home().join("aegisd.yaml"), config).unwrap();
    }

    /// The directory in which commands run.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `AEGIS_HOME`.
    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// `aegis` for this home.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// `aegis up`.
    #[track_caller]
    pub fn up(&self) -> Output {
        self.run("up").ok()
    }

    /// Runs a command line to its end.
    #[track_caller]
    pub fn run(&self, line: &str) -> Output {
        self.program.start(line).wait_within(2 * BOOTS)
    }

    /// Starts a command line.
    pub fn begin(&self, line: &str) -> Process {
        self.program.start(line)
    }

    /// Runs a command of these words: any word goes, also one with blanks and quotes.
    #[track_caller]
    pub fn run_words(&self, words: &[&str]) -> Output {
        Process::start(self.command(words)).wait_within(2 * BOOTS)
    }

    /// A command of these words, not started.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.program.command("");
        command.args(words);
        command
    }

    /// Runs a shell's line in a guest of its own, with these flags.
    #[track_caller]
    pub fn shell(&self, flags: &str, line: &str) -> Output {
        let mut words = vec!["run"];
        words.extend(flags.split_whitespace());
        words.extend(["--", "sh", "-c", line]);
        self.run_words(&words)
    }

    /// Runs a shell's line in a guest that is there.
    #[track_caller]
    pub fn exec(&self, target: &str, line: &str) -> Output {
        self.run_words(&["exec", target, "--", "sh", "-c", line])
    }

    /// Asks the daemon.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Response {
        let socket = self.home().join("aegisd.sock");
        request.send_to(&socket).unwrap_or_else(|error| panic!("aegisd: {error}: {request:?}"))
    }

    /// `GET path`, which must succeed.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.ask(&Request::get(path)).expect(200).json()
    }

    /// `POST path` with a body.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Response {
        self.ask(&Request::new("POST", path).json(body))
    }

    /// `GET /v1/status`.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.get("/v1/status")
    }

    /// Where the router listens.
    #[track_caller]
    pub fn router(&self) -> SocketAddr {
        let status = self.status();
        let router = status["router"].as_str().expect("an address");
        router.trim_start_matches("http://").parse().expect(router)
    }

    /// `GET /` of an app, through the router.
    #[track_caller]
    pub fn page(&self, app: &str) -> Response {
        let request = Request::get("/").header("host", &format!("{app}.localhost"));
        request.send(self.router()).unwrap_or_else(|error| panic!("the router, for {app}: {error}"))
    }

    /// An instance.
    #[track_caller]
    pub fn instance(&self, id: &str) -> Value {
        self.get(&format!("/v1/instances/{id}"))
    }

    /// Waits until an instance is in this state.
    #[track_caller]
    pub fn wait_for(&self, id: &str, state: &str) -> Value {
        let mut last = Value::Null;
        let end = std::time::Instant::now() + BOOTS;
        loop {
            last.clone_from(&self.instance(id));
            if last["state"] == state {
                return last;
            }
            assert!(std::time::Instant::now() < end, "{id} isn't {state}: {last}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The instances of an app that aren't stopped.
    #[track_caller]
    pub fn live(&self, app: &str) -> Vec<Value> {
        let all = self.get("/v1/instances");
        let all = all.as_array().or_else(|| all["instances"].as_array()).expect("instances").clone();
        all.into_iter().filter(|one| one["app"] == app && one["state"] != "stopped").collect()
    }

    /// The daemon's process, as its PID file says.
    pub fn pid(&self) -> Option<u32> {
        let text = fs::read_to_string(self.home().join("data/aegisd.pid")).ok()?;
        let pid = text.split_whitespace().next()?.parse().ok()?;
        processes::is_program(pid, "aegisd").then_some(pid)
    }

    /// SIGKILL to the daemon, and waits until it is gone. What it ran may still be there.
    #[track_caller]
    pub fn kill(&self) {
        let pid = self.pid().expect("a daemon");
        processes::signal(pid, rustix::process::Signal::KILL);
        eventually("the daemon is gone", BOOTS, || (!processes::runs(pid)).then_some(()));
        // Its files close with the last of its threads, one of which may be in the kernel, measuring KVM.
        let lock = fs::File::open(self.home().join("data/aegisd.pid")).unwrap();
        let take = || rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).ok();
        eventually("its lock is free", BOOTS, take);
    }

    /// What its home holds of a text: the files that have it.
    pub fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        find(&self.home(), text.as_bytes(), &mut found);
        found
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // An orderly end first: it takes its guests along.
        for signal in [rustix::process::Signal::TERM, rustix::process::Signal::KILL] {
            let Some(pid) = self.pid() else { return };
            processes::signal(pid, signal);
            let end = std::time::Instant::now() + Duration::from_secs(20);
            while processes::runs(pid) && std::time::Instant::now() < end {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn find(directory: &Path, text: &[u8], found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            find(&path, text, found);
        } else if kind.is_file() && has(&path, text) {
            found.push(path);
        }
    }
}

/// Whether a file has these bytes somewhere. Holes of sparse files are passed over.
fn has(path: &Path, text: &[u8]) -> bool {
    use rustix::fs::{SeekFrom, seek};
    use std::io::{Read, Seek};
    let Ok(mut file) = fs::File::open(path) else { return false };
    let Ok(length) = file.metadata().map(|metadata| metadata.len()) else { return false };
    let mut at = 0;
    while let Ok(begin) = seek(&file, SeekFrom::Data(at)) {
        let end = seek(&file, SeekFrom::Hole(begin)).unwrap_or(length);
        let mut bytes = Vec::new();
        if file.seek(std::io::SeekFrom::Start(begin)).is_err()
            || Read::by_ref(&mut file).take(end - begin).read_to_end(&mut bytes).is_err()
        {
            return false;
        }
        if bytes.windows(text.len()).any(|window| window == text) {
            return true;
        }
        if end >= length {
            break;
        }
        at = end;
    }
    false
}
