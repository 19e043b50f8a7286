//! The daemon's side of the stream: dial, live, drain, stop.

use std::time::Duration;

use super::{DIAL_WITHIN, HEARTBEAT_EVERY};
use crate::{backoff::Backoff, exit::ExitCode};

/// What happened to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Time has passed; also the first input, which starts it.
    Tick,
    /// The dial succeeded: the stream is open and the server verified.
    Connected,
    /// The dial failed, for a reason that may pass.
    DialFailed,
    /// The stream broke or was closed, for a reason that may pass.
    StreamEnded,
    /// This host has another key or token: what was opened with the old one is to be replaced at once. No failure.
    Redial,
    /// The server won't have this node again.
    Refused(Refused),
    /// An order came that asks for work.
    Work,
    /// A piece of work has ended, in whatever way.
    WorkEnded,
    /// The server turns draining on or off.
    Drain(bool),
    /// The server or the host wants the daemon to end. Said twice, it doesn't wait for running work.
    Shutdown,
}

/// Why trying again would be pointless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The node was revoked.
    #[error("this node was revoked; run 'aegis edge enroll' with a new token")]
    Revoked,
    /// Key or token aren't accepted, and renewing didn't help.
    #[error(
        "the controller doesn't accept this node's key or token; run 'aegis edge enroll' with a new token"
    )]
    Unauthorized,
}

/// Why the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was told to, and running work has ended.
    Shutdown,
    /// It isn't wanted.
    Refused(Refused),
}

impl Exit {
    /// The code with which the process ends.
    pub const fn code(self) -> ExitCode {
        match self {
            Self::Shutdown => ExitCode::Success,
            Self::Refused(_) => ExitCode::Unauthorized,
        }
    }
}

/// What to do now, in the given order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Begin to connect. There is never more than one attempt, and none while a stream is open.
    Dial,
    /// Give up the attempt or the stream. No input about it may follow.
    Hangup,
    /// Send Hello, the stream's first event.
    SendHello,
    /// Send a heartbeat.
    SendHeartbeat,
    /// Begin the work that was asked for, and report [`Input::WorkEnded`] when it has ended.
    StartWork,
    /// Refuse the work that was asked for, as `draining`.
    RefuseWork,
    /// Come back with [`Input::Tick`] after this time, or with another input before.
    Wait(Duration),
    /// End the process.
    Exit(Exit),
}

/// Where the daemon is, as `edge status` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DaemonState {
    /// No stream; the next attempt comes.
    Disconnected,
    /// An attempt is under way.
    Dialing,
    /// A stream is open.
    Live,
    /// A stream is open, and new work is refused.
    Draining,
    /// Told to end; running work is waited for.
    Stopping,
    /// Ended.
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Down { retry_at: Duration },
    Dialing { since: Duration },
    Up { since: Duration, next_heartbeat: Duration },
}

/// The daemon's side of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    link: Link,
    backoff: Backoff,
    /// Pieces of work under way. They outlive the stream on which they were asked for.
    running: usize,
    /// Stays over a reconnect; the server says after each Hello whether it still holds.
    draining: bool,
    stopping: bool,
    stopped: bool,
}

impl Daemon {
    /// A daemon that dials at its first tick, which is due at `now`.
    pub fn new(now: Duration) -> Self {
        Self {
            link: Link::Down { retry_at: now },
            backoff: Backoff::default(),
            running: 0,
            draining: false,
            stopping: false,
            stopped: false,
        }
    }

    /// Where it is.
    pub fn state(&self) -> DaemonState {
        match self.link {
            _ if self.stopped => DaemonState::Stopped,
            _ if self.stopping => DaemonState::Stopping,
            Link::Down { .. } => DaemonState::Disconnected,
            Link::Dialing { .. } => DaemonState::Dialing,
            Link::Up { .. } if self.draining => DaemonState::Draining,
            Link::Up { .. } => DaemonState::Live,
        }
    }

    /// Takes in what happened at `now` and says what to do. `random` is any number, evenly distributed; it spreads
    /// the reconnects of a fleet.
    pub fn on(&mut self, input: Input, now: Duration, random: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.stopped {
            return actions;
        }
        match (input, self.link) {
            (Input::Refused(refused), _) => return self.exit(Exit::Refused(refused), actions),
            (Input::Shutdown, _) if self.stopping => return self.exit(Exit::Shutdown, actions),
            (Input::Shutdown, link) => {
                self.stopping = true;
                if matches!(link, Link::Dialing { .. }) {
                    actions.push(Action::Hangup);
                    self.link = Link::Down { retry_at: now };
                }
            }
            (Input::Drain(on), _) => self.draining = on,
            (Input::WorkEnded, _) => self.running = self.running.saturating_sub(1),
            (Input::Work, Link::Up { .. }) if !self.draining && !self.stopping => {
                self.running += 1;
                actions.push(Action::StartWork);
            }
            (Input::Work, _) => actions.push(Action::RefuseWork),
            (Input::Connected, Link::Dialing { .. }) => {
                self.link = Link::Up { since: now, next_heartbeat: now.saturating_add(HEARTBEAT_EVERY) };
                actions.push(Action::SendHello);
            }
            (Input::StreamEnded, Link::Up { since, .. }) => {
                self.backoff.on_connected_for(now.saturating_sub(since));
                self.go_down(now, random);
            }
            (Input::DialFailed, Link::Dialing { .. }) => self.go_down(now, random),
            (Input::Redial, Link::Up { since, .. }) => {
                self.backoff.on_connected_for(now.saturating_sub(since));
                actions.push(Action::Hangup);
                self.link = Link::Down { retry_at: now };
            }
            (Input::Redial, Link::Down { .. }) => self.link = Link::Down { retry_at: now },
            // An attempt that was given up reports in after all, or something is said twice.
            (Input::Connected, Link::Down { .. }) => actions.push(Action::Hangup),
            // An attempt needs no other one: Hello says who this host is by then.
            (Input::Connected | Input::StreamEnded | Input::DialFailed | Input::Redial | Input::Tick, _) => {}
        }
        if self.stopping && self.running == 0 {
            return self.exit(Exit::Shutdown, actions);
        }
        self.pass_time(now, random, &mut actions);
        actions
    }

    /// Does what is due at `now`, whatever the input was, and says when the next is.
    fn pass_time(&mut self, now: Duration, random: u64, actions: &mut Vec<Action>) {
        match &mut self.link {
            Link::Up { next_heartbeat, .. } if now >= *next_heartbeat => {
                *next_heartbeat = now.saturating_add(HEARTBEAT_EVERY);
                actions.push(Action::SendHeartbeat);
            }
            Link::Dialing { since } if now >= since.saturating_add(DIAL_WITHIN) => {
                actions.push(Action::Hangup);
                self.go_down(now, random);
            }
            Link::Down { retry_at } if now >= *retry_at && !self.stopping => {
                self.link = Link::Dialing { since: now };
                actions.push(Action::Dial);
            }
            _ => {}
        }
        let due = match self.link {
            Link::Up { next_heartbeat, .. } => next_heartbeat,
            Link::Dialing { since } => since.saturating_add(DIAL_WITHIN),
            // Only the end of running work can change anything now.
            Link::Down { .. } if self.stopping => return,
            Link::Down { retry_at } => retry_at,
        };
        actions.push(Action::Wait(due.saturating_sub(now)));
    }

    fn go_down(&mut self, now: Duration, random: u64) {
        self.link = Link::Down { retry_at: now.saturating_add(self.backoff.next(random)) };
    }

    fn exit(&mut self, exit: Exit, mut actions: Vec<Action>) -> Vec<Action> {
        self.stopped = true;
        actions.push(Action::Exit(exit));
        actions
    }
}
