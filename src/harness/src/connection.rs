//! TCP connections from the host to the guest's own ports.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use aegis_harness::{frame::Kind, message::ToHost, stream};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, sockopt},
};

use crate::{
    channel::Channel,
    input::{Input, Sink},
    output::{Output, Source},
};

/// A full queue of a listener makes a connection wait; not longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection.
pub struct Connection {
    number: u32,
    port: u16,
    phase: Phase,
}

enum Phase {
    /// It isn't known yet whether somebody listens; addresses that are left to try.
    Opening { socket: OwnedFd, left: Vec<IpAddr>, until: Instant },
    /// It is open.
    Open { output: Output, input: Input },
    /// It is over.
    Closed,
}

impl Connection {
    /// Tries loopback, then the guest's own address: servers listen on any of them.
    pub fn open(number: u32, port: u16, own: Option<IpAddr>, channel: &mut Channel) -> Self {
        let mut left: Vec<IpAddr> = own.into_iter().collect();
        left.push(Ipv6Addr::LOCALHOST.into());
        left.push(Ipv4Addr::LOCALHOST.into());
        let mut connection = Self { number, port, phase: Phase::Closed };
        connection.try_next(left, Errno::CONNREFUSED, channel);
        connection
    }

    fn try_next(&mut self, mut left: Vec<IpAddr>, mut last: Errno, channel: &mut Channel) {
        while let Some(address) = left.pop() {
            match begin(SocketAddr::new(address, self.port)) {
                Ok((socket, true)) => return self.opened(socket, channel),
                Ok((socket, false)) => {
                    self.phase = Phase::Opening { socket, left, until: Instant::now() + PATIENCE };
                    return;
                }
                // What an address of a family that this guest doesn't have says is no news.
                Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL | Errno::NETUNREACH) => {}
                Err(error) => last = error,
            }
        }
        let reason = match last {
            Errno::CONNREFUSED => format!("nothing listens on port {}", self.port),
            error => format!("port {}: {error}", self.port),
        };
        channel.say(&ToHost::Refused { connection: self.number, reason });
        self.phase = Phase::Closed;
    }

    fn opened(&mut self, socket: OwnedFd, channel: &mut Channel) {
        // Each side of a proxy that waits for more to send would add its wait.
        let _ = sockopt::set_tcp_nodelay(&socket, true);
        let number = stream::connection(self.number);
        match socket.try_clone() {
            Ok(writer) => {
                channel.say(&ToHost::Connected { connection: self.number });
                let output = Output::new(socket, number);
                self.phase = Phase::Open { output, input: Input::new(writer, Sink::Socket, number) };
            }
            Err(error) => {
                channel.say(&ToHost::Refused { connection: self.number, reason: error.to_string() });
                self.phase = Phase::Closed;
            }
        }
    }

    /// Whether nothing more is to come or to go.
    pub fn is_closed(&self) -> bool {
        match &self.phase {
            Phase::Opening { .. } => false,
            Phase::Open { output, input } => output.has_ended() && input.has_ended(),
            Phase::Closed => true,
        }
    }

    /// The socket that is being opened.
    pub fn opening(&self) -> Option<&OwnedFd> {
        if let Phase::Opening { socket, .. } = &self.phase { Some(socket) } else { None }
    }

    /// When it is given up.
    pub fn deadline(&self) -> Option<Instant> {
        if let Phase::Opening { until, .. } = &self.phase { Some(*until) } else { None }
    }

    /// What to poll for input.
    pub fn readable(&self, channel: &Channel) -> Option<&OwnedFd> {
        match &self.phase {
            Phase::Open { output, .. } if !output.has_ended() && output.is_wanted(channel) => {
                Some(output.fd())
            }
            _ => None,
        }
    }

    /// What to poll for room.
    pub fn writable(&self) -> Option<&OwnedFd> {
        if let Phase::Open { input, .. } = &self.phase { input.wanted() } else { None }
    }

    /// Looks whether it was opened.
    pub fn check(&mut self, channel: &mut Channel) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Opening { socket, left, .. } => match sockopt::socket_error(&socket) {
                Ok(Ok(())) => self.opened(socket, channel),
                Ok(Err(error)) | Err(error) => self.try_next(left, error, channel),
            },
            other => self.phase = other,
        }
    }

    /// Gives it up when nobody answered in time.
    pub fn expire(&mut self, now: Instant, channel: &mut Channel) {
        if self.deadline().is_some_and(|until| until <= now)
            && let Phase::Opening { left, .. } = std::mem::replace(&mut self.phase, Phase::Closed)
        {
            self.try_next(left, Errno::TIMEDOUT, channel);
        }
    }

    /// Reads from the guest's program.
    pub fn read(&mut self, channel: &mut Channel, buffer: &mut [u8]) {
        if let Phase::Open { output, .. } = &mut self.phase
            && output.pump(channel, buffer) == Source::Failed
        {
            self.phase = Phase::Closed;
        }
    }

    /// Writes to the guest's program.
    pub fn write(&mut self, channel: &mut Channel) {
        if let Phase::Open { input, .. } = &mut self.phase {
            input.pump(channel);
            self.after_input();
        }
    }

    /// Takes a frame of its stream from the host.
    pub fn take(&mut self, kind: Kind, body: &[u8], channel: &mut Channel) {
        let Phase::Open { output, input } = &mut self.phase else {
            if kind == Kind::Reset {
                self.phase = Phase::Closed;
            }
            return;
        };
        match kind {
            Kind::Data => input.push(body, channel),
            Kind::End => input.end(channel),
            Kind::Credit => output.grant(credit(body)),
            Kind::Reset => self.phase = Phase::Closed,
            Kind::Control => {}
        }
        self.after_input();
    }

    /// A stream that was reset is over in both directions.
    fn after_input(&mut self) {
        if let Phase::Open { input, .. } = &self.phase
            && input.was_reset()
        {
            self.phase = Phase::Closed;
        }
    }
}

/// The number in a credit frame; a malformed one grants nothing.
pub fn credit(body: &[u8]) -> u32 {
    body.try_into().map_or(0, u32::from_le_bytes)
}

fn begin(address: SocketAddr) -> Result<(OwnedFd, bool), Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok((socket, true)),
        Err(Errno::INPROGRESS) => Ok((socket, false)),
        Err(error) => Err(error),
    }
}
