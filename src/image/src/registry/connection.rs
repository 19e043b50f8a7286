//! One request over one connection. Nothing waits longer than the idle time-out for the other side.

use std::{fs, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{io, net::TcpStream, sync::OnceCell, time::timeout};
use tokio_rustls::TlsConnector;

use super::{
    RegistryConfig,
    origin::{Origin, registry_error},
};
use crate::ImageError;

/// Opens connections.
#[derive(Clone)]
pub struct Connector {
    config: Arc<RegistryConfig>,
    /// Made when it is first needed: reading the system's certificates takes some milliseconds.
    tls: Arc<OnceCell<TlsConnector>>,
}

/// A request: where and for what.
pub struct Ask<'a> {
    /// GET, HEAD or POST.
    pub method: Method,
    /// The server.
    pub origin: &'a Origin,
    /// Path and query.
    pub path: &'a str,
    /// Media types.
    pub accept: Option<String>,
    /// The value of the header.
    pub authorization: Option<&'a str>,
    /// A form to be posted.
    pub form: Option<String>,
}

/// What is open as long as a response is read.
struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The content of a response, as it comes.
pub struct Content {
    incoming: Incoming,
    host: String,
    idle: Duration,
    _connection: Connection,
}

impl Connector {
    /// A connector with these rules.
    pub fn new(config: RegistryConfig) -> Self {
        Self { config: Arc::new(config), tls: Arc::new(OnceCell::new()) }
    }

    /// The rules.
    pub fn config(&self) -> &RegistryConfig {
        &self.config
    }

    /// Sends a request; the response's head is there when this returns.
    pub async fn send(&self, ask: Ask<'_>) -> Result<Response<Content>, ImageError> {
        let idle = self.config.idle_timeout;
        let host = ask.origin.to_string();
        let stalled = |_| ImageError::Stalled { host: host.clone(), idle };
        let failed = |error: hyper::Error| registry_error(&host, root_cause(&error), true);

        let origin = ask.origin;
        let dialled =
            timeout(idle, TcpStream::connect((origin.host.as_str(), origin.port))).await.map_err(stalled)?;
        let stream = dialled.map_err(|error| registry_error(&host, error, true))?;
        let _ = stream.set_nodelay(true);
        let (mut sender, connection) = if origin.is_tls {
            let stream = timeout(idle, self.secure(origin, stream)).await.map_err(stalled)??;
            serve(stream).await.map_err(failed)?
        } else {
            serve(stream).await.map_err(failed)?
        };

        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header(header::HOST, &host)
            .header(header::USER_AGENT, concat!("aegis/", env!("CARGO_PKG_VERSION")));
        if let Some(accept) = ask.accept {
            request = request.header(header::ACCEPT, accept);
        }
        if let Some(authorization) = ask.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if ask.form.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let body = Full::new(Bytes::from(ask.form.unwrap_or_default()));
        let request = request.body(body).map_err(|error| registry_error(&host, error, false))?;
        let response = timeout(idle, sender.send_request(request)).await.map_err(stalled)?.map_err(failed)?;
        Ok(response.map(|incoming| Content { incoming, host: host.clone(), idle, _connection: connection }))
    }

    async fn secure(
        &self,
        origin: &Origin,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ImageError> {
        let failed = |reason: String, is_transient| registry_error(origin, reason, is_transient);
        let connector = self.tls.get_or_try_init(|| connector(self.config.clone())).await?;
        let name =
            ServerName::try_from(origin.host.clone()).map_err(|error| failed(error.to_string(), false))?;
        connector.connect(name, stream).await.map_err(|error| {
            // A certificate doesn't become right by asking again.
            let is_refused =
                error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some();
            failed(format!("TLS failed: {error}"), !is_refused)
        })
    }
}

async fn serve<S: io::AsyncRead + io::AsyncWrite + Send + Unpin + 'static>(
    stream: S,
) -> hyper::Result<(hyper::client::conn::http1::SendRequest<Full<Bytes>>, Connection)> {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let task = tokio::spawn(async move {
        // What goes wrong here, the one who waits for the response hears.
        let _ = connection.await;
    });
    Ok((sender, Connection(task)))
}

async fn connector(config: Arc<RegistryConfig>) -> Result<TlsConnector, ImageError> {
    let made = tokio::task::spawn_blocking(move || {
        let mut roots = RootCertStore::empty();
        // Files that can't be read are left out: what then is missing shows as an unknown issuer.
        let (_, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for path in &config.authorities {
            let text = fs::read(path).map_err(ImageError::file(path))?;
            let certificates: Vec<CertificateDer<'static>> =
                CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(ImageError::malformed(path.display().to_string(), "it has no certificate"));
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| registry_error("TLS", error, false))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(tls)))
    });
    made.await.map_err(|_| ImageError::Lost("the reader of certificates"))?
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

impl Content {
    /// The next piece; none at the end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, ImageError> {
        loop {
            let frame = timeout(self.idle, self.incoming.frame()).await;
            let frame =
                frame.map_err(|_| ImageError::Stalled { host: self.host.clone(), idle: self.idle })?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(registry_error(&self.host, root_cause(&error), true)),
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }

    /// All of it, if it isn't longer than `most`.
    pub async fn whole(mut self, most: u64) -> Result<Vec<u8>, ImageError> {
        let mut all = Vec::new();
        while let Some(piece) = self.piece().await? {
            if all.len() as u64 + piece.len() as u64 > most {
                return Err(registry_error(
                    &self.host,
                    format!("its answer is longer than {most} bytes"),
                    false,
                ));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}
