//! The host's side of a guest for tests: starts the real harness in a jail and speaks frames with it.

#![allow(dead_code, clippy::print_stderr, reason = "each test program uses a part of it; tests may print")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::{fs::PermissionsExt, net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use aegis_harness::{
    frame::{Decoder, Frame, Kind},
    jail::{Ids, Jail},
    message::{self, Setup, ToGuest, ToHost},
    stream,
};
use base64::{Engine, prelude::BASE64_STANDARD};

/// Everything that is waited for comes within this, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The host's id of a guest's root, where they differ.
pub const FIRST_ID: u32 = 1 << 30;

/// Who starts a jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starter {
    /// Whoever runs the tests.
    Same,
    /// Root, for a guest whose users are nobody on the host.
    Shifted,
    /// Somebody without any power: only root can become that.
    Nobody,
}

/// All that can be tried here.
pub fn starters() -> Vec<Starter> {
    if !rustix::process::geteuid().is_root() {
        return vec![Starter::Same];
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let open = target.ancestors().all(|path| fs::metadata(path).unwrap().permissions().mode() & 1 == 1);
    if open {
        return vec![Starter::Same, Starter::Shifted, Starter::Nobody];
    }
    eprintln!("only root may enter {}: nobody else is tried", target.display());
    vec![Starter::Same, Starter::Shifted]
}

/// A directory that goes away with it.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("aegis-harness-{}-{count}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The base image's root file system, as `make guest` makes it, with something in `/var`.
pub fn rootfs() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let base = Path::new(env!("CARGO_BIN_EXE_aegis-harness")).with_file_name("guest").join("base.tar");
        assert!(base.exists(), "{} is missing: make guest", base.display());
        // Under the target directory, where the next run replaces it.
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!("rootfs-", env!("CARGO_CRATE_NAME")));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("var/content")).unwrap();
        let unpacked = Command::new("tar").arg("-xf").arg(&base).arg("-C").arg(&root).status().unwrap();
        assert!(unpacked.success());
        fs::write(root.join("var/content/file"), "from the image\n").unwrap();
        root
    })
}

/// A guest and what it has said so far.
pub struct Guest {
    pub process: Child,
    socket: UnixStream,
    decoder: Decoder,
    messages: Vec<ToHost>,
    data: BTreeMap<u32, Vec<u8>>,
    pub credit: BTreeMap<u32, u32>,
    pub ended: BTreeSet<u32>,
    pub reset: BTreeSet<u32>,
    /// Whether credit is given for what comes.
    pub grants: bool,
    /// What was sent to the network.
    pub packets: Vec<Vec<u8>>,
    next: u32,
}

impl Guest {
    /// Starts the harness; its greeting and `Hello` are checked.
    pub fn start(starter: Starter, change: impl FnOnce(&mut Jail)) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (config, mut config_writer) = std::io::pipe().unwrap();
        let mut jail = Jail {
            token: "token-of-a-test".to_owned(),
            channel: theirs.as_raw_fd(),
            root: rootfs().to_owned(),
            workspace: None,
            ids: Ids::Same,
            limits: Vec::new(),
            seccomp: None,
            oom_events: None,
        };
        if starter == Starter::Shifted {
            jail.ids = Ids::Shifted { base: FIRST_ID };
        }
        change(&mut jail);
        config_writer.write_all(&serde_json::to_vec(&jail).unwrap()).unwrap();
        drop(config_writer);
        for inherited in [theirs.as_fd(), config.as_fd()] {
            rustix::io::fcntl_setfd(inherited, rustix::io::FdFlags::empty()).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_aegis-harness"));
        command.args(["jail", &config.as_raw_fd().to_string()]).stdin(Stdio::null());
        command.env("AEGIS_TEST_LEAK", "leaked");
        if starter == Starter::Nobody {
            command.uid(65_534).gid(65_534);
        }
        let process = command.spawn().unwrap();
        drop((theirs, config));
        let mut guest = Self {
            process,
            socket: ours,
            decoder: Decoder::default(),
            messages: Vec::new(),
            data: BTreeMap::new(),
            credit: BTreeMap::new(),
            ended: BTreeSet::new(),
            reset: BTreeSet::new(),
            grants: true,
            packets: Vec::new(),
            next: 2,
        };
        assert_eq!(guest.line(), "AEGIS/1 token-of-a-test");
        guest.until(|message| matches!(message, ToHost::Hello { version: aegis_harness::VERSION }));
        guest
    }

    /// One that is set up.
    pub fn ready(starter: Starter, change: impl FnOnce(&mut Jail)) -> Self {
        Self::ready_with(starter, setup(), change)
    }

    /// One that is set up like that.
    pub fn ready_with(starter: Starter, setup: Setup, change: impl FnOnce(&mut Jail)) -> Self {
        let mut guest = Self::start(starter, change);
        guest.say(&ToGuest::Setup(Box::new(setup)));
        let answer = guest.until(|message| matches!(message, ToHost::Ready | ToHost::SetupFailed { .. }));
        assert_eq!(answer, ToHost::Ready, "{starter:?}");
        guest
    }

    fn line(&mut self) -> String {
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while line.last() != Some(&b'\n') {
            self.socket.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// Sends a message.
    pub fn say(&mut self, message: &ToGuest) {
        self.send(Kind::Control, 0, &serde_json::to_vec(message).unwrap());
    }

    /// Sends a frame.
    pub fn send(&mut self, kind: Kind, stream: u32, body: &[u8]) {
        let mut bytes = Vec::new();
        Frame::new(kind, stream, body).write_to(&mut bytes);
        self.socket.write_all(&bytes).unwrap();
    }

    /// Takes what comes within `time`. Whether the guest is still there.
    pub fn take(&mut self, time: Duration) -> bool {
        let mut buffer = vec![0; 256 * 1024];
        self.socket.set_read_timeout(Some(time.max(Duration::from_millis(1)))).unwrap();
        match self.socket.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => self.decoder.push(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
            Err(_) => return false,
        }
        while let Some(frame) = self.decoder.next_frame().unwrap() {
            match frame.kind {
                Kind::Control => self.messages.push(serde_json::from_slice(&frame.body).unwrap()),
                Kind::Data if frame.stream == stream::NETWORK => self.packets.push(frame.body),
                Kind::Data => {
                    if self.grants {
                        let taken = u32::try_from(frame.body.len()).unwrap();
                        self.send(Kind::Credit, frame.stream, &taken.to_le_bytes());
                    }
                    self.data.entry(frame.stream).or_default().extend(frame.body);
                }
                Kind::Credit => {
                    *self.credit.entry(frame.stream).or_default() +=
                        u32::from_le_bytes(frame.body.try_into().unwrap());
                }
                Kind::End => drop(self.ended.insert(frame.stream)),
                Kind::Reset => drop(self.reset.insert(frame.stream)),
            }
        }
        true
    }

    /// Takes what comes until there is a message as wanted.
    pub fn until(&mut self, wanted: impl Fn(&ToHost) -> bool) -> ToHost {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.messages.iter().position(&wanted) {
                return self.messages.remove(at);
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && self.take(left), "it didn't come; what came: {:?}", self.messages);
        }
    }

    /// Takes what comes until something holds.
    pub fn wait(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && self.take(left.min(Duration::from_millis(20))), "{what} didn't come");
        }
    }

    /// What came on a stream.
    pub fn text(&self, stream: u32) -> String {
        String::from_utf8_lossy(self.bytes(stream)).into_owned()
    }

    /// What came on a stream.
    pub fn bytes(&self, stream: u32) -> &[u8] {
        self.data.get(&stream).map_or(&[], Vec::as_slice)
    }

    /// A number that no process had.
    pub fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// Starts a process and gives its number.
    pub fn spawn(&mut self, command: message::Command) -> u32 {
        let process = self.number();
        self.say(&ToGuest::Start { process, command: Box::new(command) });
        process
    }

    /// Waits for a process: its code, signal and output.
    pub fn exit(&mut self, process: u32) -> Exit {
        let ended = self.until(|message| match message {
            ToHost::Exited { process: of, .. } | ToHost::NotStarted { process: of, .. } => *of == process,
            _ => false,
        });
        let (code, signal, reason) = match ended {
            ToHost::Exited { code, signal, .. } => (code, signal, None),
            ToHost::NotStarted { code, reason, .. } => (code, None, Some(reason)),
            _ => unreachable!("nothing else was asked for"),
        };
        let (stdout, stderr) = (self.text(stream::stdout(process)), self.text(stream::stderr(process)));
        Exit { code, signal, reason, stdout, stderr }
    }

    /// Runs a line of shell.
    pub fn shell(&mut self, line: &str) -> Exit {
        let process = self.spawn(shell(line));
        self.exit(process)
    }

    /// How it is.
    pub fn health(&mut self) -> message::Health {
        self.say(&ToGuest::Health);
        match self.until(|message| matches!(message, ToHost::Health(_))) {
            ToHost::Health(health) => health,
            other => panic!("{other:?}"),
        }
    }

    /// Connects as soon as somebody listens.
    pub fn connect(&mut self, port: u16) -> u32 {
        let end = Instant::now() + PATIENCE;
        loop {
            let connection = self.number();
            self.say(&ToGuest::Connect { connection, port });
            let answer = self.until(|message| match message {
                ToHost::Connected { connection: of } | ToHost::Refused { connection: of, .. } => {
                    *of == connection
                }
                _ => false,
            });
            if matches!(answer, ToHost::Connected { .. }) {
                return connection;
            }
            assert!(Instant::now() < end, "nobody listens on {port}");
        }
    }

    /// Waits for the harness's own end.
    pub fn end(&mut self) -> i32 {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < end, "the harness didn't end");
            self.take(Duration::from_millis(5));
            std::thread::yield_now();
        }
    }

    /// The host goes away.
    pub fn hang_up(&mut self) {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Exit {
    pub code: i32,
    pub signal: Option<i32>,
    pub reason: Option<String>,
    pub stdout: String,
    pub stderr: String,
}

/// A setup as aegisd sends it.
pub fn setup() -> Setup {
    Setup {
        hostname: "i-test".to_owned(),
        unix_ns: 1_800_000_000_000_000_000,
        entropy: BASE64_STANDARD.encode([7; 64]),
        scratch_mib: 16,
        ..Setup::default()
    }
}

/// A command.
pub fn command(argv: &[&str]) -> message::Command {
    message::Command {
        argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
        env: [("PATH", "/bin:/sbin:/usr/bin:/usr/sbin"), ("HOME", "/root")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .into(),
        ..message::Command::default()
    }
}

/// A line of shell.
pub fn shell(line: &str) -> message::Command {
    command(&["sh", "-c", line])
}
