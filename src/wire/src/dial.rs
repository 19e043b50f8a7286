//! Connections from here to a controller: TCP or an injected dialer, TLS with the pinned CA, HTTP/2.

use std::{error::Error, future::Future, io, pin::Pin, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tower::service_fn;

use crate::{
    endpoint::Endpoint,
    error::ApiError,
    tls::{CaFingerprint, client_config, untrusted_reason},
};

/// A connection must be there within this time, TLS included.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How often HTTP/2 asks whether the other side is still there.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
/// How long it waits for the answer.
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);
/// HTTP/2 windows, in bytes: small, since messages are small and there is one long stream.
const STREAM_WINDOW: u32 = 64 * 1024;
/// For all streams of the connection together; lists come from the server in megabytes.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// A byte stream to somewhere.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}
/// Any byte stream.
pub type BoxedIo = Box<dyn Io>;
/// What a [`Dialer`] gives.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<BoxedIo>> + Send>>;

/// Opens byte streams: TCP, through a proxy, or in a simulated network.
pub trait Dialer: Send + Sync + 'static {
    /// Opens one to `endpoint`. TLS comes on top of it.
    fn dial(&self, endpoint: &Endpoint) -> Dialing;
}

/// Plain TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpDialer;

impl Dialer for TcpDialer {
    fn dial(&self, endpoint: &Endpoint) -> Dialing {
        let endpoint = endpoint.clone();
        Box::pin(async move {
            let stream = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxedIo)
        })
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The network, the name, or nobody listening.
    #[error("can't reach {endpoint}: {reason}")]
    Unreachable {
        /// Where to.
        endpoint: Endpoint,
        /// Why.
        reason: String,
    },
    /// It took longer than [`CONNECT_WITHIN`].
    #[error("can't reach {endpoint}: no answer within {} s", CONNECT_WITHIN.as_secs())]
    TimedOut {
        /// Where to.
        endpoint: Endpoint,
    },
    /// Somebody answered who isn't who they should be.
    #[error("{endpoint} isn't the pinned controller: {reason}")]
    Untrusted {
        /// Where to.
        endpoint: Endpoint,
        /// What doesn't fit.
        reason: String,
    },
    /// Plain text is for loopback only.
    #[error("plain text to {endpoint} is refused, it isn't loopback")]
    PlaintextRefused {
        /// Where to.
        endpoint: Endpoint,
    },
}

impl DialError {
    /// What to do about it.
    pub(crate) fn way_out(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                "check the endpoint, and that the controller runs there"
            }
            Self::Untrusted { .. } => {
                "don't go on unless you know why the CA changed; then take a new context or enrolment token"
            }
            Self::PlaintextRefused { .. } => "use TLS: give the CA's fingerprint instead of plaintext",
        }
    }

    /// The dial error somewhere below `error`, if one is there.
    pub(crate) fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(current) = next {
            if let Some(dial) = current.downcast_ref::<Self>() {
                return Some(dial.clone());
            }
            next = current.source();
        }
        None
    }
}

/// A connection for the clients of this crate. Cheap to clone; clones share it. If it breaks, the next call dials anew.
#[derive(Debug, Clone)]
pub struct Channel(tonic::transport::Channel);

impl Channel {
    pub(crate) fn into_tonic(self) -> tonic::transport::Channel {
        self.0
    }
}

/// Connects over TLS to a controller whose CA has this fingerprint.
pub async fn connect(
    endpoint: &Endpoint,
    pin: &CaFingerprint,
    dialer: Arc<dyn Dialer>,
) -> Result<Channel, ApiError> {
    let tls = TlsConnector::from(Arc::new(client_config(pin)));
    open(endpoint, Some(tls), dialer).await
}

/// Connects in plain text, to this machine only.
pub async fn connect_plaintext(endpoint: &Endpoint, dialer: Arc<dyn Dialer>) -> Result<Channel, ApiError> {
    if !endpoint.is_loopback() {
        return Err(DialError::PlaintextRefused { endpoint: endpoint.clone() }.into());
    }
    open(endpoint, None, dialer).await
}

async fn open(
    endpoint: &Endpoint,
    tls: Option<TlsConnector>,
    dialer: Arc<dyn Dialer>,
) -> Result<Channel, ApiError> {
    // The scheme says `http` because tonic takes no part in the TLS below.
    let uri = format!("http://{endpoint}");
    let settings = tonic::transport::Endpoint::from_shared(uri)
        .map_err(|error| ApiError::invalid(format!("{endpoint}: {error}")))?
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_WITHIN)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let target = endpoint.clone();
    let connector = service_fn(move |_| {
        let (target, tls, dialing) = (target.clone(), tls.clone(), dialer.dial(&target));
        async move { establish(target, tls, dialing).await.map(TokioIo::new) }
    });
    match settings.connect_with_connector(connector).await {
        Ok(channel) => Ok(Channel(channel)),
        Err(error) => Err(DialError::find(&error).map_or_else(|| ApiError::broken(&error), ApiError::from)),
    }
}

/// One byte stream, with TLS on it, in time.
async fn establish(
    endpoint: Endpoint,
    tls: Option<TlsConnector>,
    dialing: Dialing,
) -> Result<BoxedIo, DialError> {
    let steps = async {
        let unreachable = |reason: String| DialError::Unreachable { endpoint: endpoint.clone(), reason };
        let stream = dialing.await.map_err(|error| unreachable(plain_reason(&error)))?;
        let Some(tls) = tls else { return Ok(stream) };
        let name = ServerName::try_from(endpoint.host().to_owned())
            .map_err(|_| unreachable("the host is no name that a certificate could have".to_owned()))?;
        match tls.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream) as BoxedIo),
            Err(error) => Err(match untrusted_reason(&error) {
                Some(reason) => DialError::Untrusted { endpoint: endpoint.clone(), reason },
                None => unreachable(plain_reason(&error)),
            }),
        }
    };
    match tokio::time::timeout(CONNECT_WITHIN, steps).await {
        Ok(result) => result,
        Err(_) => Err(DialError::TimedOut { endpoint: endpoint.clone() }),
    }
}

/// The system's words without its number: "connection refused".
fn plain_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::UnexpectedEof => "it closed the connection during the handshake".to_owned(),
        _ => error.to_string(),
    }
}
