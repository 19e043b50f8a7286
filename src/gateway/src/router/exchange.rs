//! One request and its answer.

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header::CONTENT_LENGTH,
};
use http_body_util::Full;
use hyper::{
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};

use super::{
    HEADER_LIMIT,
    download::Download,
    headers,
    page::Problem,
    route::{self, Asked, Route},
    session::{Session, Tunnel},
    upload::Upload,
    upstream_connection::UpstreamConnection,
};

/// The head of a request as it goes to the app. It can be sent again, where its body can.
struct Head {
    method: Method,
    target: Uri,
    headers: HeaderMap,
}

impl Head {
    fn with(&self, body: Upload) -> Request<Upload> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        *request.version_mut() = Version::HTTP_11;
        request
    }
}

/// Answers a request: by an app, or with a reason why not.
pub async fn answer(session: Arc<Session>, request: Request<Incoming>) -> Response<Download> {
    let asked = request.headers().clone();
    let is_head = request.method() == Method::HEAD;
    match forward(session, request).await {
        Ok(response) => response,
        Err(problem) => {
            tracing::debug!(
                status = problem.status.as_u16(),
                message = problem.message,
                "the router answers"
            );
            let (mut parts, body) = problem.answer(&asked).into_parts();
            if let Some(length) = body.size_hint().exact() {
                parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            let body = if is_head { Full::new(Bytes::new()) } else { body };
            Response::from_parts(parts, Download::Own(body))
        }
    }
}

async fn forward(
    session: Arc<Session>,
    mut request: Request<Incoming>,
) -> Result<Response<Download>, Problem> {
    if request.method() == Method::CONNECT {
        let text = "this router is no proxy for other hosts";
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no_proxy", text));
    }
    if size(&request) > HEADER_LIMIT {
        let text = format!("the request's head has more than {HEADER_LIMIT} bytes");
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too_large", text));
    }
    let asked = Asked { version: request.version(), uri: request.uri(), headers: request.headers() };
    let route = route::find(asked, &session.upstreams.targets())?;
    let protocol = headers::upgrade(request.headers());
    if protocol.is_some() && route::is_foreign(request.headers()) {
        let text = "a page of another site may not open a connection to an app";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", text));
    }
    let upgrade = protocol.as_ref().map(|_| hyper::upgrade::on(&mut request));

    let (parts, body) = request.into_parts();
    let mut head =
        Head { target: headers::target(&parts.uri, &route), method: parts.method, headers: parts.headers };
    headers::strip(&mut head.headers);
    headers::forwarded(&mut head.headers, &parts.uri, session.peer.ip(), &route);
    if let Some(protocol) = protocol {
        headers::set_upgrade(&mut head.headers, protocol);
    }
    let body = if body.is_end_stream() {
        Upload::Empty
    } else {
        Upload::Client { body, progress: session.upload() }
    };

    let (response, connection) = exchange(&session, &route, &head, body).await?;
    let (mut parts, body) = response.into_parts();
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let app = hyper::upgrade::on(Response::from_parts(parts.clone(), body));
        return switch(&session, parts, upgrade.zip(Some(app)), connection, &route);
    }
    headers::strip(&mut parts.headers);
    parts.version = Version::HTTP_11;
    if body.is_end_stream() {
        session.keep(connection);
        return Ok(Response::from_parts(parts, Download::App { body, from: None }));
    }
    Ok(Response::from_parts(parts, Download::App { body, from: Some((connection, session)) }))
}

/// The bytes of the head, about.
fn size(request: &Request<Incoming>) -> usize {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    fields.sum::<usize>() + request.uri().path().len() + request.uri().query().map_or(0, str::len)
}

/// Sends the request on the connection that was kept, or on a new one. What an idle connection's end swallowed is sent again if
/// nothing of it went out, or if it is safe and has no body (RFC 9110 section 9.2.2).
async fn exchange(
    session: &Session,
    route: &Route,
    head: &Head,
    body: Upload,
) -> Result<(Response<Incoming>, UpstreamConnection), Problem> {
    let open = async || {
        UpstreamConnection::open(session.upstreams.as_ref(), &route.id, route.port)
            .await
            .map_err(|reason| Problem::not_open(&route.name, reason))
    };
    let mut kept = session.take();
    let fits = match &mut kept {
        Some(kept) => kept.serves(&route.id, route.port).await,
        None => false,
    };
    let mut connection = match kept.filter(|_| fits) {
        Some(kept) => kept,
        None => open().await?,
    };
    let can_repeat = matches!(body, Upload::Empty) && head.method.is_safe();
    let was_kept = connection.was_kept();
    let mut failed = match connection.send(head.with(body)).await {
        Ok(response) => return Ok((response, connection)),
        Err(failed) => failed,
    };
    let unsent = failed.take_message();
    let again = match unsent {
        Some(request) if was_kept => Some(request),
        _ if was_kept && can_repeat => Some(head.with(Upload::Empty)),
        _ => None,
    };
    let error = match again {
        None => failed.into_error(),
        Some(request) => {
            connection = open().await?;
            match connection.send(request).await {
                Ok(response) => return Ok((response, connection)),
                Err(failed) => failed.into_error(),
            }
        }
    };
    let text = format!("'{}' gave no answer: {}", route.name, reason(&error));
    Err(Problem::new(StatusCode::BAD_GATEWAY, "no_answer", text))
}

fn switch(
    session: &Session,
    mut parts: http::response::Parts,
    ends: Option<(OnUpgrade, OnUpgrade)>,
    connection: UpstreamConnection,
    route: &Route,
) -> Result<Response<Download>, Problem> {
    let (Some((client, app)), Some(protocol)) = (ends, headers::upgrade(&parts.headers)) else {
        let text = format!("'{}' changed the protocol and wasn't asked to", route.name);
        return Err(Problem::new(StatusCode::BAD_GATEWAY, "no_answer", text));
    };
    headers::strip(&mut parts.headers);
    headers::set_upgrade(&mut parts.headers, protocol);
    parts.extensions = http::Extensions::new();
    session.tunnel(Tunnel { client, app, connection });
    Ok(Response::from_parts(parts, Download::Own(Full::new(Bytes::new()))))
}

fn reason(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return "it closed the connection".into();
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
