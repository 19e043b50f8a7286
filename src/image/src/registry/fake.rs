//! A registry in this process, with every fault that one can have.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::{
    Digest,
    layer::{Compression, tests::compress},
    manifest::{Config, Manifest, Platform, RootFs},
};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Who may ask.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Door {
    #[default]
    Open,
    Basic,
    /// A token for everybody.
    Token,
    /// A token for `user:secret`.
    Guarded,
    /// A token for the refresh token `refresh`.
    Identity,
    Shut,
}

/// How the registry behaves.
#[derive(Default)]
pub struct Behaviour {
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    /// By tag and by digest.
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub door: Door,
    /// Blobs that come with one bit changed.
    pub corrupt: BTreeSet<Digest>,
    /// Blobs that stop in the middle, for ever.
    pub stalling: BTreeSet<Digest>,
    /// How many requests for blobs break off in the middle.
    pub breaking: usize,
    /// How many requests get a 503.
    pub failing: usize,
    /// Says no digests in answer to HEAD.
    pub is_terse: bool,
    /// Where blobs are.
    pub blobs_at: Option<String>,
    /// What was asked: method, path, and the header `Authorization`.
    pub log: Vec<(String, String, Option<String>)>,
    /// Waits so long before each blob.
    pub delay: std::time::Duration,
}

impl Behaviour {
    /// How often something with this in its path was asked for.
    pub fn asked(&self, part: &str) -> usize {
        self.log.iter().filter(|(_, path, _)| path.contains(part)).count()
    }

    /// Takes an image of these layers under a tag; says its digest.
    pub fn image(&mut self, tag: &str, layers: &[(&[u8], Compression)]) -> Digest {
        let (digest, bytes) = self.manifest(layers, &Platform::host().architecture);
        self.manifests.insert(tag.to_owned(), (MANIFEST.to_owned(), bytes));
        digest
    }

    /// Takes an image without a tag.
    pub fn manifest(&mut self, layers: &[(&[u8], Compression)], architecture: &str) -> (Digest, Vec<u8>) {
        let diff_ids = layers.iter().map(|(layer, _)| Digest::of(layer)).collect();
        let layers: Vec<(Digest, u64, Compression)> = layers
            .iter()
            .map(|(layer, compression)| {
                let blob = compress(layer, *compression);
                (self.blob(&blob), blob.len() as u64, *compression)
            })
            .collect();
        let rootfs = RootFs { kind: "layers".to_owned(), diff_ids };
        let (os, created) = ("linux".to_owned(), Some("2026-01-01T00:00:00Z".to_owned()));
        let config = Config { architecture: architecture.to_owned(), os, created, rootfs };
        let config = serde_json::to_vec(&config).unwrap();
        let manifest = Manifest::new((self.blob(&config), config.len() as u64), layers);
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let digest = Digest::of(&bytes);
        self.manifests.insert(digest.to_string(), (MANIFEST.to_owned(), bytes.clone()));
        (digest, bytes)
    }

    pub fn blob(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.blobs.insert(digest, bytes.to_owned());
        digest
    }

    fn may(&self, authorization: Option<&str>) -> bool {
        match self.door {
            Door::Open => true,
            Door::Basic => authorization == Some(&basic()),
            Door::Token | Door::Guarded | Door::Identity => authorization == Some("Bearer opened"),
            Door::Shut => false,
        }
    }
}

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn basic() -> String {
    format!("Basic {}", STANDARD.encode("user:secret"))
}

/// A registry that runs as long as it lives.
pub struct Fake {
    pub address: SocketAddr,
    pub behaviour: Arc<Mutex<Behaviour>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// Begins to listen, with TLS if there is a configuration for it.
    pub async fn start(tls: Option<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Arc::new(Mutex::new(Behaviour::default()));
        let shared = behaviour.clone();
        let acceptor = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (behaviour, acceptor) = (shared.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(behaviour.clone(), request, address));
                    let server = hyper::server::conn::http1::Builder::new();
                    let _ = match acceptor {
                        None => server.serve_connection(TokioIo::new(stream), service).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => server.serve_connection(TokioIo::new(stream), service).await,
                            Err(_) => Ok(()),
                        },
                    };
                });
            }
        });
        Self { address, behaviour, task }
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut Behaviour) -> T) -> T {
        change(&mut self.behaviour.lock().unwrap())
    }

    pub fn reference(&self, tag: &str) -> crate::Reference {
        format!("{}/team/app:{tag}", self.address).parse().unwrap()
    }
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn plain(status: StatusCode) -> Response<Body> {
    Response::builder().status(status).body(full("")).unwrap()
}

async fn answer(
    behaviour: Arc<Mutex<Behaviour>>,
    request: Request<Incoming>,
    address: SocketAddr,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let form = body
        .collect()
        .await
        .map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned())
        .unwrap_or_default();
    let delay = behaviour.lock().unwrap().delay;
    if head.uri.path().contains("/blobs/") {
        tokio::time::sleep(delay).await;
    }
    let mut behaviour = behaviour.lock().unwrap();
    Ok(respond(&mut behaviour, &head.method, &head.uri.to_string(), &head.headers, &form, address))
}

fn respond(
    behaviour: &mut Behaviour,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    form: &str,
    address: SocketAddr,
) -> Response<Body> {
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    behaviour.log.push((method.to_string(), path.to_owned(), authorization.clone()));
    if path.starts_with("/token") {
        let is_right = match behaviour.door {
            Door::Guarded => authorization == Some(basic()),
            Door::Identity => method == Method::POST && form.contains("refresh_token=refresh"),
            _ => true,
        };
        assert!(
            path.contains("scope=repository%3Ateam%2Fapp%3Apull") || form.contains("scope=repository%3Ateam")
        );
        let status = if is_right { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        return Response::builder().status(status).body(full(r#"{"access_token": "opened"}"#)).unwrap();
    }
    if behaviour.failing > 0 {
        behaviour.failing -= 1;
        return plain(StatusCode::SERVICE_UNAVAILABLE);
    }
    if !behaviour.may(authorization.as_deref()) {
        let challenge = match behaviour.door {
            Door::Basic => "Basic realm=\"x\"".to_owned(),
            _ => format!(
                "Bearer realm=\"http://{address}/token\",service=\"fake\",scope=\"repository:team/app:pull\""
            ),
        };
        let response =
            Response::builder().status(StatusCode::UNAUTHORIZED).header(header::WWW_AUTHENTICATE, challenge);
        return response.body(full("")).unwrap();
    }
    if let Some(named) = path.strip_prefix("/v2/team/app/manifests/") {
        let Some((media_type, bytes)) = behaviour.manifests.get(named) else {
            return plain(StatusCode::NOT_FOUND);
        };
        let mut response = Response::builder().header(header::CONTENT_TYPE, media_type);
        if !behaviour.is_terse {
            response = response.header("docker-content-digest", Digest::of(bytes).to_string());
        }
        return response.body(full(bytes.clone())).unwrap();
    }
    let digest = path.strip_prefix("/v2/team/app/blobs/").and_then(|digest| digest.parse::<Digest>().ok());
    let Some(bytes) = digest.and_then(|digest| behaviour.blobs.get(&digest)) else {
        return plain(StatusCode::NOT_FOUND);
    };
    if let Some(at) = &behaviour.blobs_at {
        let location = format!("{at}{path}");
        return Response::builder().status(307).header(header::LOCATION, location).body(full("")).unwrap();
    }
    blob(behaviour, digest.unwrap(), bytes.clone())
}

fn blob(behaviour: &mut Behaviour, digest: Digest, mut bytes: Vec<u8>) -> Response<Body> {
    let length = bytes.len();
    if behaviour.corrupt.contains(&digest) {
        bytes[length / 2] ^= 1;
    }
    let first = Bytes::from(bytes[..length / 2].to_owned());
    let second = Bytes::from(bytes[length / 2..].to_owned());
    let first = stream::iter([Ok(Frame::data(first))]);
    let body: Body = if behaviour.stalling.contains(&digest) {
        StreamBody::new(first.chain(stream::pending())).boxed_unsync()
    } else if behaviour.breaking > 0 {
        behaviour.breaking -= 1;
        let broken = stream::iter([Err(std::io::Error::other("broken off"))]);
        StreamBody::new(first.chain(broken)).boxed_unsync()
    } else {
        StreamBody::new(first.chain(stream::iter([Ok(Frame::data(second))]))).boxed_unsync()
    };
    Response::builder().header(header::CONTENT_LENGTH, length).body(body).unwrap()
}
