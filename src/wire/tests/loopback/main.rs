//! Clients and a server of this crate over real sockets on loopback, with small made-up services behind them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod controller;
mod listener;
mod operator;
mod operator_fake;
mod runs;
mod simulated;
mod stream;
mod trust;

use std::sync::Arc;

use aegis_wire::{
    CaFingerprint, Endpoint,
    dial::{self, Channel, TcpDialer},
    server::{self, Services},
    tls::{Authority, ServerIdentity, TlsConfig},
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use controller::Controller;
use operator_fake::Desk;

/// Certificates are checked by rustls against the system's clock, so they are made by it too.
#[allow(clippy::disallowed_methods, reason = "rustls reads the same clock")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A CA that nobody has seen before.
fn authority() -> Authority {
    Authority::generate("test CA", now()).unwrap()
}

/// A server that runs.
struct Running {
    endpoint: Endpoint,
    pin: CaFingerprint,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Over TLS, with a certificate for `names`.
    async fn start(names: &[&str]) -> Self {
        let (authority, now) = (authority(), now());
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let issued = authority.issue(&names, now).unwrap();
        let identity = ServerIdentity::from_pem(&issued.chain_pem, &issued.key_pem).unwrap();
        assert_eq!(identity.ca_fingerprint(), Some(authority.fingerprint()));
        Self::serve(Some(TlsConfig::new(identity).unwrap()), authority.fingerprint()).await
    }

    async fn plaintext() -> Self {
        let unused = authority().fingerprint();
        Self::serve(None, unused).await
    }

    async fn serve(tls: Option<TlsConfig>, pin: CaFingerprint) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel::<()>();
        let controller = Arc::new(Controller);
        let services = Services {
            enrollment: controller.clone(),
            edge: controller,
            operator: Arc::new(Desk::default()),
        };
        let serving = tokio::spawn(server::serve(server::tcp_connections(listener), tls, services, async {
            let _ = stopped.await;
        }));
        Self { endpoint: Endpoint::new("127.0.0.1", port).unwrap(), pin, stop: Some(stop), serving }
    }

    async fn connect(&self) -> Channel {
        dial::connect(&self.endpoint, &self.pin, Arc::new(TcpDialer)).await.unwrap()
    }

    async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.serving.await.unwrap().unwrap();
    }
}
