//! The HTTP API: HTTP/1.1 with JSON on a socket that only this user (and root) can speak to.

mod apps;
mod call;
mod exec;
mod images;
mod instances;
mod kits;
mod openapi;
mod realm;
mod secrets;
mod status;
mod stream;
mod table;
mod tasks;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, io, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use aegis_wire::runtime::{ErrorBody, ErrorDetail, RuntimeError};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinSet,
};

pub use self::openapi::document as openapi;
use self::{
    call::{Answer, Body, Call, Content},
    table::{Found, Route, find},
};
use crate::state::Daemon;

/// The longest body of a request that isn't a stream. Secrets, environments and commands fit many times.
const LONGEST_BODY: usize = 4 * 1024 * 1024;
/// How long a client may take for the head of a request.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long requests under way may take once the daemon stops.
const DRAIN: Duration = Duration::from_secs(3);

/// Opens the socket: only this user can speak to it, and what a dead daemon left behind is removed. Whoever calls this
/// has the daemon's lock.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // The directory is 0700, so nobody could connect before this.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until `stopping` is true; then requests under way have a moment to end.
pub(crate) async fn serve(daemon: Arc<Daemon>, listener: UnixListener, mut stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, _)) if is_ours(&stream) => {
                connections.spawn(connection(daemon.clone(), stream, stopping.clone()));
            }
            Ok(_) => tracing::warn!("another user's process was turned away from the socket"),
            Err(error) => {
                // No descriptors, for instance: somebody who leaves gives one back.
                tracing::warn!(%error, "a client can't be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    // Streams that still run are cut; what they tell of is being ended anyway.
    let _ = tokio::time::timeout(DRAIN, drained).await;
}

/// Whether the process at the other end belongs to this user or to root.
fn is_ours(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

async fn connection(daemon: Arc<Daemon>, stream: UnixStream, mut stopping: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let daemon = daemon.clone();
        async move { Ok::<_, Infallible>(respond(daemon, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a client's connection broke");
    }
}

type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

async fn respond(daemon: Arc<Daemon>, request: Request<Incoming>) -> Reply {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match answer(daemon, request).await {
        Ok(answer) => reply(answer),
        Err(error) => {
            if error.status >= 500 {
                tracing::warn!(%method, path, code = error.code, error = error.message, "a request failed");
            }
            refusal(error)
        }
    }
}

async fn answer(daemon: Arc<Daemon>, request: Request<Incoming>) -> Result<Answer, RuntimeError> {
    let (head, body) = request.into_parts();
    let (route, segments) = match find(&head.method, head.uri.path()) {
        Found::Route(route, segments) => (route, segments),
        Found::OtherMethods(methods) => return Err(wrong_method(&head.method, head.uri.path(), &methods)),
        Found::Nothing => {
            return Err(RuntimeError::not_found(format!("there is no {}", head.uri.path()))
                .hint("docs/reference/aegisd-openapi.json lists what there is"));
        }
    };
    let content = match head.headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes) {
        Some(kind) if kind.starts_with(b"application/x-ndjson") => Content::Lines,
        _ => Content::Json,
    };
    let body = if route.streams && content == Content::Lines {
        Body::Stream(body)
    } else {
        Body::Whole(whole(body).await?)
    };
    let call = Call::new(segments, head.uri.query().unwrap_or_default(), content, body)?;
    run(route, daemon, call).await
}

/// Runs a handler. One that changes something goes on to its end even if the client leaves: half of a change is none.
async fn run(route: &'static Route, daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let handling = (route.run)(daemon, call);
    if route.method == Method::GET || route.streams {
        return handling.await;
    }
    match tokio::spawn(handling).await {
        Ok(answer) => answer,
        Err(error) => Err(RuntimeError::internal(format!("the request ended abruptly: {error}"))),
    }
}

async fn whole(body: Incoming) -> Result<Bytes, RuntimeError> {
    match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(RuntimeError::too_large(format!("the body is longer than {LONGEST_BODY} bytes")))
        }
        Err(error) => Err(RuntimeError::bad_request(format!("the body broke off: {error}"))),
    }
}

fn wrong_method(method: &Method, path: &str, others: &[Method]) -> RuntimeError {
    let others: Vec<&str> = others.iter().map(Method::as_str).collect();
    RuntimeError::new(404, "not_found", format!("{path} can't be asked with {method}"))
        .hint(format!("it takes {}", others.join(", ")))
}

fn reply(answer: Answer) -> Reply {
    let (status, kind, body) = match answer {
        Answer::Json(status, bytes) => (status, "application/json", Full::new(bytes).boxed_unsync()),
        Answer::Lines(body) => (StatusCode::OK, "application/x-ndjson", body),
        Answer::Done => (StatusCode::NO_CONTENT, "application/json", Full::default().boxed_unsync()),
    };
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        reply.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    }
    reply
}

fn refusal(error: RuntimeError) -> Reply {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let RuntimeError { code, message, hint, .. } = error;
    let body = ErrorBody { error: ErrorDetail { code, message, hint } };
    reply(Answer::json(status, &body).unwrap_or(Answer::Json(status, Bytes::new())))
}
