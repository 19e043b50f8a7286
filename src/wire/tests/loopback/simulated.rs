//! The same code in a simulated network, with a simulated clock: what happens when the network goes silent.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use aegis_core::session::Outbound;
use aegis_wire::{
    CaFingerprint, Code, Endpoint,
    dial::{self, BoxedIo, Dialer, Dialing},
    edge::{EdgeClient, Event},
    envelope::{Route, seal},
    server::{self, Services},
    tls::{ServerIdentity, TlsConfig},
};
use futures::{StreamExt, channel::mpsc, stream};
use tokio::time::Instant;

use crate::{
    authority,
    controller::{Controller, NOW_MS, node_id, node_key},
    now,
    operator_fake::Desk,
};

const PORT: u16 = 50056;

/// TCP in the simulation.
struct Simulated;

impl Dialer for Simulated {
    fn dial(&self, endpoint: &Endpoint) -> Dialing {
        let (host, port) = (endpoint.host().to_owned(), endpoint.port());
        Box::pin(async move {
            let stream = turmoil::net::TcpStream::connect((host, port)).await?;
            Ok(Box::new(stream) as BoxedIo)
        })
    }
}

async fn controller(tls: TlsConfig) -> turmoil::Result {
    let listener = turmoil::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let connections =
        stream::unfold(listener, |listener| async move { Some((listener.accept().await, listener)) });
    let controller = Arc::new(Controller);
    let services =
        Services { enrollment: controller.clone(), edge: controller, operator: Arc::new(Desk::default()) };
    server::serve(connections, Some(tls), services, std::future::pending()).await?;
    Ok(())
}

async fn daemon(pin: CaFingerprint) -> turmoil::Result {
    let endpoint = Endpoint::new("controller", PORT)?;
    let channel = dial::connect(&endpoint, &pin, Arc::new(Simulated)).await?;
    let (outgoing, events) = mpsc::unbounded();
    let sender = node_id().to_string();
    let hello =
        Event::Hello { node_token: "t".into(), capabilities: aegis_wire::edge::Capabilities::default() };
    let route = Route { sender: &sender, stream: "s-1" };
    outgoing.unbounded_send(seal(&node_key(), route, &mut Outbound::default(), NOW_MS, &hello)?)?;
    let mut commands = EdgeClient::new(channel).connect(events).await?;
    commands.next().await.expect("a welcome")?;

    // For an hour nobody says anything but HTTP/2 itself, and the stream holds.
    assert!(tokio::time::timeout(Duration::from_hours(1), commands.next()).await.is_err());

    turmoil::partition("controller", "daemon");
    let cut = Instant::now();
    let end = commands.next().await.expect("the end has a reason").expect_err("nothing can arrive");
    assert_eq!(end.code, Code::Unavailable, "{end}");
    let noticed = cut.elapsed().as_secs();
    assert!((10..=31).contains(&noticed), "the cut was noticed after {noticed} s");

    // A new attempt gives up in time.
    let again = Instant::now();
    let error = dial::connect(&endpoint, &pin, Arc::new(Simulated)).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error}");
    assert!(again.elapsed().as_secs() <= dial::CONNECT_WITHIN.as_secs());

    turmoil::repair("controller", "daemon");
    dial::connect(&endpoint, &pin, Arc::new(Simulated)).await?;
    Ok(())
}

#[test]
fn a_cut_is_noticed_and_a_quiet_stream_is_kept() -> turmoil::Result {
    let authority = authority();
    let issued = authority.issue(&["controller".to_owned()], now()).unwrap();
    let identity = ServerIdentity::from_pem(&issued.chain_pem, &issued.key_pem).unwrap();
    let (tls, pin) = (TlsConfig::new(identity).unwrap(), authority.fingerprint());
    let mut simulation = turmoil::Builder::new()
        .simulation_duration(Duration::from_hours(2))
        .tick_duration(Duration::from_millis(100))
        .build();
    simulation.host("controller", move || controller(tls.clone()));
    simulation.client("daemon", daemon(pin));
    simulation.run()
}
