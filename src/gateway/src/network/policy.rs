//! Where a guest may go: outward, never to the host itself. Pure, so that a table can test it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

/// The port of the nameserver.
const DNS: u16 = 53;

/// What the guest's network looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The guest's address with its prefix.
    pub guest: Ipv4Net,
    /// Its default route. Nothing listens there; it answers pings.
    pub gateway: Ipv4Addr,
    /// Its nameserver: what is asked there goes to the host's resolvers.
    pub nameserver: Ipv4Addr,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out.
    Out,
    /// It is a question for the host's resolvers.
    Dns,
    /// It goes nowhere.
    Refused(Rule),
}

/// Why a guest may not go somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// `0.0.0.0/8` and `::` are this host to Linux.
    Unspecified,
    /// The host's own services, aegisd's among them.
    Loopback,
    /// Metadata services of clouds, and what has no router.
    LinkLocal,
    /// Many hosts at once.
    Multicast,
    /// All hosts at once.
    Broadcast,
    /// The host, by one of its other addresses, or by a broadcast of its networks.
    Host,
    /// Nobody is there but gateway and nameserver.
    GuestNetwork,
}

/// What becomes of a packet to this address. `host` has the host's own addresses and broadcasts.
pub fn verdict(plan: &Plan, host: &[IpNet], to: SocketAddr) -> Verdict {
    let address = to.ip().to_canonical();
    if address == IpAddr::V4(plan.nameserver) && to.port() == DNS {
        return Verdict::Dns;
    }
    refusal(plan, host, address).map_or(Verdict::Out, Verdict::Refused)
}

fn refusal(plan: &Plan, host: &[IpNet], address: IpAddr) -> Option<Rule> {
    if host.iter().any(|own| own.contains(&address)) {
        return Some(Rule::Host);
    }
    match address {
        IpAddr::V4(address) => refusal_v4(plan, address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => refusal(plan, host, IpAddr::V4(inner)),
            None => refusal_v6(address),
        },
    }
}

fn refusal_v4(plan: &Plan, address: Ipv4Addr) -> Option<Rule> {
    if address.octets()[0] == 0 {
        Some(Rule::Unspecified)
    } else if address.is_loopback() {
        Some(Rule::Loopback)
    } else if address.is_link_local() {
        Some(Rule::LinkLocal)
    } else if address.is_multicast() {
        Some(Rule::Multicast)
    } else if address.is_broadcast() {
        Some(Rule::Broadcast)
    } else if plan.guest.contains(&address) {
        Some(Rule::GuestNetwork)
    } else {
        None
    }
}

const fn refusal_v6(address: Ipv6Addr) -> Option<Rule> {
    if address.is_unspecified() {
        Some(Rule::Unspecified)
    } else if address.is_loopback() {
        Some(Rule::Loopback)
    } else if address.is_unicast_link_local() {
        Some(Rule::LinkLocal)
    } else if address.is_multicast() {
        Some(Rule::Multicast)
    } else {
        None
    }
}

/// The address that a translator would go to: NAT64 (RFC 6052), 6to4 (RFC 3056) and the old IPv4-compatible form.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let four = |a: u16, b: u16| Some(Ipv4Addr::from(u32::from(a) << 16 | u32::from(b)));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => four(a, b),
        // Below 2^16 are `::` and `::1`.
        [0, 0, 0, 0, 0, 0, a, b] if a != 0 => four(a, b),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const OUT: Verdict = Verdict::Out;

    /// Each rule has a line that only that rule refuses.
    #[test]
    fn the_way_out_leads_past_the_host() {
        let plan = Plan {
            guest: "10.0.2.15/24".parse().unwrap(),
            gateway: Ipv4Addr::new(10, 0, 2, 2),
            nameserver: Ipv4Addr::new(10, 0, 2, 3),
        };
        let host: Vec<IpNet> = ["192.0.2.2/32", "192.0.2.255/32", "10.77.0.0/16", "2001:db8::5/128"]
            .map(|net| net.parse().unwrap())
            .into();
        let no = Verdict::Refused;
        let cases = [
            ("1.1.1.1:443", OUT),
            ("10.1.2.3:80", OUT),
            ("192.168.1.1:80", OUT),
            ("192.0.2.3:80", OUT),
            ("[2001:db8::6]:80", OUT),
            ("10.0.2.3:53", Verdict::Dns),
            ("[::ffff:10.0.2.3]:53", Verdict::Dns),
            ("10.0.2.3:54", no(Rule::GuestNetwork)),
            ("10.0.2.2:53", no(Rule::GuestNetwork)),
            ("10.0.2.255:80", no(Rule::GuestNetwork)),
            ("0.0.0.0:80", no(Rule::Unspecified)),
            ("0.1.2.3:80", no(Rule::Unspecified)),
            ("[::]:80", no(Rule::Unspecified)),
            ("127.0.0.1:8099", no(Rule::Loopback)),
            ("127.255.0.9:80", no(Rule::Loopback)),
            ("[::1]:80", no(Rule::Loopback)),
            ("[::ffff:127.0.0.1]:80", no(Rule::Loopback)),
            ("[::7f00:1]:80", no(Rule::Loopback)),
            ("[64:ff9b::127.0.0.1]:80", no(Rule::Loopback)),
            ("[2002:7f00:1::9]:80", no(Rule::Loopback)),
            ("[64:ff9b::1.1.1.1]:80", OUT),
            ("169.254.169.254:80", no(Rule::LinkLocal)),
            ("[fe80::1]:80", no(Rule::LinkLocal)),
            ("224.0.0.251:5353", no(Rule::Multicast)),
            ("[ff02::fb]:5353", no(Rule::Multicast)),
            ("255.255.255.255:67", no(Rule::Broadcast)),
            ("192.0.2.2:22", no(Rule::Host)),
            ("192.0.2.255:22", no(Rule::Host)),
            ("10.77.3.4:22", no(Rule::Host)),
            ("[2001:db8::5]:22", no(Rule::Host)),
            ("[64:ff9b::192.0.2.2]:22", no(Rule::Host)),
        ];
        for (to, expected) in cases {
            assert_eq!(verdict(&plan, &host, to.parse().unwrap()), expected, "{to}");
        }
    }
}
