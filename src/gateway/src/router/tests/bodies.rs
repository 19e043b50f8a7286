//! Bodies in both directions: large, endless, chunked, none; messages made to confuse; other protocols.

use std::sync::atomic::{AtomicU64, AtomicUsize};

use bytes::Bytes;
use futures::TryStreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;

use super::*;

/// 1 GiB, in pieces.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 16 * 1024;

/// What may be under way between sender and receiver: buffers of hyper and of sockets, whatever the body's size.
const UNDER_WAY: u64 = 32 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_goes_up_and_down_in_bounded_memory() {
    static RECEIVED: AtomicU64 = AtomicU64::new(0);
    static MOST: AtomicU64 = AtomicU64::new(0);
    // Sends back what it gets, while it gets it.
    let echo = async |stream: DuplexStream| {
        let service = service_fn(async |request: Request<Incoming>| {
            Ok::<_, hyper::Error>(Response::new(request.into_body()))
        });
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
    };
    let (router, _fake) = start(Fake::new(&["web"], echo)).await;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connect(&router).await)).await.unwrap();
    tokio::spawn(connection);
    let piece = Bytes::from(vec![7_u8; PIECE]);
    let pieces = futures::stream::iter((0..PIECES).map(move |at| {
        let sent = (at * PIECE) as u64;
        MOST.fetch_max(sent.saturating_sub(RECEIVED.load(Ordering::SeqCst)), Ordering::SeqCst);
        Ok::<_, std::io::Error>(Frame::data(piece.clone()))
    }));
    let request = Request::post("/").header("host", "localhost").body(StreamBody::new(pieces)).unwrap();
    let answer = timeout(LIMIT, sender.send_request(request)).await.unwrap().unwrap();
    let mut body = BodyStream::new(answer.into_body());
    while let Some(frame) = timeout(LIMIT, body.try_next()).await.unwrap().unwrap() {
        RECEIVED.fetch_add(frame.into_data().unwrap().len() as u64, Ordering::SeqCst);
    }
    assert_eq!(RECEIVED.load(Ordering::SeqCst), (PIECE * PIECES) as u64);
    assert!(MOST.load(Ordering::SeqCst) < UNDER_WAY, "{} bytes were under way", MOST.load(Ordering::SeqCst));
}

#[tokio::test]
async fn events_come_as_they_are_sent() {
    let (sender, receiver) = tokio::sync::mpsc::channel::<&'static str>(1);
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let app = move |mut stream: DuplexStream| {
        let receiver = Arc::clone(&receiver);
        async move {
            read_to(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await.unwrap();
            while let Some(event) = receiver.lock().await.recv().await {
                stream.write_all(event.as_bytes()).await.unwrap();
            }
        }
    };
    let (router, _fake) = start(Fake::new(&["web"], app)).await;
    let mut stream = connect(&router).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_to(&mut stream, "\r\n\r\n").await;
    for event in ["data: one\n\n", "data: two\n\n"] {
        sender.send(event).await.unwrap();
        let seen = timeout(LIMIT, read_to(&mut stream, event)).await.unwrap();
        assert!(seen.contains(event), "{seen}");
    }
}

#[tokio::test]
async fn head_has_the_length_and_no_body_and_the_connection_goes_on() {
    let (router, _fake) = start(Fake::new(&["web"], async |mut stream: DuplexStream| {
        while read_to(&mut stream, "\r\n\r\n").await.starts_with("HEAD") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    }))
    .await;
    let mut stream = connect(&router).await;
    stream.write_all(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let head = timeout(LIMIT, read_to(&mut stream, "\r\n\r\n")).await.unwrap();
    assert!(head.contains("content-length: 5\r\n"), "{head}");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let next = timeout(LIMIT, read_to(&mut stream, "\r\n\r\n")).await.unwrap();
    assert!(next.starts_with("HTTP/1.1 204"), "{next}");
}

#[tokio::test]
async fn an_upload_may_wait_for_a_100_and_come_in_chunks() {
    let (router, _fake) = start(Fake::new(&["web"], async |mut stream: DuplexStream| {
        let head = read_to(&mut stream, "\r\n\r\n").await.to_ascii_lowercase();
        assert!(
            head.contains("transfer-encoding: chunked\r\n") && !head.contains("content-length"),
            "{head}"
        );
        let body = read_to(&mut stream, "0\r\n\r\n").await;
        assert!(body.contains("hello"), "{body}");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await.unwrap();
    }))
    .await;
    let mut stream = connect(&router).await;
    let head =
        "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let go = timeout(LIMIT, read_to(&mut stream, "\r\n\r\n")).await.unwrap();
    assert_eq!(go, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"5\r\nhello\r\n0\r\n\r\n").await.unwrap();
    let answer = timeout(LIMIT, read_to(&mut stream, "done")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn messages_that_two_readers_read_differently_are_refused_or_made_plain() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let (router, _fake) = start(Fake::new(&["web"], async |mut stream: DuplexStream| {
        let head = read_to(&mut stream, "\r\n\r\n").await.to_ascii_lowercase();
        SEEN.fetch_add(1, Ordering::SeqCst);
        assert!(!head.contains("content-length"), "{head}");
        read_to(&mut stream, "0\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.ok();
    }))
    .await;
    let smuggled = "GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for head in [
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 4\r\n",
        "Content-Length: +3\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Content-Length : 3\r\n",
        "X: a\r\n\tContent-Length: 3\r\n",
    ] {
        let answer =
            ask(&router, &format!("POST / HTTP/1.1\r\nHost: localhost\r\n{head}\r\n{smuggled}")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head} {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head} {answer}");
    }
    assert_eq!(SEEN.load(Ordering::SeqCst), 0, "nothing of these reached the app");
    // Both: the coding wins, and the app sees the coding only.
    let both = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nZ\r\n0\r\n\r\n";
    let answer = ask(&router, both).await;
    assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn heads_are_bounded() {
    let (router, _fake) = start(Fake::new(&["web"], mirror)).await;
    let many = "X-A: b\r\n".repeat(200);
    let answer = ask(&router, &format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    for size in [100 * 1024, 2 * 1024 * 1024] {
        let large = "a".repeat(size);
        for request in [
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: {large}\r\n\r\n"),
            format!("GET /{large} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        ] {
            let answer = ask(&router, &request).await;
            // 414 or 431; or reset before all was sent.
            let status = answer.get(..12).unwrap_or("");
            assert!(["", "HTTP/1.1 414", "HTTP/1.1 431"].contains(&status), "{size}: {status}");
        }
    }
}

#[tokio::test]
async fn a_websocket_is_bytes_both_ways_until_both_are_done() {
    let (router, fake) = start(Fake::new(&["web"], async |mut stream: DuplexStream| {
        let head = read_to(&mut stream, "\r\n\r\n").await.to_ascii_lowercase();
        assert!(head.contains("upgrade: websocket\r\n") && head.contains("sec-websocket-key: abc\r\n"), "{head}");
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: xyz\r\n\r\nearly";
        stream.write_all(answer.as_bytes()).await.unwrap();
        // The client's end comes through, and what is said after it too.
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        stream.write_all(&said).await.unwrap();
    })).await;
    let mut stream = connect(&router).await;
    let request = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: abc\r\n\r\nframe";
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = timeout(LIMIT, read_to(&mut stream, "\r\n\r\n")).await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("sec-websocket-accept: xyz\r\n"), "{head}");
    assert_eq!(timeout(LIMIT, read_to(&mut stream, "early")).await.unwrap(), "early");
    assert_eq!(fake.connections.count(), 1, "an open websocket is use");
    stream.write_all(b"\x00\xffmore").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, b"frame\x00\xffmore");
    until("the end of the use", || fake.connections.count() == 0).await;
}

#[tokio::test]
async fn a_refused_upgrade_is_an_answer_like_any_other() {
    let (router, _fake) = start(Fake::new(&["web"], async |mut stream: DuplexStream| {
        read_to(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    }))
    .await;
    let request = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut stream = connect(&router).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = timeout(LIMIT, read_to(&mut stream, "no")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
}

#[tokio::test]
async fn a_page_of_another_site_opens_no_websocket() {
    let (router, fake) = start(Fake::new(&["web"], async |_: DuplexStream| {})).await;
    let request = "GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut stream = connect(&router).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = timeout(LIMIT, read_to(&mut stream, "\r\n\r\n")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(fake.connections.count(), 0, "the app hears nothing of it");
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_at_the_client() {
    let (router, _fake) = start(Fake::new(&["web"], async |mut stream: DuplexStream| {
        read_to(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    }))
    .await;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connect(&router).await)).await.unwrap();
    tokio::spawn(connection);
    let request =
        Request::get("/").header("host", "localhost").body(http_body_util::Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert!(answer.into_body().collect().await.is_err(), "a short body isn't a whole one");
}
