//! IPv4 packets by hand: what isn't TCP, and the refusals. TCP proper is smoltcp's (`stack.rs`).

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::wire::{Icmpv4Message, Icmpv4Packet, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket};

/// The length of a header without options.
const IP: usize = 20;
const UDP: usize = 8;
const TCP: u8 = 20;

/// What a guest sent, as far as it is of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A segment of TCP.
    Tcp {
        /// From where.
        from: SocketAddrV4,
        /// To where.
        to: SocketAddrV4,
        /// Whether it opens a connection.
        opens: bool,
    },
    /// A datagram.
    Udp {
        /// From where.
        from: SocketAddrV4,
        /// To where.
        to: SocketAddrV4,
        /// What it says.
        payload: &'a [u8],
    },
    /// A ping.
    Echo {
        /// From whom.
        from: Ipv4Addr,
        /// Of whom.
        to: Ipv4Addr,
        /// What comes after type, code and checksum, and is said back.
        rest: &'a [u8],
    },
}

/// Reads a packet. None: it is damaged, a fragment, of IPv6, or of another protocol.
pub fn read(bytes: &[u8]) -> Option<Packet<'_>> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    let header = usize::from(packet.header_len());
    if packet.version() != 4 || header < IP || !packet.verify_checksum() {
        return None;
    }
    if packet.more_frags() || packet.frag_offset() != 0 {
        return None;
    }
    let (source, target) = (packet.src_addr(), packet.dst_addr());
    let (source_any, target_any) = (source.into(), target.into());
    let payload = bytes.get(header..usize::from(packet.total_len()))?;
    match packet.next_header() {
        IpProtocol::Tcp => {
            let segment = TcpPacket::new_checked(payload).ok()?;
            Some(Packet::Tcp {
                from: SocketAddrV4::new(source, segment.src_port()),
                to: SocketAddrV4::new(target, segment.dst_port()),
                opens: segment.syn() && !segment.ack() && !segment.rst() && !segment.fin(),
            })
        }
        IpProtocol::Udp => {
            let datagram = UdpPacket::new_checked(payload).ok()?;
            if datagram.dst_port() == 0 || !datagram.verify_checksum(&source_any, &target_any) {
                return None;
            }
            let payload = payload.get(UDP..usize::from(datagram.len()))?;
            Some(Packet::Udp {
                from: SocketAddrV4::new(source, datagram.src_port()),
                to: SocketAddrV4::new(target, datagram.dst_port()),
                payload,
            })
        }
        IpProtocol::Icmp => {
            let message = Icmpv4Packet::new_checked(payload).ok()?;
            let is_ping = message.msg_type() == Icmpv4Message::EchoRequest && message.verify_checksum();
            is_ping.then_some(Packet::Echo { from: source, to: target, rest: payload.get(4..)? })
        }
        _ => None,
    }
}

/// A datagram as packets: more than one when it is larger than the guest's largest packet.
pub fn datagram(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8], mtu: usize, id: u16) -> Vec<Vec<u8>> {
    let Ok(length) = u16::try_from(UDP + payload.len()) else { return Vec::new() };
    let mut body = Vec::with_capacity(usize::from(length));
    body.extend_from_slice(&from.port().to_be_bytes());
    body.extend_from_slice(&to.port().to_be_bytes());
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(&[0, 0]);
    body.extend_from_slice(payload);
    let sum = match checksum(&[&pseudo(*from.ip(), *to.ip(), 17, length), &body]) {
        // Zero would mean that there is none.
        0 => 0xffff,
        sum => sum,
    };
    body[6..8].copy_from_slice(&sum.to_be_bytes());
    // Offsets are counted in units of 8 bytes.
    let room = mtu.saturating_sub(IP).max(8) / 8 * 8;
    let pieces: Vec<&[u8]> = body.chunks(room).collect();
    let count = pieces.len();
    let packet = |(at, piece): (usize, &&[u8])| {
        let more = if at + 1 < count { 0x2000 } else { 0 };
        let offset = u16::try_from(at * room / 8).unwrap_or(0);
        ipv4(*from.ip(), *to.ip(), 17, id, more | offset, piece)
    };
    pieces.iter().enumerate().map(packet).collect()
}

/// The answer to a ping.
pub fn echo(from: Ipv4Addr, to: Ipv4Addr, rest: &[u8]) -> Vec<u8> {
    icmp(from, to, [0, 0], rest)
}

/// Says to the sender of a packet that it isn't let through (RFC 1812: communication administratively prohibited).
pub fn prohibited(gateway: Ipv4Addr, to: Ipv4Addr, packet: &[u8]) -> Vec<u8> {
    let quoted = &packet[..packet.len().min(IP + 8)];
    icmp(gateway, to, [3, 13], &[&[0; 4], quoted].concat())
}

/// Refuses the connection that the segment opens. None: it is no such segment.
pub fn reset(packet: &[u8]) -> Option<Vec<u8>> {
    let ip = Ipv4Packet::new_checked(packet).ok()?;
    let segment =
        TcpPacket::new_checked(packet.get(usize::from(ip.header_len())..usize::from(ip.total_len()))?)
            .ok()?;
    let mut body = [0; TCP as usize];
    body[..2].copy_from_slice(&segment.dst_port().to_be_bytes());
    body[2..4].copy_from_slice(&segment.src_port().to_be_bytes());
    let seen = segment.seq_number() + segment.segment_len();
    body[8..12].copy_from_slice(&seen.0.to_be_bytes());
    // Five words of header; RST and ACK.
    body[12..14].copy_from_slice(&[0x50, 0x14]);
    let sum = checksum(&[&pseudo(ip.dst_addr(), ip.src_addr(), 6, u16::from(TCP)), &body]);
    body[16..18].copy_from_slice(&sum.to_be_bytes());
    Some(ipv4(ip.dst_addr(), ip.src_addr(), 6, 0, 0, &body))
}

fn icmp(from: Ipv4Addr, to: Ipv4Addr, kind: [u8; 2], rest: &[u8]) -> Vec<u8> {
    let mut body = [&kind[..], &[0, 0], rest].concat();
    let sum = checksum(&[&body]);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv4(from, to, 1, 0, 0, &body)
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, id: u16, fragment: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(IP + body.len()).unwrap_or(u16::MAX);
    let mut packet = Vec::with_capacity(usize::from(length));
    packet.extend_from_slice(&[0x45, 0]);
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(&fragment.to_be_bytes());
    packet.extend_from_slice(&[64, protocol, 0, 0]);
    packet.extend_from_slice(&from.octets());
    packet.extend_from_slice(&to.octets());
    let sum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(body);
    packet
}

fn pseudo(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, length: u16) -> [u8; 12] {
    let mut header = [0; 12];
    header[..4].copy_from_slice(&from.octets());
    header[4..8].copy_from_slice(&to.octets());
    header[9] = protocol;
    header[10..].copy_from_slice(&length.to_be_bytes());
    header
}

/// The checksum of the Internet (RFC 1071). All parts but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u64 =
        words.map(|word| u64::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]))).sum();
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    const A: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 15), 4000);
    const B: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 53);

    proptest! {
        #[test]
        fn a_datagram_is_read_as_it_was_written(payload in prop::collection::vec(any::<u8>(), 0..1400)) {
            let packets = datagram(B, A, &payload, 1500, 7);
            prop_assert_eq!(packets.len(), 1);
            prop_assert_eq!(read(&packets[0]), Some(Packet::Udp { from: B, to: A, payload: &payload }));
        }

        #[test]
        fn a_large_datagram_goes_in_pieces_that_fit(size in 1473_usize..65000) {
            let payload: Vec<u8> = (0..=250).cycle().take(size).collect();
            let packets = datagram(B, A, &payload, 1500, 7);
            let mut whole = vec![0; UDP + size];
            for packet in &packets {
                prop_assert!(packet.len() <= 1500);
                let ip = Ipv4Packet::new_checked(packet.as_slice()).unwrap();
                prop_assert!(ip.verify_checksum());
                prop_assert_eq!(read(packet), None);
                let at = usize::from(ip.frag_offset());
                whole[at..at + ip.payload().len()].copy_from_slice(ip.payload());
                prop_assert_eq!(ip.more_frags(), at + ip.payload().len() < whole.len());
            }
            prop_assert_eq!(&whole[UDP..], payload.as_slice());
        }

        #[test]
        fn nothing_that_a_guest_sends_breaks_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200), valid in any::<bool>()) {
            let bytes = if valid { ipv4(*A.ip(), *B.ip(), bytes.first().map_or(6, |b| [1, 6, 17][usize::from(*b) % 3]), 0, 0, &bytes) } else { bytes };
            read(&bytes);
            reset(&bytes);
        }
    }

    #[test]
    fn pings_and_refusals_are_what_they_should_be() {
        let ping = icmp(*A.ip(), *B.ip(), [8, 0], &[1, 2, 3, 4, 5]);
        assert_eq!(read(&ping), Some(Packet::Echo { from: *A.ip(), to: *B.ip(), rest: &[1, 2, 3, 4, 5] }));
        let answer = echo(*B.ip(), *A.ip(), &[1, 2, 3, 4, 5]);
        let message = Icmpv4Packet::new_checked(&answer[IP..]).unwrap();
        assert!(message.verify_checksum() && message.msg_type() == Icmpv4Message::EchoReply);
        let refusal = prohibited(*B.ip(), *A.ip(), &ping);
        let message = Icmpv4Packet::new_checked(&refusal[IP..]).unwrap();
        assert!(message.verify_checksum() && message.msg_code() == 13);
    }
}
