//! The TCP of a guest's network: smoltcp takes every address for its own, and each connection is a byte stream here.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddrV4,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use ipnet::Ipv4Net;
use smoltcp::{
    iface::{Config, Interface, SocketHandle, SocketSet},
    phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken},
    socket::tcp::{RecvError, Socket, SocketBuffer, State},
    wire::{HardwareAddress, IpCidr, IpEndpoint},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::Instant,
};

/// What a connection may hold in each direction: with [`super::Limits::tcp`] that bounds the memory.
const BUFFER: usize = 64 * 1024;

/// How many packets may wait for the guest before connections wait too.
const QUEUE: usize = 128;

/// How long a connection that is over here may take to end at the guest's side.
const LINGER: Duration = Duration::from_mins(1);

/// After so long without an answer of the guest to what was sent, a connection is given up. A guest may be paused for long.
const SILENCE: Duration = Duration::from_mins(30);

/// A connection, by both of its ends: the guest's first.
pub type Key = (SocketAddrV4, SocketAddrV4);

/// Shared by the driver, which moves packets, and the connections.
#[derive(Clone)]
pub struct Stack {
    inner: Arc<Mutex<Inner>>,
    /// A connection has something to send or room to receive.
    pub changed: Arc<Notify>,
}

struct Inner {
    interface: Interface,
    sockets: SocketSet<'static>,
    wire: Wire,
    began: Instant,
    flows: HashMap<Key, Option<SocketHandle>>,
    over: Vec<(SocketHandle, Instant)>,
}

impl Stack {
    /// A network with the gateway's address.
    pub fn new(gateway: Ipv4Net, mtu: usize, seed: u64) -> Self {
        let mut wire = Wire { received: VecDeque::new(), sent: VecDeque::new(), mtu };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut wire, smoltcp::time::Instant::ZERO);
        interface.set_any_ip(true);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(gateway.addr().into(), gateway.prefix_len())).ok();
        });
        let inner = Inner {
            interface,
            sockets: SocketSet::new(Vec::new()),
            wire,
            began: Instant::now(),
            flows: HashMap::new(),
            over: Vec::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)), changed: Arc::default() }
    }

    /// Takes packets of the guest, then sends what there is to send. Answers how long to wait before the next time.
    pub fn poll(&self, packets: impl IntoIterator<Item = Vec<u8>>) -> Option<Duration> {
        let mut inner = self.lock();
        inner.wire.received.extend(packets);
        inner.poll();
        let (now, inner) = (inner.now(), &mut *inner);
        inner.interface.poll_delay(now, &inner.sockets).map(Into::into)
    }

    /// The next packet for the guest.
    pub fn next_packet(&self) -> Option<Vec<u8>> {
        self.lock().wire.sent.pop_front()
    }

    /// Whether packets wait for the guest.
    pub fn has_packets(&self) -> bool {
        !self.lock().wire.sent.is_empty()
    }

    /// Whether no connection can send until the guest takes packets.
    pub fn is_full(&self) -> bool {
        self.lock().wire.sent.len() >= QUEUE
    }

    /// How many connections there are, also those that are being made.
    pub fn count(&self) -> usize {
        self.lock().flows.len()
    }

    /// Remembers a connection that is being made. False: it is known already.
    pub fn reserve(&self, key: Key) -> bool {
        let mut inner = self.lock();
        let is_new = !inner.flows.contains_key(&key);
        if is_new {
            inner.flows.insert(key, None);
        }
        is_new
    }

    /// Whether packets of this connection wait for its making.
    pub fn is_reserved(&self, key: Key) -> bool {
        matches!(self.lock().flows.get(&key), Some(None))
    }

    /// Forgets a connection that wasn't made.
    pub fn forget(&self, key: Key) {
        self.lock().flows.remove(&key);
    }

    /// Answers the segment that opens the connection. None: the guest meant something else by it.
    pub fn accept(&self, key: Key, opening: Vec<u8>) -> Option<Flow> {
        let mut socket = Socket::new(SocketBuffer::new(vec![0; BUFFER]), SocketBuffer::new(vec![0; BUFFER]));
        socket.set_nagle_enabled(false);
        socket.set_timeout(Some(SILENCE.into()));
        socket.listen(IpEndpoint::from(key.1)).ok()?;
        let mut inner = self.lock();
        let handle = inner.sockets.add(socket);
        inner.wire.received.push_back(opening);
        inner.poll();
        let remote = inner.sockets.get::<Socket<'_>>(handle).remote_endpoint();
        if remote != Some(IpEndpoint::from(key.0)) {
            inner.sockets.remove(handle);
            inner.flows.remove(&key);
            return None;
        }
        inner.flows.insert(key, Some(handle));
        drop(inner);
        self.changed.notify_one();
        Some(Flow { stack: self.clone(), key, handle, moved: Arc::default(), is_shut: false })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn now(&self) -> smoltcp::time::Instant {
        let passed = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        smoltcp::time::Instant::from_micros(passed)
    }

    fn poll(&mut self) {
        let now = self.now();
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
        let sockets = &mut self.sockets;
        self.over.retain(|(handle, until)| {
            let socket = sockets.get::<Socket<'_>>(*handle);
            // A closed one that still has a remote end is about to send its reset.
            let is_over = match socket.state() {
                State::Closed => socket.remote_endpoint().is_none(),
                State::TimeWait | State::Listen => true,
                _ => false,
            };
            let gone = is_over || *until <= Instant::now();
            if gone {
                sockets.remove(*handle);
            }
            !gone
        });
    }
}

/// One connection of the guest, from the far end. Dropped before both sides have ended, it is reset.
pub struct Flow {
    stack: Stack,
    key: Key,
    handle: SocketHandle,
    moved: Arc<AtomicU64>,
    is_shut: bool,
}

impl Flow {
    /// Done when the guest has confirmed the connection; an error when it hasn't.
    pub async fn established(&self) -> io::Result<()> {
        std::future::poll_fn(|context| {
            let mut inner = self.stack.lock();
            let socket = inner.sockets.get_mut::<Socket<'_>>(self.handle);
            match socket.state() {
                State::SynReceived => {
                    socket.register_recv_waker(context.waker());
                    Poll::Pending
                }
                State::Listen | State::Closed => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// How many bytes went through, both ways.
    pub fn moved(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.moved)
    }
}

impl AsyncRead for Flow {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let flow = self.get_mut();
        let mut inner = flow.stack.lock();
        let socket = inner.sockets.get_mut::<Socket<'_>>(flow.handle);
        if socket.state() == State::SynReceived {
            socket.register_recv_waker(context.waker());
            return Poll::Pending;
        }
        match socket.recv_slice(buffer.initialize_unfilled()) {
            Ok(0) if buffer.remaining() > 0 => {
                socket.register_recv_waker(context.waker());
                Poll::Pending
            }
            Ok(count) => {
                drop(inner);
                buffer.advance(count);
                flow.moved.fetch_add(count as u64, Ordering::Relaxed);
                flow.stack.changed.notify_one();
                Poll::Ready(Ok(()))
            }
            Err(RecvError::Finished) => Poll::Ready(Ok(())),
            Err(RecvError::InvalidState) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl AsyncWrite for Flow {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let flow = self.get_mut();
        let mut inner = flow.stack.lock();
        let socket = inner.sockets.get_mut::<Socket<'_>>(flow.handle);
        if socket.state() == State::SynReceived {
            socket.register_send_waker(context.waker());
            return Poll::Pending;
        }
        match socket.send_slice(bytes) {
            Ok(0) if !bytes.is_empty() => {
                socket.register_send_waker(context.waker());
                Poll::Pending
            }
            Ok(count) => {
                drop(inner);
                flow.moved.fetch_add(count as u64, Ordering::Relaxed);
                flow.stack.changed.notify_one();
                Poll::Ready(Ok(count))
            }
            Err(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flow = self.get_mut();
        flow.stack.lock().sockets.get_mut::<Socket<'_>>(flow.handle).close();
        flow.is_shut = true;
        flow.stack.changed.notify_one();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let mut inner = self.stack.lock();
        let socket = inner.sockets.get_mut::<Socket<'_>>(self.handle);
        let has_ended =
            matches!(socket.state(), State::LastAck | State::Closing | State::TimeWait | State::Closed);
        if !(self.is_shut && has_ended && socket.recv_queue() == 0) {
            socket.abort();
        }
        inner.flows.remove(&self.key);
        inner.over.push((self.handle, Instant::now() + LINGER));
        drop(inner);
        self.stack.changed.notify_one();
    }
}

/// Packets on their way in and out of the stack.
pub(super) struct Wire {
    pub(super) received: VecDeque<Vec<u8>>,
    pub(super) sent: VecDeque<Vec<u8>>,
    pub(super) mtu: usize,
}

pub(super) struct Received(Vec<u8>);
pub(super) struct Sent<'a>(&'a mut VecDeque<Vec<u8>>);

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Received, Sent<'_>)> {
        // What arrives is always taken: it frees room, and there is at most one answer for each.
        self.received.pop_front().map(|packet| (Received(packet), Sent(&mut self.sent)))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Sent<'_>> {
        (self.sent.len() < QUEUE).then_some(Sent(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut packet = vec![0; length];
        let result = f(&mut packet);
        self.0.push_back(packet);
        result
    }
}
