//! The accept loop: slow, bad and stuck connections, with a made-up listener and a paused clock.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aegis_core::session::Outbound;
use aegis_wire::{
    Endpoint,
    dial::{self, BoxedIo, Dialer, Dialing},
    edge::{Capabilities, EdgeClient, Event},
    envelope::{Route, seal},
    operator::OperatorClient,
    server::{self, Services},
    tls::{ServerIdentity, TlsConfig},
};
use futures::{StreamExt, channel::mpsc, stream};
use tokio::{
    io::{AsyncReadExt, DuplexStream},
    sync::oneshot,
    task::JoinHandle,
    time::Instant,
};

use crate::{
    authority,
    controller::{Controller, NOW_MS, node_id, node_key},
    now,
    operator_fake::Desk,
};

/// A server whose listener gives one error and then one connection; the other end of that connection.
fn serve(
    tls: Option<TlsConfig>,
    stopped: oneshot::Receiver<()>,
) -> (DuplexStream, JoinHandle<io::Result<()>>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    let accepted = [Err(io::Error::other("too many open files")), Ok((near, peer))];
    let connections = stream::iter(accepted).chain(stream::pending());
    let controller = Arc::new(Controller);
    let services =
        Services { enrollment: controller.clone(), edge: controller, operator: Arc::new(Desk::default()) };
    let serving = tokio::spawn(server::serve(connections, tls, services, async {
        let _ = stopped.await;
    }));
    (far, serving)
}

fn tls() -> TlsConfig {
    let issued = authority().issue(&["127.0.0.1".to_owned()], now()).unwrap();
    TlsConfig::new(ServerIdentity::from_pem(&issued.chain_pem, &issued.key_pem).unwrap()).unwrap()
}

/// Gives the one connection that there is.
struct Once(Mutex<Option<DuplexStream>>);

impl Dialer for Once {
    fn dial(&self, _: &Endpoint) -> Dialing {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async {
            stream.map(|stream| Box::new(stream) as BoxedIo).ok_or_else(|| io::Error::other("no more"))
        })
    }
}

async fn connect(far: DuplexStream) -> dial::Channel {
    let endpoint = Endpoint::new("localhost", 1).unwrap();
    dial::connect_plaintext(&endpoint, Arc::new(Once(Mutex::new(Some(far))))).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_listeners_error_passes() {
    let (_stop, stopped) = oneshot::channel();
    let (far, _serving) = serve(None, stopped);
    let client = OperatorClient::new(connect(far).await, "good").unwrap();
    assert_eq!(client.who_am_i().await.unwrap().subject, "ann");
}

#[tokio::test(start_paused = true)]
async fn who_never_shakes_hands_is_sent_away() {
    let (_stop, stopped) = oneshot::channel();
    let (mut far, _serving) = serve(Some(tls()), stopped);
    let begin = Instant::now();
    let read = tokio::time::timeout(Duration::from_mins(5), far.read_u8()).await.expect("it is closed");
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(begin.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn handshakes_at_once_are_bounded_and_who_waits_is_not_sent_away() {
    let taken = Arc::new(AtomicUsize::new(0));
    let (silent, connections): (Vec<_>, Vec<_>) = (0..600).map(|_| tokio::io::duplex(64)).unzip();
    let counted = {
        let taken = taken.clone();
        stream::iter(connections).map(move |connection| {
            taken.fetch_add(1, Ordering::Relaxed);
            Ok((connection, SocketAddr::from(([127, 0, 0, 1], 1))))
        })
    };
    let controller = Arc::new(Controller);
    let services =
        Services { enrollment: controller.clone(), edge: controller, operator: Arc::new(Desk::default()) };
    let connections = counted.chain(stream::pending());
    tokio::spawn(server::serve(connections, Some(tls()), services, std::future::pending()));
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(taken.load(Ordering::Relaxed), 512);
    let is_open = |mut far: DuplexStream| async move {
        tokio::time::timeout(Duration::from_millis(1), far.read_u8()).await.is_err()
    };
    let open = stream::iter(silent).then(is_open).filter(|open| std::future::ready(*open)).count().await;
    assert_eq!(open, 600);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(taken.load(Ordering::Relaxed), 600, "they are taken when others are gone");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_ends_holds_up_a_shutdown_for_ten_seconds() {
    let (stop, stopped) = oneshot::channel();
    let (far, serving) = serve(None, stopped);
    let (outgoing, events) = mpsc::unbounded();
    let sender = node_id().to_string();
    let hello = Event::Hello { node_token: "t".into(), capabilities: Capabilities::default() };
    let route = Route { sender: &sender, stream: "s-1" };
    outgoing
        .unbounded_send(seal(&node_key(), route, &mut Outbound::default(), NOW_MS, &hello).unwrap())
        .unwrap();
    let mut commands = EdgeClient::new(connect(far).await).connect(events).await.unwrap();
    commands.next().await.unwrap().unwrap();

    let begin = Instant::now();
    stop.send(()).unwrap();
    let served = tokio::time::timeout(Duration::from_mins(5), serving).await.expect("it stops");
    served.unwrap().unwrap();
    assert_eq!(begin.elapsed().as_secs(), 10);
}
