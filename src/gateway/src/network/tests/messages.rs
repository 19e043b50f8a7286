//! Datagrams, names and pings.

use smoltcp::{socket::tcp::State, wire::Ipv4Packet};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::network::packet::{Packet, datagram, read};

const QUESTION: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";

fn nameserver() -> SocketAddrV4 {
    SocketAddrV4::new(PLAN.nameserver, 53)
}

/// Says back each datagram twice over.
async fn doubler() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let text = buffer[..length].repeat(2);
            socket.send_to(&text, from).await.unwrap();
        }
    });
    port
}

/// Answers questions on loopback, by datagram and by stream, with the question turned around.
async fn resolver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            buffer[2] |= 0x80;
            // A stranger's answer first: it has another identifier.
            socket.send_to(&[0xff; 20], from).await.unwrap();
            socket.send_to(&buffer[..length], from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let length = stream.read_u16().await.unwrap();
            let mut message = vec![0; usize::from(length)];
            stream.read_exact(&mut message).await.unwrap();
            message[2] |= 0x80;
            stream.write_all(&[&length.to_be_bytes(), message.as_slice()].concat()).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_datagram_goes_out_and_the_answer_comes_back() {
    let port = doubler().await;
    let mut guest = Guest::new(Fake::default(), Limits::default());
    for text in [&b"one"[..], b"two"] {
        guest.send(datagram(here(4000), outside(port), text, 1500, 1).remove(0)).await;
        let answer = guest.next().await;
        let expected = text.repeat(2);
        assert_eq!(
            read(&answer),
            Some(Packet::Udp { from: outside(port), to: here(4000), payload: &expected })
        );
    }
    assert_eq!(guest.outside.dialled.load(Ordering::SeqCst), 1, "one pair of addresses has one socket");
}

#[tokio::test]
async fn an_answer_that_is_larger_than_a_packet_comes_in_pieces() {
    let port = doubler().await;
    let mut guest = Guest::new(Fake::default(), Limits { mtu: 1500, ..Limits::default() });
    guest.send(datagram(here(4000), outside(port), &[7; 1400], 1500, 1).remove(0)).await;
    let pieces = [guest.next().await, guest.next().await];
    assert!(pieces.iter().all(|piece| piece.len() <= 1500));
    let length: usize =
        pieces.iter().map(|piece| Ipv4Packet::new_checked(piece).unwrap().payload().len()).sum();
    assert_eq!(length, 8 + 2800);
}

#[tokio::test]
async fn a_datagram_that_policy_refuses_is_answered_so_and_never_sent() {
    let port = doubler().await;
    let mut guest = Guest::new(Fake::default(), Limits::default());
    for to in [Ipv4Addr::LOCALHOST, OWN, Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::BROADCAST] {
        guest.send(datagram(here(4000), SocketAddrV4::new(to, port), b"x", 1500, 1).remove(0)).await;
        let answer = guest.next().await;
        // Destination unreachable, administratively prohibited.
        assert_eq!(Ipv4Packet::new_checked(answer.as_slice()).unwrap().payload()[..2], [3, 13]);
    }
    assert_eq!(guest.outside.dialled.load(Ordering::SeqCst), 0);
    assert_eq!(guest.network.activity().refused, 4);
}

#[tokio::test]
async fn pairs_of_addresses_are_bounded() {
    let port = doubler().await;
    let guest = Guest::new(Fake::default(), Limits { udp: 2, ..Limits::default() });
    for from in 4000..4005 {
        guest.send(datagram(here(from), outside(port), b"x", 1500, 1).remove(0)).await;
    }
    let wait = async {
        while guest.network.activity().dropped < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LIMIT, wait).await.unwrap();
    assert_eq!(guest.outside.dialled.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn names_are_asked_of_the_hosts_resolver_even_on_loopback() {
    let resolver = Some(resolver().await);
    let mut guest = Guest::new(Fake { resolver, ..Fake::default() }, Limits::default());
    guest.send(datagram(here(4000), nameserver(), QUESTION, 1500, 1).remove(0)).await;
    let mut expected = QUESTION.to_vec();
    expected[2] |= 0x80;
    let answer = guest.next().await;
    assert_eq!(read(&answer), Some(Packet::Udp { from: nameserver(), to: here(4000), payload: &expected }));

    let handle = guest.connect(nameserver());
    guest.until("the connection", |guest| guest.socket(handle).may_send()).await;
    let length = u16::try_from(QUESTION.len()).unwrap().to_be_bytes();
    guest.socket(handle).send_slice(&[&length, QUESTION].concat()).unwrap();
    guest.until("the answer", |guest| guest.socket(handle).recv_queue() == QUESTION.len() + 2).await;
    let answer = guest.socket(handle).recv(|bytes| (bytes.len(), bytes.to_vec())).unwrap();
    assert_eq!(answer[2..], expected);
    assert_eq!(guest.outside.dialled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn nothing_but_questions_reaches_the_resolver() {
    let heard = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = Some(heard.local_addr().unwrap());
    let mut guest = Guest::new(Fake { resolver, ..Fake::default() }, Limits::default());
    guest.send(datagram(here(4000), nameserver(), b"SET x 1\r\nSET y 2\r\n", 1500, 1).remove(0)).await;
    guest.send(datagram(here(4000), nameserver(), QUESTION, 1500, 1).remove(0)).await;
    let mut buffer = [0; 512];
    let length = timeout(LIMIT, heard.recv(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..length], QUESTION, "the first that comes is the question");

    let handle = guest.connect(nameserver());
    guest.until("the connection", |guest| guest.socket(handle).may_send()).await;
    guest.socket(handle).send_slice(b"GET / HTTP/1.1\r\n\r\n".repeat(2000).as_slice()).unwrap();
    guest.until("the end", |guest| !guest.socket(handle).may_recv()).await;
    assert_ne!(guest.socket(handle).state(), State::Established);
}

#[tokio::test]
async fn without_a_resolver_the_answer_is_a_failure() {
    let mut guest = Guest::new(Fake::default(), Limits::default());
    guest.send(datagram(here(4000), nameserver(), QUESTION, 1500, 1).remove(0)).await;
    let answer = guest.next().await;
    let Some(Packet::Udp { payload, .. }) = read(&answer) else { panic!("{answer:?}") };
    assert_eq!((&payload[..2], payload[3] & 0xf), (&QUESTION[..2], 2));
}

#[tokio::test]
async fn the_gateway_answers_pings_and_nobody_else_does() {
    let mut guest = Guest::new(Fake::default(), Limits::default());
    // The answer to a ping is one but for its type: turned around it is a ping.
    let ping = |to: Ipv4Addr| {
        let mut packet = packet::echo(PLAN.guest.addr(), to, &[0, 1, 0, 2, 9]);
        packet[20] = 8;
        packet[22] -= 8;
        packet
    };
    guest.send(ping(OUTSIDE)).await;
    guest.send(ping(PLAN.gateway)).await;
    let answer = guest.next().await;
    assert_eq!(answer, packet::echo(PLAN.gateway, PLAN.guest.addr(), &[0, 1, 0, 2, 9]));
}

#[tokio::test]
async fn who_is_not_the_guest_is_not_heard() {
    let port = doubler().await;
    let mut guest = Guest::new(Fake::default(), Limits::default());
    let other = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 99), 4000);
    guest.send(datagram(other, outside(port), b"x", 1500, 1).remove(0)).await;
    guest.send(vec![0x60; 100]).await;
    guest.send(datagram(here(4000), outside(port), b"y", 1500, 1).remove(0)).await;
    let answer = guest.next().await;
    assert_eq!(read(&answer), Some(Packet::Udp { from: outside(port), to: here(4000), payload: b"yy" }));
    assert_eq!(guest.network.activity().dropped, 2);
}
