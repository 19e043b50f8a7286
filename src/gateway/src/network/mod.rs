//! The way out of a guest: its IP packets end here, in user space, and what they ask for is dialled by the host. The guest has no
//! other way, so what is refused here can't be reached.

mod counters;
mod dns;
mod host;
mod packet;
mod policy;
mod stack;
mod tcp;
mod udp;

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use ipnet::Ipv4Net;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

pub use counters::Activity;
use counters::Counters;
pub use host::{Host, Outside};
use packet::Packet;
pub use policy::{Plan, Rule, Verdict, verdict};
use stack::Stack;
use udp::Datagrams;

/// The addresses of every guest: each has a network of its own, so that they can be the same.
pub const PLAN: Plan = Plan {
    guest: Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 2, 15), 24),
    gateway: Ipv4Addr::new(10, 0, 2, 2),
    nameserver: Ipv4Addr::new(10, 0, 2, 3),
};

/// The largest packet: connections end here, so it needn't fit the host's network, and fewer packets cost less.
pub const MTU: u32 = 9000;

/// How many packets are taken in one go.
const BURST: usize = 64;

/// What bounds a guest.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest packet, in bytes.
    pub mtu: usize,
    /// Connections at once. Each takes at most 128 KiB.
    pub tcp: usize,
    /// Pairs of addresses that exchange datagrams at once. Each takes at most 64 KiB and a socket.
    pub udp: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { mtu: MTU as usize, tcp: 512, udp: 256 }
    }
}

/// What all parts of a guest's network share.
struct Shared {
    plan: Plan,
    limits: Limits,
    outside: Arc<dyn Outside>,
    to_guest: mpsc::Sender<Vec<u8>>,
    counters: Arc<Counters>,
}

impl Shared {
    fn verdict(&self, to: SocketAddr) -> Verdict {
        // Who doesn't know what is the host's own can't tell what isn't.
        let Some(own) = self.outside.own() else { return Verdict::Refused(Rule::Host) };
        verdict(&self.plan, &own, to)
    }

    /// Sends a packet that may be lost.
    fn send(&self, packet: Vec<u8>) {
        let bytes = packet.len();
        match self.to_guest.try_send(packet) {
            Ok(()) => self.counters.went(bytes),
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => self.counters.dropped(),
        }
    }
}

/// A guest's network that works. Dropping it ends all that goes through it.
#[derive(Debug)]
pub struct Network {
    task: JoinHandle<()>,
    counters: Arc<Counters>,
}

impl Network {
    /// Begins to move packets: those of the guest until that channel closes, and those for it.
    pub fn start(
        plan: Plan,
        limits: Limits,
        outside: Arc<dyn Outside>,
        from_guest: mpsc::Receiver<Vec<u8>>,
        to_guest: mpsc::Sender<Vec<u8>>,
    ) -> Self {
        let counters = Arc::<Counters>::default();
        let shared = Arc::new(Shared { plan, limits, outside, to_guest, counters: Arc::clone(&counters) });
        Self { task: tokio::spawn(drive(shared, from_guest)), counters }
    }

    /// What went through so far.
    pub fn activity(&self) -> Activity {
        self.counters.read()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn drive(shared: Arc<Shared>, mut from_guest: mpsc::Receiver<Vec<u8>>) {
    let gateway =
        Ipv4Net::new(shared.plan.gateway, shared.plan.guest.prefix_len()).unwrap_or(shared.plan.guest);
    let stack = Stack::new(gateway, shared.limits.mtu, RandomState::new().build_hasher().finish());
    let datagrams = Datagrams::new(Arc::clone(&shared));
    let mut tasks = JoinSet::new();
    let mut received = Vec::with_capacity(BURST);
    let mut segments = Vec::new();
    loop {
        let wait = stack.poll(segments.drain(..));
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            count = from_guest.recv_many(&mut received, BURST) => {
                if count == 0 {
                    return;
                }
                for packet in received.drain(..) {
                    segments.extend(sort(&shared, &stack, &datagrams, packet, &mut tasks));
                }
            }
            () = stack.changed.notified() => {}
            // A guest that takes nothing, as a paused one, would make this a busy loop.
            () = sleep(wait.unwrap_or_default()), if wait.is_some() && !stack.is_full() => {}
            room = shared.to_guest.reserve(), if stack.has_packets() => {
                let Ok(mut room) = room else { return };
                while let Some(packet) = stack.next_packet() {
                    shared.counters.went(packet.len());
                    room.send(packet);
                    match shared.to_guest.try_reserve() {
                        Ok(more) => room = more,
                        Err(_) => break,
                    }
                }
            }
        }
    }
}

/// Does what a packet asks for. What comes back is for the stack.
fn sort(
    shared: &Arc<Shared>,
    stack: &Stack,
    datagrams: &Datagrams,
    packet: Vec<u8>,
    tasks: &mut JoinSet<()>,
) -> Option<Vec<u8>> {
    let Some(read) = packet::read(&packet) else {
        shared.counters.dropped();
        return None;
    };
    // What a kernel says by itself, such as that it looks for a router of IPv6, isn't use of the network.
    shared.counters.came(packet.len());
    match read {
        Packet::Tcp { from, to, opens } if *from.ip() == shared.plan.guest.addr() => {
            let key = (from, to);
            if stack.is_reserved(key) {
                // Said again while it is being dialled.
                return None;
            }
            if !opens {
                return Some(packet);
            }
            if stack.count() >= shared.limits.tcp {
                shared.counters.dropped();
            } else if stack.reserve(key) {
                tasks.spawn(tcp::connect(Arc::clone(shared), stack.clone(), key, packet));
            } else {
                return Some(packet);
            }
        }
        Packet::Udp { from, to, payload } if *from.ip() == shared.plan.guest.addr() => {
            datagrams.take(from, to, payload, &packet, tasks);
        }
        Packet::Echo { from, to, rest }
            if from == shared.plan.guest.addr()
                && [shared.plan.gateway, shared.plan.nameserver].contains(&to) =>
        {
            shared.send(packet::echo(to, from, rest));
        }
        // Pings of others would need a privilege, and an answer without one would be a lie. A sender that isn't the guest is none.
        _ => shared.counters.dropped(),
    }
    None
}

#[cfg(test)]
mod tests;
