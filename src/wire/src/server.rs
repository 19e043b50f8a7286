//! The listening end: TLS handshakes, one task a connection, all three services.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::{Server, server::Connected};

use crate::{
    edge::{EdgeAdapter, EdgeService},
    enrollment::{EnrollmentAdapter, EnrollmentService},
    envelope::MAX_ENVELOPE,
    error::ApiError,
    first_message::Limited,
    operator::{MAX_MESSAGE, OperatorAdapter, OperatorService},
    proto::{edge_server::EdgeServer, enrollment_server::EnrollmentServer, operator_server::OperatorServer},
    tls::TlsConfig,
};

/// Who connects and then says nothing is sent away after this time.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// After an error of the listener, such as too many open files, it rests for this time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long calls may go on after the shutdown signal.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(10);
/// How often HTTP/2 asks whether the other side is still there, and how long it waits for the answer.
const KEEPALIVE_EVERY: Duration = Duration::from_mins(1);
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(20);
/// Streams a connection may have at once. A daemon has one, the CLI a few, a relay ten thousand.
const MAX_STREAMS: u32 = 16_384;
/// HTTP/2 windows, in bytes.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Handshakes under way at once. When a whole fleet comes back, the others wait in the listener's queue: those that are
/// under way get done in time, and strangers can't take more memory than this many of them.
const HANDSHAKES: usize = 512;
/// Finished handshakes that wait to be served.
const ACCEPTED_QUEUE: usize = 64;

/// The services of a controller.
#[derive(Debug)]
pub struct Services<N, E, O> {
    /// For hosts that enrol.
    pub enrollment: Arc<N>,
    /// For daemons.
    pub edge: Arc<E>,
    /// For operators.
    pub operator: Arc<O>,
}

/// The connections of a TCP listener.
pub fn tcp_connections(
    listener: TcpListener,
) -> impl Stream<Item = io::Result<(TcpStream, SocketAddr)>> + Send {
    futures::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.and_then(|(stream, peer)| {
            stream.set_nodelay(true)?;
            Ok((stream, peer))
        });
        Some((accepted, listener))
    })
}

/// Serves until `shutdown` ends, or the listener does. A connection that fails ends alone.
///
/// After `shutdown`, streams of daemons end when their services end them; what is left after ten seconds is cut off.
pub async fn serve<L, IO, N, E, O>(
    connections: L,
    tls: Option<TlsConfig>,
    services: Services<N, E, O>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()>
where
    L: Stream<Item = io::Result<(IO, SocketAddr)>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    N: EnrollmentService,
    E: EdgeService,
    O: OperatorService,
{
    let (sender, receiver) = mpsc::channel(ACCEPTED_QUEUE);
    let acceptor = tls.map(|config| TlsAcceptor::from(config.0));
    let accepting = tokio::spawn(accept(connections, acceptor, sender));
    let incoming = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|connection| (Ok::<_, io::Error>(connection), receiver))
    });
    let edge = EdgeServer::new(EdgeAdapter(services.edge))
        .max_decoding_message_size(MAX_ENVELOPE)
        .max_encoding_message_size(MAX_ENVELOPE);
    let operator = OperatorServer::new(OperatorAdapter(services.operator))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_WITHIN))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(EnrollmentServer::new(EnrollmentAdapter(services.enrollment)))
        .add_service(Limited(edge))
        .add_service(operator)
        .serve_with_incoming_shutdown(incoming, async move {
            shutdown.await;
            // The receiver is gone only when serving has ended already.
            let _ = stopping.send(());
        });
    let overdue = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(SHUTDOWN_WITHIN).await,
            Err(_) => std::future::pending().await,
        }
    };
    let result = tokio::select! {
        result = serving => result.map_err(io::Error::other),
        () = overdue => Ok(()),
    };
    accepting.abort();
    result
}

/// Takes connections and shakes hands with each in a task of its own, so that a slow one holds up nobody.
async fn accept<L, IO>(connections: L, tls: Option<TlsAcceptor>, ready: mpsc::Sender<Connection<IO>>)
where
    L: Stream<Item = io::Result<(IO, SocketAddr)>>,
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut connections = pin!(connections);
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        // Before the next connection is taken, so that it waits where it costs nothing. It is never closed.
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        let Some(accepted) = connections.next().await else { return };
        match (accepted, &tls) {
            (Err(error), _) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (Ok((stream, peer)), None) => {
                if ready.send(Connection { peer, layer: Layer::Plain(stream) }).await.is_err() {
                    return;
                }
            }
            (Ok((stream, peer)), Some(acceptor)) => {
                let (handshake, ready) = (acceptor.accept(stream), ready.clone());
                tokio::spawn(async move {
                    let _permit = permit;
                    match tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await {
                        // Nobody receives any more when the server has stopped.
                        Ok(Ok(stream)) => {
                            let layer = Layer::Tls(Box::new(stream));
                            drop(ready.send(Connection { peer, layer }).await);
                        }
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "no handshake"),
                        Err(_) => tracing::debug!(%peer, "no handshake in time"),
                    }
                });
            }
        }
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(SocketAddr);

/// The address of a request's other end.
pub(crate) fn peer_of<T>(request: &tonic::Request<T>) -> Result<SocketAddr, ApiError> {
    // Every connection comes through `serve`, which sets it.
    request
        .extensions()
        .get::<Peer>()
        .map(|peer| peer.0)
        .ok_or_else(|| ApiError::internal("a request without a peer"))
}

struct Connection<IO> {
    peer: SocketAddr,
    layer: Layer<IO>,
}

enum Layer<IO> {
    Plain(IO),
    /// In a box: it is 1.2 KiB that would otherwise stand several times in the connection's task.
    Tls(Box<TlsStream<IO>>),
}

impl<IO> Connected for Connection<IO> {
    type ConnectInfo = Peer;
    fn connect_info(&self) -> Peer {
        Peer(self.peer)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.layer {
            Layer::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Layer::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.layer {
            Layer::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Layer::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.layer {
            Layer::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Layer::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.layer {
            Layer::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Layer::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.layer {
            Layer::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Layer::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }
    fn is_write_vectored(&self) -> bool {
        match &self.layer {
            Layer::Plain(stream) => stream.is_write_vectored(),
            Layer::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
