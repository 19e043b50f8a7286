//! The host's side of the way out: which addresses are its own, who resolves names for it, and how it dials.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::{
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout},
};

/// How long the host may take to reach somebody: shorter than a guest's own patience.
const DIAL_LIMIT: Duration = Duration::from_secs(30);

/// How long what was read of the host's configuration counts.
const FRESH: Duration = Duration::from_secs(2);

/// How guests get out. Tests have one that leads elsewhere.
pub trait Outside: Send + Sync {
    /// The host's own addresses and broadcasts; none if they can't be read, and then nobody gets out.
    fn own(&self) -> Option<Vec<IpNet>>;
    /// Who resolves names.
    fn resolvers(&self) -> Vec<SocketAddr>;
    /// A connection.
    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>>;
    /// A socket whose peer is the address.
    fn associate(&self, to: SocketAddr) -> io::Result<UdpSocket>;
}

/// The host that this runs on.
#[derive(Debug, Default)]
pub struct Host {
    own: Mutex<Option<(Instant, Vec<IpNet>)>>,
    resolvers: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
}

impl Outside for Host {
    fn own(&self) -> Option<Vec<IpNet>> {
        fresh(&self.own, || {
            let (four, six) =
                (fs::read_to_string("/proc/net/fib_trie"), fs::read_to_string("/proc/net/if_inet6"));
            // A kernel without IPv6 has no such table.
            Some([own_v4(&four.ok()?), own_v6(&six.unwrap_or_default())].concat())
        })
    }

    fn resolvers(&self) -> Vec<SocketAddr> {
        let read = || Some(nameservers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default()));
        fresh(&self.resolvers, read).unwrap_or_default()
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        async move {
            // Asks the routing table, sends nothing.
            leads_out(&std::net::UdpSocket::bind(unspecified(to))?, to)?;
            let stream = timeout(DIAL_LIMIT, TcpStream::connect(to)).await??;
            stream.set_nodelay(true)?;
            Ok(stream)
        }
        .boxed()
    }

    fn associate(&self, to: SocketAddr) -> io::Result<UdpSocket> {
        let socket = std::net::UdpSocket::bind(unspecified(to))?;
        leads_out(&socket, to)?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    }
}

/// Refuses what leads back: the kernel takes an own address as the source of what it sends to that address. It knows addresses that
/// came a moment ago.
fn leads_out(socket: &std::net::UdpSocket, to: SocketAddr) -> io::Result<()> {
    socket.connect(to)?;
    let from = socket.local_addr()?.ip();
    if from == to.ip() || from.is_loopback() {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(())
}

fn unspecified(to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

fn fresh<T: Clone>(kept: &Mutex<Option<(Instant, T)>>, read: impl FnOnce() -> Option<T>) -> Option<T> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, value)) = kept.as_ref()
        && at.elapsed() < FRESH
    {
        return Some(value.clone());
    }
    let value = read()?;
    *kept = Some((Instant::now(), value.clone()));
    Some(value)
}

/// Local and broadcast routes of `/proc/net/fib_trie`: a line with the address, below it lines with prefix, scope and type.
fn own_v4(trie: &str) -> Vec<IpNet> {
    let mut address = None;
    let mut found = Vec::new();
    for line in trie.lines() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("|-- ") {
            address = text.parse::<Ipv4Addr>().ok();
        } else if let (Some(address), Some(route)) = (address, line.strip_prefix('/')) {
            let mut words = route.split_whitespace();
            let prefix = words.next().and_then(|prefix| prefix.parse().ok());
            let is_own = matches!(words.last(), Some("LOCAL" | "BROADCAST"));
            let net = prefix.and_then(|prefix| Ipv4Net::new(address, prefix).ok());
            found.extend(net.filter(|_| is_own).map(IpNet::V4));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Addresses of `/proc/net/if_inet6`: 32 hexadecimal digits at the beginning of each line.
fn own_v6(table: &str) -> Vec<IpNet> {
    let digits = table.lines().filter_map(|line| line.split_whitespace().next());
    let addresses = digits.filter_map(|digits| u128::from_str_radix(digits, 16).ok());
    addresses.map(|address| IpNet::V6(Ipv6Net::from(Ipv6Addr::from(address)))).collect()
}

/// The nameservers of `resolv.conf`, three at most; without any the one of this host, as resolv.conf(5) says.
fn nameservers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let found: Vec<SocketAddr> = lines
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok())
        .map(|address| (address, 53).into())
        .take(3)
        .collect();
    if found.is_empty() { vec![(Ipv4Addr::LOCALHOST, 53).into()] } else { found }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn own_addresses_are_read_from_the_kernels_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n           |-- 192.0.2.0\n              /24 link UNICAST\n           |-- 192.0.2.2\n              /32 host LOCAL\n        |-- 192.0.2.255\n           /32 link BROADCAST\n  |-- 10.9.0.0\n     /16 host LOCAL\n     /24 link UNICAST\n";
        let found: Vec<String> = own_v4(trie).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.9.0.0/16", "192.0.2.2/32", "192.0.2.255/32"]);
        let six = "00000000000000000000000000000001 01 80 10 80       lo\nfe80000000000000a8aa00fffe000001 02 40 20 80     eth0\n";
        let found: Vec<String> = own_v6(six).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["::1/128", "fe80::a8aa:ff:fe00:1/128"]);
    }

    #[test]
    fn this_host_knows_its_own_addresses() {
        let own = Host::default().own().unwrap();
        assert!(own.iter().any(|net| net.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST))), "{own:?}");
    }

    #[tokio::test]
    async fn what_leads_back_is_refused_though_the_table_did_not_know() {
        let host = Host::default();
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = host.own().unwrap();
        for net in own.iter().filter(|net| net.addr().is_ipv4() && net.prefix_len() == 32) {
            let to = (net.addr(), port).into();
            assert!(host.connect(to).await.is_err(), "{to} was reached");
            assert!(host.associate(to).is_err(), "{to} was reached");
        }
    }

    #[test]
    fn nameservers_are_those_of_the_file() {
        let text = "# nameserver 9.9.9.9\nsearch x\nnameserver 127.0.0.53\n nameserver\t::1 \nnameserver fe80::1%eth0\nnameservers 1.1.1.1\n";
        let found: Vec<String> = nameservers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["127.0.0.53:53", "[::1]:53"]);
        assert_eq!(nameservers("options x"), ["127.0.0.1:53".parse().unwrap()]);
    }
}
