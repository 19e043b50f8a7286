//! The guest: what it has, and what it does when the host says something.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use aegis_harness::{
    VERSION,
    frame::{Frame, Kind},
    greeting,
    message::{Command, Setup, ToGuest, ToHost},
    stream,
};
use rustix::process::{Signal, WaitOptions};

use crate::{
    channel::Channel,
    connection::{Connection, credit},
    context::Outcome,
    health::Counters,
    network,
    process::Process,
    setup::{self, Made},
    sys,
};

/// How long processes have to end by themselves.
const GRACE: Duration = Duration::from_secs(5);
/// How long the kernel has to end them, and the host to take what they said last.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Makes a guest what its setup says; a VM and a jail do that in different ways.
pub type Maker = Box<dyn FnOnce(&Setup) -> Outcome<Made>>;

/// How far the guest is on the way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not on the way.
    Running,
    /// Processes were asked to end, until then.
    Asked(Instant),
    /// They are being ended, until then.
    Killed(Instant),
    /// What they said is being sent, until then.
    LastWords(Instant),
    /// There is nothing left to do.
    Over,
}

/// The guest.
pub struct Guest {
    pub channel: Channel,
    pub signals: OwnedFd,
    pub processes: BTreeMap<u32, Process>,
    pub connections: BTreeMap<u32, Connection>,
    pub made: Option<Made>,
    pub phase: Phase,
    maker: Option<Maker>,
    counters: Counters,
    own_address: Option<IpAddr>,
    has_clock: bool,
}

impl Guest {
    /// One that waits for its setup.
    pub fn new(channel: Channel, signals: OwnedFd, counters: Counters, maker: Maker) -> Self {
        Self {
            channel,
            signals,
            processes: BTreeMap::new(),
            connections: BTreeMap::new(),
            made: None,
            phase: Phase::Running,
            maker: Some(maker),
            has_clock: counters.are_of_machine(),
            counters,
            own_address: None,
        }
    }

    /// Says who it is.
    pub fn greet(&mut self, token: &str) {
        self.channel.send_raw(greeting(token).as_bytes());
        self.channel.say(&ToHost::Hello { version: VERSION });
    }

    /// Takes what the host sent.
    pub fn take_frames(&mut self) {
        match self.channel.receive() {
            Ok(frames) => frames.into_iter().for_each(|frame| self.take(&frame)),
            // Nobody is there any more to say anything to.
            Err(_) => self.lose_host(),
        }
    }

    /// Without its host, a guest has nothing to do.
    pub fn lose_host(&mut self) {
        self.channel.close();
        if !matches!(self.phase, Phase::Killed(_) | Phase::Over) {
            sys::signal_all(libc::SIGKILL);
            self.phase = Phase::Killed(Instant::now() + LAST_WORDS);
        }
    }

    fn take(&mut self, frame: &Frame) {
        let number = frame.stream >> 2;
        match (frame.kind, frame.stream & 3) {
            (Kind::Control, _) => match serde_json::from_slice(&frame.body) {
                Ok(message) => self.hear(message),
                Err(error) => self.channel.log(format!("a message that isn't one: {error}")),
            },
            (kind, _) if frame.stream == stream::NETWORK => {
                let tun = self.made.as_mut().and_then(|made| made.tun.as_mut());
                if let Some(tun) = tun.filter(|_| kind == Kind::Data) {
                    tun.take(&frame.body);
                }
            }
            (kind, 3) => {
                if let Some(connection) = self.connections.get_mut(&number) {
                    connection.take(kind, &frame.body, &mut self.channel);
                }
            }
            (kind, _) => self.take_of_process(number, kind, frame),
        }
    }

    fn take_of_process(&mut self, number: u32, kind: Kind, frame: &Frame) {
        // Frames that cross an exit on their way are nobody's.
        let Some(process) = self.processes.get_mut(&number) else { return };
        if let Some(output) = process.output(frame.stream) {
            match kind {
                Kind::Credit => output.grant(credit(&frame.body)),
                Kind::Reset => output.give_up(),
                _ => {}
            }
        } else if let Some(input) = process.input().filter(|input| input.stream() == frame.stream) {
            match kind {
                Kind::Data => input.push(&frame.body, &mut self.channel),
                Kind::End => input.end(&mut self.channel),
                Kind::Reset => input.close(),
                _ => {}
            }
        }
    }

    fn hear(&mut self, message: ToGuest) {
        match message {
            ToGuest::Setup(setup) => self.set_up(&setup),
            ToGuest::Start { process, command } => self.start(process, *command),
            ToGuest::Signal { process, signal } => {
                if let (Some(process), Some(signal)) =
                    (self.processes.get(&process), Signal::from_named_raw(signal))
                {
                    process.signal(signal);
                }
            }
            ToGuest::Resize { process, size } => {
                if let Some(process) = self.processes.get(&process) {
                    process.resize(size);
                }
            }
            ToGuest::Connect { connection, port } => {
                let opened = Connection::open(connection, port, self.own_address, &mut self.channel);
                self.connections.insert(connection, opened);
            }
            ToGuest::Health => {
                let tun = self.made.as_ref().and_then(|made| made.tun.as_ref());
                let health = self.counters.look(tun.map_or(0, |tun| tun.packets));
                self.channel.say(&ToHost::Health(health));
            }
            ToGuest::Clock { unix_ns } => {
                // A jail has the host's clock, which is right, and not its to set.
                if self.has_clock
                    && let Err(error) = setup::set_clock(unix_ns)
                {
                    self.channel.log(error);
                }
            }
            ToGuest::Shutdown => {
                if self.phase == Phase::Running {
                    sys::signal_all(libc::SIGTERM);
                    self.phase = Phase::Asked(Instant::now() + GRACE);
                }
            }
        }
    }

    fn set_up(&mut self, setup: &Setup) {
        let Some(maker) = self.maker.take() else {
            return self.channel.log("a second setup was ignored");
        };
        if !setup.token.is_empty() {
            self.greet(&setup.token);
            self.channel.flush();
        }
        match maker(setup) {
            Ok(made) => {
                made.remarks.iter().for_each(|remark| self.channel.log(remark));
                self.own_address = setup.network.as_ref().and_then(network::own_address);
                self.made = Some(made);
                self.channel.say(&ToHost::Ready);
            }
            Err(reason) => {
                self.channel.say(&ToHost::SetupFailed { reason });
                self.phase = Phase::LastWords(Instant::now() + LAST_WORDS);
            }
        }
    }

    fn start(&mut self, number: u32, command: Command) {
        let memory_ends = self.counters.memory_ends();
        let refused = match (&self.made, self.phase) {
            _ if self.processes.contains_key(&number) => "its number is another process's".to_owned(),
            (Some(made), Phase::Running) => {
                match Process::start(number, command, &made.common, memory_ends) {
                    Ok(process) => {
                        self.processes.insert(number, process);
                        return;
                    }
                    Err(error) => error.to_string(),
                }
            }
            (None, _) => "the guest isn't set up".to_owned(),
            (Some(_), _) => "the guest is shutting down".to_owned(),
        };
        self.channel.say(&ToHost::NotStarted { process: number, code: 126, reason: refused });
    }

    /// Takes note of everything that ended, whether it was started by the host or left behind by another. Whether anything
    /// is left.
    pub fn reap(&mut self) -> bool {
        let mut memory_ends = None;
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let process = self.processes.values_mut().find(|process| process.pid() == Some(pid));
                    if let Some(process) = process {
                        let ends = *memory_ends.get_or_insert_with(|| self.counters.memory_ends());
                        process.ended(status, ends, &mut self.channel);
                    }
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Reports what can be reported, and takes the next step towards the end if there is one.
    pub fn settle(&mut self) {
        let now = Instant::now();
        self.processes.retain(|_, process| !process.settle(now, &mut self.channel));
        self.connections.values_mut().for_each(|connection| connection.expire(now, &mut self.channel));
        self.connections.retain(|_, connection| !connection.is_closed());
        self.go_on(now);
    }

    fn go_on(&mut self, now: Instant) {
        let nothing_runs = matches!(self.phase, Phase::Asked(_) | Phase::Killed(_)) && !self.reap();
        match self.phase {
            Phase::Asked(_) | Phase::Killed(_) if nothing_runs => {
                self.phase = Phase::LastWords(now + LAST_WORDS);
                // It may be that nothing more comes that would wake this up.
                self.settle();
            }
            Phase::Asked(until) if until <= now => {
                sys::signal_all(libc::SIGKILL);
                self.phase = Phase::Killed(now + LAST_WORDS);
            }
            Phase::Killed(until) if until <= now => self.phase = Phase::LastWords(now + LAST_WORDS),
            Phase::LastWords(until) if self.has_said_all() || until <= now => self.phase = Phase::Over,
            _ => {}
        }
    }

    fn has_said_all(&self) -> bool {
        let said = self.processes.values().all(Process::is_over) && !self.channel.has_more();
        said || !self.channel.is_open()
    }

    /// When to look again though nothing comes.
    pub fn deadline(&self) -> Option<Instant> {
        let phase = match self.phase {
            // The last bytes may have gone just now, and nothing else will come.
            Phase::LastWords(_) if self.has_said_all() => Some(Instant::now()),
            Phase::Running | Phase::Over => None,
            Phase::Asked(until) | Phase::Killed(until) | Phase::LastWords(until) => Some(until),
        };
        let processes = self.processes.values().filter_map(Process::deadline);
        let connections = self.connections.values().filter_map(Connection::deadline);
        processes.chain(connections).chain(phase).min()
    }
}
