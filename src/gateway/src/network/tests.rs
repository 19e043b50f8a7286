//! A guest made of smoltcp, with an outside made of loopback.

#![allow(clippy::unwrap_used, reason = "tests")]

mod flows;
mod messages;

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use ipnet::IpNet;
use smoltcp::{
    iface::{Config, Interface, SocketHandle, SocketSet},
    socket::tcp::{Socket, SocketBuffer},
    wire::{HardwareAddress, IpCidr},
};
use tokio::{
    net::{TcpStream, UdpSocket},
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{stack::Wire, *};

const LIMIT: Duration = Duration::from_mins(1);

/// Somebody outside: whatever port is asked for here is one of loopback.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// An address of the host.
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

#[derive(Default)]
struct Fake {
    dialled: AtomicUsize,
    resolver: Option<SocketAddr>,
    is_blind: bool,
}

impl Outside for Fake {
    fn own(&self) -> Option<Vec<IpNet>> {
        (!self.is_blind).then(|| vec![IpNet::from(IpAddr::V4(OWN))])
    }

    fn resolvers(&self) -> Vec<SocketAddr> {
        self.resolver.into_iter().collect()
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        self.dialled.fetch_add(1, Ordering::SeqCst);
        TcpStream::connect((Ipv4Addr::LOCALHOST, to.port())).boxed()
    }

    fn associate(&self, to: SocketAddr) -> io::Result<UdpSocket> {
        self.dialled.fetch_add(1, Ordering::SeqCst);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        socket.connect((Ipv4Addr::LOCALHOST, to.port()))?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    }
}

struct Guest {
    network: Network,
    outside: Arc<Fake>,
    interface: Interface,
    sockets: SocketSet<'static>,
    wire: Wire,
    began: Instant,
    to: mpsc::Sender<Vec<u8>>,
    from: mpsc::Receiver<Vec<u8>>,
    next_port: u16,
    /// Each so manyth packet is lost, in both directions.
    loss: Option<usize>,
    count: usize,
}

impl Guest {
    fn new(outside: Fake, limits: Limits) -> Self {
        let (to, from_guest) = mpsc::channel(64);
        let (to_guest, from) = mpsc::channel(64);
        let outside = Arc::new(outside);
        let network = Network::start(PLAN, limits, Arc::clone(&outside) as _, from_guest, to_guest);
        let mut wire = Wire { received: VecDeque::new(), sent: VecDeque::new(), mtu: limits.mtu };
        let mut interface =
            Interface::new(Config::new(HardwareAddress::Ip), &mut wire, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|all| all.push(IpCidr::new(PLAN.guest.addr().into(), 24)).unwrap());
        interface.routes_mut().add_default_ipv4_route(PLAN.gateway).unwrap();
        let (sockets, began) = (SocketSet::new(Vec::new()), Instant::now());
        Self {
            network,
            outside,
            interface,
            sockets,
            wire,
            began,
            to,
            from,
            next_port: 20000,
            loss: None,
            count: 0,
        }
    }

    fn connect(&mut self, to: SocketAddrV4) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; 64 * 1024]);
        let handle = self.sockets.add(Socket::new(buffer(), buffer()));
        self.next_port += 1;
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        socket.connect(self.interface.context(), to, self.next_port).unwrap();
        handle
    }

    fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    fn is_lost(&mut self) -> bool {
        self.count += 1;
        self.loss.is_some_and(|each| self.count.is_multiple_of(each))
    }

    /// Moves packets, and waits for one for a moment.
    async fn turn(&mut self) {
        let passed = i64::try_from(self.began.elapsed().as_micros()).unwrap();
        let now = smoltcp::time::Instant::from_micros(passed);
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
        let mut sent = std::mem::take(&mut self.wire.sent);
        for packet in sent.drain(..) {
            if !self.is_lost() {
                self.to.send(packet).await.unwrap();
            }
        }
        let mut next = timeout(Duration::from_millis(1), self.from.recv()).await.ok().flatten();
        while let Some(packet) = next {
            if !self.is_lost() {
                self.wire.received.push_back(packet);
            }
            next = self.from.try_recv().ok();
        }
    }

    /// Runs until a condition holds, within a bound.
    async fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !holds(self) {
            assert!(Instant::now() < end, "{what} never came; {:?}", self.network.activity());
            self.turn().await;
        }
    }

    /// Sends a packet as it is.
    async fn send(&self, packet: Vec<u8>) {
        self.to.send(packet).await.unwrap();
    }

    /// The next packet, within a bound.
    async fn next(&mut self) -> Vec<u8> {
        timeout(LIMIT, self.from.recv()).await.unwrap().unwrap()
    }
}

fn outside(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(OUTSIDE, port)
}

fn here(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(PLAN.guest.addr(), port)
}
