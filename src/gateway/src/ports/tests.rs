//! Ports with made-up guests.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::Semaphore,
    time::timeout,
};

use super::*;
use crate::{fake::Fake, upstream::OpenError};

const LIMIT: Duration = Duration::from_mins(1);

/// Says back all it heard once the other side is done.
async fn parrot(mut stream: DuplexStream) {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    stream.write_all(&heard).await.unwrap();
}

fn table(fake: Fake) -> (PortTable, Arc<Fake>) {
    let fake = Arc::new(fake);
    (PortTable::new(Arc::clone(&fake) as Arc<dyn Upstreams>), fake)
}

async fn ends(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut all)).await.unwrap().map(|_| all)
}

async fn until(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LIMIT, wait).await.unwrap();
}

#[tokio::test]
async fn a_port_leads_to_the_guest_and_half_an_end_goes_through() {
    let gate = Arc::new(Semaphore::new(0));
    let (table, fake) = table(Fake { gate: Some(Arc::clone(&gate)), ..Fake::new(&["web"], parrot) });
    let address = table.open("app-web", 80, None).await.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let said = vec![9; 1 << 20];
    let (mut reading, mut writing) = stream.split();
    let talk = async {
        // All of it before the guest is awake, as far as there is room.
        writing.write_all(&said).await.unwrap();
        writing.shutdown().await.unwrap();
    };
    let hear = async {
        gate.add_permits(1);
        let mut all = Vec::new();
        reading.read_to_end(&mut all).await.unwrap();
        all
    };
    let ((), heard) = timeout(LIMIT, async { tokio::join!(talk, hear) }).await.unwrap();
    assert!(heard == said);
    until(|| fake.connections.count() == 0).await;
}

#[tokio::test]
async fn a_port_stays_what_it_was_and_can_be_had_again() {
    let (table, _fake) = table(Fake::new(&["web"], parrot));
    let address = table.open("app-web", 80, None).await.unwrap();
    assert_eq!(table.open("app-web", 80, None).await.unwrap(), address);
    assert_eq!(table.open("app-web", 80, Some(address.port())).await.unwrap(), address);
    let other = table.open("app-web", 443, None).await.unwrap();
    assert_eq!(table.of("app-web"), [(80, address), (443, other)]);
    // After a restart of the daemon, by the number that it remembers.
    table.close_all("app-web");
    assert!(table.of("app-web").is_empty());
    until(|| std::net::TcpListener::bind(address).is_ok()).await;
    assert_eq!(table.open("app-web", 80, Some(address.port())).await.unwrap(), address);
}

#[tokio::test]
async fn who_has_the_port_is_named() {
    let (table, _fake) = table(Fake::new(&["web", "api"], parrot));
    let address = table.open("app-web", 80, None).await.unwrap();
    let taken = table.open("app-api", 80, Some(address.port())).await.unwrap_err();
    assert_eq!(taken.to_string(), format!("port {} on 127.0.0.1 is in use by 'web'", address.port()));
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = foreign.local_addr().unwrap().port();
    let text = table.open("app-api", 80, Some(port)).await.unwrap_err().to_string();
    assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
}

#[tokio::test]
async fn a_guest_that_fails_resets_and_the_port_remains() {
    let (table, fake) = table(Fake::new(&["web"], parrot));
    let address = table.open("app-web", 80, None).await.unwrap();
    *fake.failure.lock().unwrap() = Some(OpenError::TimedOut(Duration::from_secs(30)));
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(ends(&mut stream).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    *fake.failure.lock().unwrap() = None;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"hi").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(ends(&mut stream).await.unwrap(), b"hi");
    assert_eq!(fake.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn connections_are_counted_and_end_with_the_port() {
    let (table, fake) = table(Fake::new(&["web"], parrot));
    let address = table.open("app-web", 80, None).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(TcpStream::connect(address).await.unwrap());
    }
    until(|| fake.connections.count() == 20).await;
    streams.truncate(5);
    until(|| fake.connections.count() == 5).await;
    table.close("app-web", 80);
    for stream in &mut streams {
        ends(stream).await.ok();
    }
    until(|| fake.connections.count() == 0).await;
}
