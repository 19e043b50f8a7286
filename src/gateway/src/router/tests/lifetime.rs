//! Clients that go away, that are slow, that are many.

use tokio::sync::Semaphore;

use super::*;

#[tokio::test]
async fn a_client_that_goes_away_while_the_app_boots_gives_up_only_the_wait() {
    let gate = Arc::new(Semaphore::new(0));
    let (router, fake) = start(Fake { gate: Some(Arc::clone(&gate)), ..Fake::new(&["web"], mirror) }).await;
    let mut stream = connect(&router).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    until("the wait", || fake.connections.count() == 1).await;
    drop(stream);
    until("the end of the wait", || fake.connections.count() == 0).await;
    gate.add_permits(1);
    let answer = ask(&router, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_frees_the_app() {
    let app = async |mut stream: DuplexStream| {
        read_to(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    };
    let (router, fake) = start(Fake::new(&["web"], app)).await;
    let mut stream = connect(&router).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_to(&mut stream, "xxxx").await;
    assert_eq!(fake.connections.count(), 1);
    drop(stream);
    until("the end of the use", || fake.connections.count() == 0).await;
}

#[tokio::test]
async fn an_upload_into_an_app_that_never_reads_ends_with_its_client() {
    let app = async |stream: DuplexStream| {
        futures::future::pending::<()>().await;
        drop(stream);
    };
    let (router, fake) = start(Fake::new(&["web"], app)).await;
    let mut stream = connect(&router).await;
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n")
        .await
        .unwrap();
    let piece = vec![0; 65536];
    while timeout(Duration::from_millis(200), stream.write_all(&piece)).await.is_ok() {}
    assert_eq!(fake.connections.count(), 1);
    drop(stream);
    until("the end of the use", || fake.connections.count() == 0).await;
}

#[tokio::test]
async fn a_head_that_never_ends_ends_the_connection() {
    let (router, fake) = start(Fake::new(&["web"], mirror)).await;
    let answer = ask(&router, "GET / HTTP/1.1\r\nHost: loc").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(fake.opened.load(Ordering::SeqCst), 0);
    assert!(ask(&router, "").await.is_empty(), "who says nothing is not waited for either");
}

#[tokio::test]
async fn who_comes_when_it_is_full_waits_and_is_served() {
    let upstreams: Arc<dyn Upstreams> = Arc::new(Fake::new(&["web"], mirror));
    let limits = Limits { clients: 1, header_time: LIMIT, upload_time: LIMIT };
    let router = Router::start("127.0.0.1:0".parse().unwrap(), limits, upstreams).await.unwrap();
    let first = connect(&router).await;
    let mut second = connect(&router).await;
    second.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(timeout(Duration::from_millis(100), second.read_u8()).await.is_err());
    drop(first);
    let answer = timeout(LIMIT, read_to(&mut second, "\r\n\r\n")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_router_that_is_dropped_takes_its_connections_along() {
    let (router, fake) = start(Fake::new(&["web"], mirror)).await;
    let mut stream = connect(&router).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_to(&mut stream, "\r\n\r\n").await;
    drop(router);
    let mut rest = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap().ok();
    until("the end of the use", || fake.connections.count() == 0).await;
}
