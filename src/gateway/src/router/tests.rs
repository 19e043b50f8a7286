//! The router with raw clients and made-up apps.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod bodies;
mod lifetime;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::TcpStream,
    time::timeout,
};

use super::{Limits, Router, RouterError};
use crate::{
    fake::{Fake, read_to},
    upstream::{OpenError, Upstreams},
};

const LIMIT: Duration = Duration::from_mins(1);

async fn start(fake: Fake) -> (Router, Arc<Fake>) {
    let fake = Arc::new(fake);
    let upstreams: Arc<dyn Upstreams> = Arc::clone(&fake) as _;
    let limits =
        Limits { header_time: Duration::from_secs(1), upload_time: Duration::from_secs(2), clients: 1024 };
    (Router::start("127.0.0.1:0".parse().unwrap(), limits, upstreams).await.unwrap(), fake)
}

async fn connect(router: &Router) -> TcpStream {
    TcpStream::connect(router.address()).await.unwrap()
}

/// Sends a request and reads all that comes until the router closes.
async fn ask(router: &Router, request: &str) -> String {
    let mut stream = connect(router).await;
    stream.write_all(request.as_bytes()).await.ok();
    let mut answer = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap().ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits for a condition, within a bound.
async fn until(what: &str, holds: impl Fn() -> bool) {
    timeout(LIMIT, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{what} never came"));
}

/// An app that answers each request with its head.
async fn mirror(mut stream: DuplexStream) {
    loop {
        let head = read_to(&mut stream, "\r\n\r\n").await;
        if head.is_empty() {
            return;
        }
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_request_reaches_its_app_with_what_it_should_know() {
    let (router, _fake) = start(Fake::new(&["web", "api"], mirror)).await;
    let request =
        "GET /app/web/a?b=c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Aegis-App: api\r\n\r\n";
    let answer = ask(&router, request).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200 ok\r\n"), "{answer}");
    for line in [
        "get /a?b=c http/1.1",
        "host: localhost",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-prefix: /app/web",
    ] {
        assert!(answer.contains(&format!("{line}\r\n")), "{line} isn't in {answer}");
    }
    let (_, seen) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!seen.contains("connection:") && !seen.contains("x-aegis-app"), "{seen}");
}

#[tokio::test]
async fn who_has_no_app_gets_a_reason() {
    let (router, fake) = start(Fake::new(&["web", "api"], mirror)).await;
    let get =
        |host: &str, more: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
    let several = ask(&router, &get("localhost", "")).await;
    assert!(several.starts_with("HTTP/1.1 503"), "{several}");
    assert!(
        several.contains("several apps are served: web, api") && several.contains("/app/web/"),
        "{several}"
    );
    let json = ask(&router, &get("nobody.localhost", "Accept: text/html, application/json;q=0.9\r\n")).await;
    assert!(json.starts_with("HTTP/1.1 404") && json.contains(r#""code":"not_found""#), "{json}");
    assert!(ask(&router, &get("evil.example", "")).await.starts_with("HTTP/1.1 421"));
    let moved = ask(&router, "GET /app/web HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(moved.starts_with("HTTP/1.1 308") && moved.contains("location: /app/web/\r\n"), "{moved}");
    let proxy = ask(&router, "CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\nConnection: close\r\n\r\n").await;
    assert!(proxy.starts_with("HTTP/1.1 405"), "{proxy}");
    for (failure, status, text) in [
        (
            OpenError::Failed { reason: "exit code 1".into(), hint: Some("aegis logs x".into()) },
            "502",
            "exit code 1",
        ),
        (OpenError::TimedOut(Duration::from_secs(30)), "504", "no answer after 30 s"),
        (OpenError::NoSuchPort { name: "web".into(), port: 80 }, "404", "doesn't expose port 80"),
        (OpenError::Unknown("web".into()), "404", "nothing is called"),
    ] {
        *fake.failure.lock().unwrap() = Some(failure);
        let answer = ask(&router, &get("web.localhost", "")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(text), "{answer}");
    }
    assert_eq!(fake.connections.count(), 0);
}

#[tokio::test]
async fn a_connection_to_the_app_is_kept_for_the_next_request_and_not_for_another_app() {
    let (router, fake) = start(Fake::new(&["web", "api"], mirror)).await;
    let mut stream = connect(&router).await;
    for (name, opened) in [("web", 1), ("web", 1), ("api", 2), ("web", 3)] {
        stream
            .write_all(format!("GET / HTTP/1.1\r\nHost: {name}.localhost\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let head = read_to(&mut stream, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        read_to(&mut stream, "\r\n\r\n").await;
        assert_eq!(fake.opened.load(Ordering::SeqCst), opened);
        assert_eq!(fake.connections.count(), 1);
    }
    // Without a request the connection to the app goes, so that the app can sleep; the client's stays until its own time is up.
    until("the end of the kept connection", || fake.connections.count() == 0).await;
}

#[tokio::test]
async fn a_request_that_an_idle_connections_end_swallowed_is_sent_again() {
    // Answers once a connection, then closes: without saying so.
    let app = async |mut stream: DuplexStream| {
        read_to(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    };
    let (router, fake) = start(Fake::new(&["web"], app)).await;
    let mut stream = connect(&router).await;
    for opened in 1..=5 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let answer = timeout(LIMIT, read_to(&mut stream, "ok")).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(fake.opened.load(Ordering::SeqCst), opened);
    }
}

#[tokio::test]
async fn an_app_that_closes_early_is_a_502_with_the_reason() {
    let app = async |mut stream: DuplexStream| {
        read_to(&mut stream, "\r\n\r\n").await;
    };
    let (router, fake) = start(Fake::new(&["web"], app)).await;
    let answer = ask(&router, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 502") && answer.contains("'web' gave no answer: it closed"),
        "{answer}"
    );
    assert_eq!(fake.opened.load(Ordering::SeqCst), 1, "a new connection's failure is the app's");
    let garbage = async |mut stream: DuplexStream| {
        read_to(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"SSH-2.0-x\r\n").await.ok();
    };
    let (router, _fake) = start(Fake::new(&["web"], garbage)).await;
    let answer = ask(&router, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}

#[tokio::test]
async fn the_router_is_on_loopback_and_says_who_has_its_port() {
    let upstreams: Arc<dyn Upstreams> = Arc::new(Fake::new(&[], mirror));
    let wide = Router::start("0.0.0.0:0".parse().unwrap(), Limits::default(), Arc::clone(&upstreams)).await;
    assert!(matches!(wide, Err(RouterError::NotLoopback(_))));
    let first = Router::start("127.0.0.1:0".parse().unwrap(), Limits::default(), Arc::clone(&upstreams))
        .await
        .unwrap();
    let second = Router::start(first.address(), Limits::default(), upstreams).await;
    let text = second.unwrap_err().to_string();
    assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
}
