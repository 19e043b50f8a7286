//! Connections.

use smoltcp::socket::tcp::State;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Says back what it hears, and ends when its client has ended.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reading, mut writing) = stream.split();
                tokio::io::copy(&mut reading, &mut writing).await.ok();
                writing.shutdown().await.ok();
            });
        }
    });
    port
}

fn pattern(at: usize) -> u8 {
    u8::try_from(at % 251).unwrap()
}

/// Sends so many bytes and reads them back, on each of the connections; ends them in order.
async fn exchange(guest: &mut Guest, handles: &[SocketHandle], total: usize) {
    let mut progress: Vec<(usize, usize)> = vec![(0, 0); handles.len()];
    guest
        .until("the end of the exchange", |guest| {
            for (handle, (sent, heard)) in handles.iter().zip(&mut progress) {
                let socket = guest.socket(*handle);
                while *sent < total && socket.can_send() {
                    let piece: Vec<u8> = (*sent..total.min(*sent + 4096)).map(pattern).collect();
                    *sent += socket.send_slice(&piece).unwrap();
                }
                if *sent == total && socket.may_send() {
                    socket.close();
                }
                while socket.can_recv() {
                    let taken = socket.recv(|bytes| (bytes.len(), bytes.to_vec())).unwrap();
                    assert!(taken.iter().enumerate().all(|(at, byte)| *byte == pattern(*heard + at)));
                    *heard += taken.len();
                }
            }
            progress.iter().all(|(_, heard)| *heard == total)
                && handles
                    .iter()
                    .all(|handle| matches!(guest.socket(*handle).state(), State::TimeWait | State::Closed))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_go_out_and_come_back_as_they_were_and_ends_go_through() {
    let port = echo().await;
    let mut guest = Guest::new(Fake::default(), Limits::default());
    let handle = guest.connect(outside(port));
    exchange(&mut guest, &[handle], 24 * 1024 * 1024).await;
    let activity = guest.network.activity();
    assert!(activity.bytes_out > 24 * 1024 * 1024 && activity.bytes_in > 24 * 1024 * 1024, "{activity:?}");
    assert_eq!(activity.refused, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_loses_packets_loses_no_bytes() {
    let port = echo().await;
    let mut guest = Guest::new(Fake::default(), Limits { mtu: 1500, ..Limits::default() });
    guest.loss = Some(37);
    let handle = guest.connect(outside(port));
    exchange(&mut guest, &[handle], 512 * 1024).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_go_at_once() {
    let port = echo().await;
    let mut guest = Guest::new(Fake::default(), Limits::default());
    let handles: Vec<SocketHandle> = (0..100).map(|_| guest.connect(outside(port))).collect();
    // Within the guest's window: what goes beyond it has tests of its own.
    exchange(&mut guest, &handles, 48 * 1024).await;
    assert_eq!(guest.outside.dialled.load(Ordering::SeqCst), 100, "each was dialled once");
}

#[tokio::test]
async fn what_is_refused_outside_is_refused_inside() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut guest = Guest::new(Fake::default(), Limits::default());
    let handle = guest.connect(outside(closed));
    guest.until("the refusal", |guest| guest.socket(handle).state() == State::Closed).await;
}

#[tokio::test]
async fn what_policy_refuses_is_never_dialled() {
    let port = echo().await;
    let mut guest = Guest::new(Fake::default(), Limits::default());
    for to in
        [Ipv4Addr::LOCALHOST, OWN, Ipv4Addr::new(169, 254, 169, 254), PLAN.gateway, Ipv4Addr::new(0, 0, 0, 1)]
    {
        let handle = guest.connect(SocketAddrV4::new(to, port));
        guest.until("the refusal", |guest| guest.socket(handle).state() == State::Closed).await;
    }
    assert_eq!(guest.outside.dialled.load(Ordering::SeqCst), 0);
    assert_eq!(guest.network.activity().refused, 5);
    // Nor is anything when nobody knows what the host's own is.
    let mut guest = Guest::new(Fake { is_blind: true, ..Fake::default() }, Limits::default());
    let handle = guest.connect(outside(port));
    guest.until("the refusal", |guest| guest.socket(handle).state() == State::Closed).await;
    assert_eq!(guest.outside.dialled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_reset_goes_through_in_both_directions() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut guest = Guest::new(Fake::default(), Limits::default());
    let handle = guest.connect(outside(port));
    guest.until("the connection", |guest| guest.socket(handle).may_send()).await;
    let (stream, _) = listener.accept().await.unwrap();
    stream.set_zero_linger().unwrap();
    drop(stream);
    guest.until("the reset", |guest| guest.socket(handle).state() == State::Closed).await;

    let handle = guest.connect(outside(port));
    guest.until("the connection", |guest| guest.socket(handle).may_send()).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    guest.socket(handle).abort();
    let ended = tokio::spawn(async move { stream.read_u8().await });
    guest.until("the reset", |_| ended.is_finished()).await;
    assert_eq!(ended.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn connections_are_bounded_and_their_places_come_back() {
    let port = echo().await;
    let mut guest = Guest::new(Fake::default(), Limits { tcp: 3, ..Limits::default() });
    let handles: Vec<SocketHandle> = (0..3).map(|_| guest.connect(outside(port))).collect();
    guest
        .until("three", |guest| {
            handles.iter().all(|handle| guest.sockets.get::<Socket<'_>>(*handle).may_send())
        })
        .await;
    let fourth = guest.connect(outside(port));
    guest.until("a drop", |guest| guest.network.activity().dropped > 0).await;
    assert_eq!(guest.socket(fourth).state(), State::SynSent);
    guest.socket(handles[0]).close();
    // The guest says it again by itself.
    guest.until("the fourth", |guest| guest.socket(fourth).may_send()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_takes_nothing_for_a_while_goes_on_afterwards() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let total = 4 * 1024 * 1024;
    let sender = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let all: Vec<u8> = (0..total).map(pattern).collect();
        stream.write_all(&all).await.unwrap();
        stream.shutdown().await.unwrap();
        stream
    });
    let mut guest = Guest::new(Fake::default(), Limits::default());
    let handle = guest.connect(outside(port));
    guest.until("the connection", |guest| guest.socket(handle).may_recv()).await;
    // Paused: it neither reads nor says anything, until nothing moves any more.
    let mut before = guest.network.activity();
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = guest.network.activity();
        if now == before {
            break;
        }
        before = now;
    }
    let mut heard = 0;
    guest
        .until("all of it", |guest| {
            let socket = guest.socket(handle);
            while socket.can_recv() {
                heard += socket.recv(|bytes| (bytes.len(), bytes.len())).unwrap();
            }
            heard == total
        })
        .await;
    drop(sender.await.unwrap());
}
