//! The messages in control frames, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the host says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToGuest {
    /// The first message of a boot or of a clone: who the guest is from now on. Answered by [`ToHost::Ready`] or
    /// [`ToHost::SetupFailed`].
    Setup(Box<Setup>),
    /// Starts a process; [`crate::stream::MAIN`] is the one that makes the instance. Answered by [`ToHost::Started`] or
    /// [`ToHost::NotStarted`], and later by [`ToHost::Exited`].
    Start {
        /// Its number.
        process: u32,
        /// What to start.
        command: Box<Command>,
    },
    /// Sends a signal to a process and all of its group.
    Signal {
        /// Which.
        process: u32,
        /// The signal's number.
        signal: i32,
    },
    /// The size of a process's terminal changed.
    Resize {
        /// Which.
        process: u32,
        /// The size.
        size: WindowSize,
    },
    /// Opens a TCP connection to the guest's loopback on `crate::stream::connection(connection)`. Answered by
    /// [`ToHost::Connected`] or [`ToHost::Refused`].
    Connect {
        /// Its number.
        connection: u32,
        /// The guest's port.
        port: u16,
    },
    /// Asks for [`ToHost::Health`].
    Health,
    /// Sets the guest's clock: one that was paused is behind by as long.
    Clock {
        /// The time, in nanoseconds since 1970.
        unix_ns: u64,
    },
    /// SIGTERM to everything, five seconds, SIGKILL, sync, power off.
    Shutdown,
}

/// What the guest says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToHost {
    /// The first message after the greeting: it is there, and waits for its setup.
    Hello {
        /// [`crate::VERSION`].
        version: u32,
    },
    /// File systems, network and names are as the setup said.
    Ready,
    /// They aren't; the guest powers off.
    SetupFailed {
        /// What failed, in one line.
        reason: String,
    },
    /// A process runs.
    Started {
        /// Its number.
        process: u32,
    },
    /// A process couldn't be started.
    NotStarted {
        /// Its number.
        process: u32,
        /// 127: no such program; 126: it can't be executed.
        code: i32,
        /// What is wrong, in one line.
        reason: String,
    },
    /// A process ended and all of its output is sent.
    Exited {
        /// Its number.
        process: u32,
        /// Its exit code; 128 + the signal's number if one ended it.
        code: i32,
        /// The signal that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// Whether the guest's memory ran out on it.
        #[serde(default)]
        out_of_memory: bool,
    },
    /// A connection is open.
    Connected {
        /// Its number.
        connection: u32,
    },
    /// Nobody listens there.
    Refused {
        /// Its number.
        connection: u32,
        /// Why, in one line.
        reason: String,
    },
    /// How the guest is.
    Health(Health),
    /// A line of the harness itself, for the instance's log.
    Log {
        /// The line.
        line: String,
    },
}

/// Who a guest is, and what it is made of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Setup {
    /// Given to a clone: it sends a new greeting with it before anything else. Empty at a boot, where the greeting was sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// The instance's id.
    pub hostname: String,
    /// The time, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// At least 32 bytes of randomness, base64: mixed into the guest's own before any of the user's code runs.
    pub entropy: String,
    /// The root file system.
    pub root: Root,
    /// The device of the workspace, such as `vdb`; none: `/workspace` is in memory (or mounted already).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The most that `/tmp`, `/run`, `/var` and `/dev/shm` may each hold, in MiB.
    pub scratch_mib: u64,
    /// How many processes there may be at once; none: as many as the kernel allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids_max: Option<u32>,
    /// The way out; none: only loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// Where the root file system is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Root {
    /// A block device with a read-only file system.
    Device {
        /// Such as `vda`: the serial number that the disk has, or else the kernel's name of it.
        device: String,
        /// `erofs` or `ext4`.
        file_system: String,
    },
    /// It is the root already: the backend without a VM mounted it.
    #[default]
    Here,
}

/// The guest's network: a TUN device whose packets go over [`crate::stream::NETWORK`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The guest's IPv4 address with its prefix, such as `10.0.2.15/24`.
    pub address: String,
    /// The default route.
    pub gateway: String,
    /// What `resolv.conf` says.
    pub nameserver: String,
    /// The largest packet, in bytes.
    pub mtu: u32,
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments; without a slash it is looked for in `PATH`.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Where it begins; without it `/workspace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Whether its standard input is a stream; otherwise `/dev/null`.
    #[serde(default)]
    pub stdin: bool,
    /// A terminal instead of three streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<WindowSize>,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub columns: u16,
}

/// How a guest is. Counters only ever rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// CPU time of everything but the harness, in microseconds.
    pub cpu_us: u64,
    /// Packets sent and received on the guest's network.
    pub packets: u64,
    /// Memory in use, in KiB.
    pub memory_kib: u64,
    /// Processes other than the harness.
    pub processes: u32,
}
