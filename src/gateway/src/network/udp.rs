//! Datagrams of a guest. Who it speaks with has a socket on the host, as long as they speak.

use std::{
    collections::HashMap,
    net::{SocketAddr, SocketAddrV4},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::sleep,
};

use super::{Shared, dns, packet, policy::Verdict};

/// How long a pair that is silent keeps its socket (RFC 4787: not less than 2 min).
const IDLE: Duration = Duration::from_mins(2);

/// How many questions of a guest may be open at once.
const QUESTIONS: usize = 64;

/// How many datagrams of a pair may wait for the host.
const WAITING: usize = 32;

/// By the guest's address and the other; each takes datagrams for the other.
type Flows = HashMap<(SocketAddrV4, SocketAddrV4), mpsc::Sender<Vec<u8>>>;

/// The sockets of a guest's datagrams.
pub struct Datagrams {
    shared: Arc<Shared>,
    flows: Arc<Mutex<Flows>>,
    questions: Arc<Semaphore>,
}

impl Datagrams {
    /// None yet.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, flows: Arc::default(), questions: Arc::new(Semaphore::new(QUESTIONS)) }
    }

    /// Sends one on. What there is no room for is dropped, as on any network.
    pub fn take(
        &self,
        from: SocketAddrV4,
        to: SocketAddrV4,
        payload: &[u8],
        whole: &[u8],
        tasks: &mut JoinSet<()>,
    ) {
        let shared = Arc::clone(&self.shared);
        match shared.verdict(SocketAddr::V4(to)) {
            Verdict::Refused(rule) => {
                shared.counters.refused(SocketAddr::V4(to), rule);
                shared.send(packet::prohibited(shared.plan.gateway, *from.ip(), whole));
            }
            Verdict::Dns => {
                let Ok(place) = Arc::clone(&self.questions).try_acquire_owned() else { return };
                let question = payload.to_vec();
                tasks.spawn(async move {
                    if let Some(answer) = dns::answer(&shared, &question).await {
                        shared.send_datagram(to, from, &answer);
                    }
                    drop(place);
                });
            }
            Verdict::Out => {
                if let Some(flow) = self.flow(from, to, tasks)
                    && flow.try_send(payload.to_vec()).is_err()
                {
                    shared.counters.dropped();
                }
            }
        }
    }

    fn flow(
        &self,
        from: SocketAddrV4,
        to: SocketAddrV4,
        tasks: &mut JoinSet<()>,
    ) -> Option<mpsc::Sender<Vec<u8>>> {
        let mut flows = lock(&self.flows);
        if let Some(flow) = flows.get(&(from, to)) {
            return Some(flow.clone());
        }
        if flows.len() >= self.shared.limits.udp {
            self.shared.counters.dropped();
            return None;
        }
        let socket = self.shared.outside.associate(SocketAddr::V4(to)).ok()?;
        let (sender, said) = mpsc::channel(WAITING);
        flows.insert((from, to), sender.clone());
        let (shared, all) = (Arc::clone(&self.shared), Arc::clone(&self.flows));
        tasks.spawn(async move {
            speak(&shared, &socket, said, from, to).await;
            lock(&all).remove(&(from, to));
        });
        Some(sender)
    }
}

/// Carries datagrams of two addresses until they are silent, or the host says that nobody is there.
async fn speak(
    shared: &Shared,
    socket: &UdpSocket,
    mut said: mpsc::Receiver<Vec<u8>>,
    from: SocketAddrV4,
    to: SocketAddrV4,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        tokio::select! {
            payload = said.recv() => match payload {
                Some(payload) if socket.send(&payload).await.is_ok() => {}
                _ => return,
            },
            heard = socket.recv(&mut buffer) => match heard {
                Ok(length) => shared.send_datagram(to, from, &buffer[..length]),
                Err(_) => return,
            },
            () = sleep(IDLE) => return,
        }
    }
}

impl Shared {
    /// Sends a datagram to the guest, in as many packets as it takes.
    fn send_datagram(&self, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) {
        static ID: AtomicU16 = AtomicU16::new(1);
        let id = ID.fetch_add(1, Ordering::Relaxed);
        for packet in packet::datagram(from, to, payload, self.limits.mtu, id) {
            self.send(packet);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
