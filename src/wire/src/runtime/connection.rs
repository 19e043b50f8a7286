//! One request over the daemon's socket, and what can go wrong before an answer.

use std::{convert::Infallible, io, path::Path};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, task::AbortHandle};

use super::{ErrorBody, RuntimeError};

/// More than this is no answer of the daemon's: lists of ten thousand objects are a tenth of it.
const MOST: usize = 64 << 20;

/// What a request carries.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A body that is there already.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// What a request is, but for its body.
pub(super) struct Call<'a> {
    pub method: Method,
    pub path: &'a str,
    pub content_type: &'static str,
}

/// An answer whose body comes yet. Dropping it ends the connection, by which the daemon knows that nobody listens.
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Incoming,
    pub connection: Connection,
}

/// A connection that ends with this value.
pub(super) struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends a request, each on a connection of its own: a local socket costs nothing, and a stream hinders nobody.
pub(super) async fn send(socket: &Path, call: Call<'_>, body: Body) -> Result<Answer, RuntimeError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(socket, &error))?;
    let (mut sender, connection) =
        http1::handshake::<_, Body>(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let connection = Connection(tokio::spawn(connection).abort_handle());
    let request = Request::builder()
        .method(call.method)
        .uri(call.path)
        .header(header::HOST, "aegisd")
        .header(header::CONTENT_TYPE, call.content_type)
        .body(body)
        .map_err(|error| RuntimeError::bad_request(format!("{}: {error}", call.path)))?;
    let answer: Response<Incoming> = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let (head, body) = answer.into_parts();
    let answer = Answer { status: head.status, body, connection };
    if head.status.is_success() { Ok(answer) } else { Err(refused(answer).await) }
}

impl Answer {
    /// The body as a whole.
    pub(super) async fn read(self) -> Result<Bytes, RuntimeError> {
        // The connection must live until the body is read.
        let Self { body, connection, .. } = self;
        let read = Limited::new(body, MOST).collect().await;
        drop(connection);
        match read {
            Ok(read) => Ok(read.to_bytes()),
            Err(error) => Err(RuntimeError::internal(format!("aegisd's answer broke off: {error}"))),
        }
    }
}

async fn refused(answer: Answer) -> RuntimeError {
    let status = answer.status;
    let body = match answer.read().await {
        Ok(body) => body,
        Err(error) => return error,
    };
    if let Ok(ErrorBody { error }) = serde_json::from_slice::<ErrorBody>(&body) {
        let (code, message, hint) = (error.code, error.message, error.hint);
        return RuntimeError { status: status.as_u16(), code, message, hint };
    }
    let text = String::from_utf8_lossy(&body);
    let message = format!("aegisd answered {status}: {}", text.trim());
    RuntimeError::new(status.as_u16(), "internal", message.trim_end_matches([':', ' ']))
}

/// Nobody answers at the socket.
fn unreachable(socket: &Path, error: &io::Error) -> RuntimeError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => RuntimeError::not_running(),
        io::ErrorKind::PermissionDenied => RuntimeError::new(
            403,
            "permission_denied",
            format!("{} belongs to another user's aegisd", socket.display()),
        )
        .hint("`aegis up` starts your own; AEGIS_HOME says where"),
        io::ErrorKind::InvalidInput => RuntimeError::bad_request(format!("{}: {error}", socket.display()))
            .hint("a socket's path is at most 107 bytes long; set AEGIS_HOME to a shorter one"),
        _ => RuntimeError::internal(format!("{}: {error}", socket.display())),
    }
}

pub(super) fn broken(error: &hyper::Error) -> RuntimeError {
    RuntimeError::new(502, RuntimeError::BROKEN, format!("the connection to aegisd broke: {error}"))
        .hint("`aegis status` says whether it runs; its log is data/aegisd.log beneath AEGIS_HOME")
}
