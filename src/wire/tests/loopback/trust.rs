//! Who is trusted, and what a caller gets to hear when nobody is.

use std::{io, sync::Arc, time::Duration};

use aegis_wire::{
    ApiError, Code, Endpoint,
    dial::{self, Dialer, Dialing, TcpDialer},
    operator::OperatorClient,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use crate::{Running, authority};

async fn refusal(endpoint: &Endpoint, server: &Running) -> ApiError {
    dial::connect(endpoint, &server.pin, Arc::new(TcpDialer)).await.unwrap_err()
}

#[tokio::test]
async fn another_ca_is_an_untrusted_server() {
    let mut server = Running::start(&["127.0.0.1"]).await;
    server.pin = authority().fingerprint();
    let error = refusal(&server.endpoint, &server).await;
    assert_eq!(error.code, Code::UntrustedServer, "{error}");
    let words = format!("{} isn't the pinned controller: its certificates don't come from", server.endpoint);
    assert!(error.message.starts_with(&words), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_an_untrusted_server() {
    let server = Running::start(&["relay.example"]).await;
    let error = refusal(&server.endpoint, &server).await;
    assert_eq!(error.code, Code::UntrustedServer, "{error}");
    assert!(error.message.ends_with("its certificate is for another name"), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let server = Running::start(&["127.0.0.1"]).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let endpoint = Endpoint::new("127.0.0.1", free).unwrap();
    let error = refusal(&endpoint, &server).await;
    assert_eq!(error.code, Code::Unavailable);
    assert_eq!(error.message, format!("can't reach 127.0.0.1:{free}: connection refused"));
    assert!(error.hint.is_some());
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_unavailable_not_trusted() {
    let server = Running::plaintext().await;
    let error = refusal(&server.endpoint, &server).await;
    assert_eq!(error.code, Code::Unavailable, "{error}");
}

/// Opens connections on which nothing ever comes.
struct Silence;

impl Dialer for Silence {
    fn dial(&self, _: &Endpoint) -> Dialing {
        Box::pin(async {
            let (near, far) = tokio::io::duplex(64 * 1024);
            // Kept open for longer than anybody waits.
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_hours(1)).await;
                drop(far);
            });
            Ok(Box::new(near) as dial::BoxedIo)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_in_time() {
    let pin = authority().fingerprint();
    let endpoint = Endpoint::new("127.0.0.1", 1).unwrap();
    let begin = tokio::time::Instant::now();
    let error = dial::connect(&endpoint, &pin, Arc::new(Silence)).await.unwrap_err();
    assert_eq!(error.message, "can't reach 127.0.0.1:1: no answer within 10 s");
    assert_eq!(begin.elapsed().as_secs(), dial::CONNECT_WITHIN.as_secs());
}

/// Fails as a proxy would.
struct NoProxy;

impl Dialer for NoProxy {
    fn dial(&self, _: &Endpoint) -> Dialing {
        Box::pin(async { Err(io::Error::other("the proxy says 407")) })
    }
}

#[tokio::test]
async fn a_dialers_own_words_reach_the_caller() {
    let server = Running::start(&["127.0.0.1"]).await;
    let error = dial::connect(&server.endpoint, &server.pin, Arc::new(NoProxy)).await.unwrap_err();
    assert_eq!(error.message, format!("can't reach {}: the proxy says 407", server.endpoint));
}

#[tokio::test]
async fn plain_text_is_for_loopback_only() {
    let server = Running::plaintext().await;
    let channel = dial::connect_plaintext(&server.endpoint, Arc::new(TcpDialer)).await.unwrap();
    let client = OperatorClient::new(channel, "good").unwrap();
    assert_eq!(client.who_am_i().await.unwrap().subject, "ann");
    let elsewhere = Endpoint::new("192.0.2.1", 50056).unwrap();
    let error = dial::connect_plaintext(&elsewhere, Arc::new(TcpDialer)).await.unwrap_err();
    assert_eq!(error.code, Code::Invalid);
}

#[tokio::test]
async fn bad_connections_disturb_nobody() {
    let server = Running::start(&["127.0.0.1"]).await;
    let address = (server.endpoint.host(), server.endpoint.port());
    let _silent = TcpStream::connect(address).await.unwrap();
    let mut garbage = TcpStream::connect(address).await.unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    drop(TcpStream::connect(address).await.unwrap());
    let client = OperatorClient::new(server.connect().await, "good").unwrap();
    assert_eq!(client.who_am_i().await.unwrap().subject, "ann");
}

#[tokio::test]
async fn a_server_that_goes_away_is_unavailable() {
    let server = Running::start(&["127.0.0.1"]).await;
    let client = OperatorClient::new(server.connect().await, "good").unwrap();
    client.who_am_i().await.unwrap();
    let endpoint = server.endpoint.clone();
    server.stop().await;
    let error = client.who_am_i().await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error}");
    assert!(error.message.contains(&endpoint.to_string()), "{error}");
}
