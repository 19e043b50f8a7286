//! What an instance is told, and what it says.

use std::time::Duration;

use super::{Boot, Waiter};

/// When an idle instance is paused and stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Idle for so long, it is paused. None: never.
    pub pause_after: Option<Duration>,
    /// Paused for so long, it is stopped. None: never.
    pub stop_after: Option<Duration>,
    /// Whether its backend can pause. Where it can't, it runs on until it is stopped.
    pub can_pause: bool,
    /// How long a request waits for it.
    pub wake_within: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            pause_after: Some(Duration::from_mins(1)),
            stop_after: Some(Duration::from_mins(20)),
            can_pause: true,
            wake_within: Duration::from_secs(30),
        }
    }
}

/// What happened to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Somebody asks for something and waits for the answer.
    Asked {
        /// Who: a number that is used once.
        waiter: Waiter,
        /// For what.
        ask: Ask,
    },
    /// Somebody who waited went away. What was set going for it goes on.
    Gone {
        /// Who.
        waiter: Waiter,
    },
    /// What was granted is over: the connection is closed, the exec has ended.
    Released(Use),
    /// Somebody follows its logs.
    FollowerAttached,
    /// Somebody doesn't any more.
    FollowerLeft,
    /// The guest was seen to be busy.
    Active,
    /// Time has passed.
    Tick,
    /// It is ready.
    Booted {
        /// By which boot.
        boot: Boot,
    },
    /// Its main process ended; the machine is still there.
    Exited {
        /// Of which boot.
        boot: Boot,
        /// With which code.
        code: i32,
    },
    /// The machine is gone, or never came to be.
    Ended {
        /// Of which boot.
        boot: Boot,
        /// Why, as far as whoever saw it knows.
        cause: Cause,
    },
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// To use it. Granted until it is released.
    Use(Use),
    /// To run.
    Start,
    /// To run on, if it is paused.
    Resume,
    /// To be paused.
    Pause,
    /// To be stopped.
    Stop,
    /// To be stopped because the daemon stops.
    StopForDaemon,
    /// To be stopped and forgotten.
    Delete,
}

/// A use that keeps it awake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A connection through the router or a port.
    Connection,
    /// A command inside.
    Exec,
}

/// Why an instance has no machine.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Cause {
    /// It was never started.
    New,
    /// Nobody used it.
    Idle,
    /// Somebody stopped it.
    Asked,
    /// The daemon stopped, or was killed.
    Daemon,
    /// Its process ended.
    Exited {
        /// With which code.
        code: i32,
        /// Whether that was before it was ready.
        early: bool,
    },
    /// It couldn't be booted.
    BootFailed {
        /// Why.
        reason: String,
    },
    /// Its machine ended on its own.
    Died {
        /// What is known.
        reason: String,
    },
}

impl Cause {
    /// Whether a request wakes what was stopped for this: nobody wanted it to stop, and it didn't end by itself.
    pub fn is_woken(&self) -> bool {
        matches!(self, Self::Idle | Self::Daemon)
    }
}

/// Where an instance stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It boots.
    Starting,
    /// It runs.
    Running,
    /// Its CPUs are stopped.
    Paused,
    /// It has no machine.
    Stopped,
}

/// Why somebody didn't get what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmet {
    /// It is stopped.
    Stopped(Cause),
    /// It was deleted.
    Removed,
    /// It took too long; it may still come to pass.
    TimedOut,
    /// A command runs in it.
    InUse,
    /// It boots.
    Starting,
    /// Its backend can't.
    CannotPause,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make a machine and start the process; say [`Input::Booted`] or [`Input::Ended`].
    Boot(Boot),
    /// Stop its CPUs.
    Pause,
    /// Let them run.
    Resume,
    /// SIGTERM, 5 s, SIGKILL, off; say [`Input::Ended`].
    ShutDown(Boot),
    /// End it at once, booted or not; say [`Input::Ended`].
    Kill(Boot),
    /// End the commands in flight: −1.
    EndExecs,
    /// Tell somebody who asked.
    Answer {
        /// Whom.
        waiter: Waiter,
        /// What.
        answer: Result<(), Unmet>,
    },
    /// Forget it, with everything that it has.
    Remove,
}
