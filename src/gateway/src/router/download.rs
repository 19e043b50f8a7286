//! An answer's body on its way to the client. It holds the connection to the app: given back at its end, dropped when the client
//! goes away before.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::{session::Session, upstream_connection::UpstreamConnection};

/// The body of an answer.
pub enum Download {
    /// Of the router itself.
    Own(Full<Bytes>),
    /// Of an app.
    App {
        /// As the app sends it.
        body: Incoming,
        /// Where it comes from, and who keeps that afterwards.
        from: Option<(UpstreamConnection, Arc<Session>)>,
    },
}

impl Body for Download {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Own(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::App { body, from } => {
                let frame = ready!(Pin::new(&mut *body).poll_frame(context));
                match &frame {
                    Some(Err(_)) => drop(from.take()),
                    Some(Ok(_)) if !body.is_end_stream() => {}
                    Some(Ok(_)) | None => {
                        if let Some((connection, session)) = from.take() {
                            session.keep(connection);
                        }
                    }
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::App { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::App { body, .. } => body.size_hint(),
        }
    }
}
