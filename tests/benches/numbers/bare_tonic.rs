//! The peer of many connected edges: a plain tonic service with one bidirectional stream, as its guide has it, over TLS,
//! with every setting as it comes. It echoes what clients send, and sends one message to all streams and waits for an
//! answer of each when a client asks for it. Its server runs in a process of its own: this program, again.

use std::{
    convert::Infallible,
    fs, io,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::{Service, http},
    server::{Grpc, NamedService, StreamingService},
    transport::{Endpoint, Server, server::Connected},
};
use tonic_prost::ProstCodec;

use crate::crowd::Member;

/// The argument that makes this program the server.
pub const ROLE: &str = "bare-tonic-server";
/// What the server prints in front of its address.
pub const READY: &str = "listening on";
/// The name in its certificate.
pub const HOST: &str = "localhost";
/// As many bytes as a sealed heartbeat has.
const HEARTBEAT: usize = 150;

/// A message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Echoed {
    #[prost(bytes = "vec", tag = "1")]
    body: Vec<u8>,
}

/// The first byte of a message that a client sends to be echoed.
const ECHO: u8 = b'x';
/// Of one that asks for a message to all other streams. The answer holds how many microseconds it took.
const CONDUCT: u8 = b'c';
/// Of one to all streams, and of the answers to it.
const FAN_OUT: u8 = b'o';

/// Where one stream's messages go.
type Outgoing = mpsc::Sender<Result<Echoed, Status>>;

#[derive(Clone, Default)]
struct Echo {
    streams: Arc<Mutex<Vec<Outgoing>>>,
    answers: Arc<AtomicUsize>,
    answered: Arc<Notify>,
}

impl Echo {
    /// One message to every stream, and an answer of each.
    async fn fan_out(&self) -> Duration {
        let streams = self.streams.lock().unwrap().clone();
        self.answers.store(0, Ordering::Release);
        let start = Instant::now();
        for stream in &streams {
            drop(stream.send(Ok(message(FAN_OUT))).await);
        }
        while self.answers.load(Ordering::Acquire) < streams.len() {
            self.answered.notified().await;
        }
        start.elapsed()
    }
}

fn message(kind: u8) -> Echoed {
    let mut body = vec![b'.'; HEARTBEAT];
    body[0] = kind;
    Echoed { body }
}

impl NamedService for Echo {
    const NAME: &'static str = "bare.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            Ok(Grpc::new(ProstCodec::<Echoed, Echoed>::default()).streaming(echo, request).await)
        })
    }
}

impl StreamingService<Echoed> for Echo {
    type Response = Echoed;
    type ResponseStream = ReceiverStream<Result<Echoed, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Echoed>>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let (answers, answered) = mpsc::channel(16);
            let mut messages = request.into_inner();
            tokio::spawn(async move {
                let mut registered = false;
                while let Ok(Some(message)) = messages.message().await {
                    let answer = match message.body.first() {
                        Some(&FAN_OUT) => {
                            echo.answers.fetch_add(1, Ordering::AcqRel);
                            echo.answered.notify_one();
                            continue;
                        }
                        Some(&CONDUCT) => {
                            Echoed { body: echo.fan_out().await.as_micros().to_string().into() }
                        }
                        _ => message,
                    };
                    if !registered {
                        registered = true;
                        // The conductor isn't one of those that are sent to.
                        if answer.body.first() == Some(&ECHO) {
                            echo.streams.lock().unwrap().push(answers.clone());
                        }
                    }
                    if answers.send(Ok(answer)).await.is_err() {
                        return;
                    }
                }
            });
            Ok(Response::new(ReceiverStream::new(answered)))
        })
    }
}

/// A connection, for tonic; the same as its own TLS support has.
struct Secure(TlsStream<TcpStream>);

impl Connected for Secure {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Secure {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Secure {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Serves until it is ended.
pub async fn serve(chain: &Path, key: &Path) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{READY} {}", listener.local_addr().unwrap());
    let (ready, accepted) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let (handshake, ready) = (acceptor.accept(stream), ready.clone());
            tokio::spawn(async move {
                if let Ok(stream) = handshake.await {
                    drop(ready.send(Ok::<_, io::Error>(Secure(stream))).await);
                }
            });
        }
    });
    Server::builder()
        .add_service(Echo::default())
        .serve_with_incoming(ReceiverStream::new(accepted))
        .await
        .unwrap();
}

/// How clients do TLS: with the CA of this file.
pub fn client_tls(ca_pem: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// An open stream.
struct Live {
    outgoing: mpsc::Sender<Echoed>,
    answers: Streaming<Echoed>,
}

impl Live {
    /// Connects, and sends the first message.
    async fn open(address: String, tls: TlsConnector, first: Echoed) -> Result<Self, Status> {
        let broken = |error: tonic::transport::Error| Status::unavailable(format!("{error:?}"));
        let connector = tower::service_fn(move |_| {
            let (address, tls) = (address.clone(), tls.clone());
            async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let name = HOST.try_into().map_err(io::Error::other)?;
                io::Result::Ok(TokioIo::new(tls.connect(name, stream).await?))
            }
        });
        let uri = format!("http://{HOST}");
        let endpoint = Endpoint::from_shared(uri).map_err(broken)?;
        let channel = endpoint.connect_with_connector(connector).await.map_err(broken)?;
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.map_err(broken)?;
        let (outgoing, messages) = mpsc::channel(16);
        let mut live = outgoing.clone();
        Self::send(&mut live, first).await?;
        let path = http::uri::PathAndQuery::from_static("/bare.Echo/Stream");
        let codec = ProstCodec::<Echoed, Echoed>::default();
        let request = Request::new(ReceiverStream::new(messages));
        let answers = client.streaming(request, path, codec).await?.into_inner();
        Ok(Self { outgoing, answers })
    }

    async fn send(outgoing: &mut mpsc::Sender<Echoed>, message: Echoed) -> Result<(), Status> {
        outgoing.send(message).await.map_err(|_| Status::unavailable("the stream takes nothing more"))
    }

    async fn next(&mut self) -> Result<Echoed, Status> {
        self.answers.message().await?.ok_or_else(|| Status::unavailable("the stream has ended"))
    }
}

/// Connects, sends a message in each round, and answers those of a fan-out.
pub async fn live(mut member: Member, address: String, tls: TlsConnector) -> Result<(), Status> {
    let permit = member.enter().await;
    let mut live = Live::open(address, tls, message(ECHO)).await?;
    live.next().await?;
    drop(permit);
    member.joined();
    loop {
        tokio::select! {
            more = member.next_round() => {
                if !more {
                    return Ok(());
                }
                Live::send(&mut live.outgoing, message(ECHO)).await?;
            }
            answer = live.next() => {
                let answer = answer?;
                if answer.body.first() == Some(&FAN_OUT) {
                    Live::send(&mut live.outgoing, message(FAN_OUT)).await?;
                } else {
                    member.answered();
                }
            }
        }
    }
}

/// Lets the server send one message to all streams and wait for their answers. Gives how long that took there.
pub async fn fan_out(address: String, tls: TlsConnector) -> Result<Duration, Status> {
    let mut live = Live::open(address, tls, message(CONDUCT)).await?;
    let took = String::from_utf8_lossy(&live.next().await?.body).parse().expect("a number");
    Ok(Duration::from_micros(took))
}

/// Writes a CA's certificate and a server's into `folder`, and gives the former.
pub fn certificates(folder: &Path) -> String {
    let now = jiff::Timestamp::now();
    let authority = aegis_wire::tls::Authority::generate("bench", now).unwrap();
    let issued = authority.issue(&[HOST.to_owned()], now).unwrap();
    fs::write(folder.join("chain.pem"), issued.chain_pem).unwrap();
    fs::write(folder.join("key.pem"), issued.key_pem).unwrap();
    authority.certificate_pem().to_owned()
}
