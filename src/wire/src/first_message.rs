//! Until a daemon's first message is verified, little may come: a stranger must not make a controller hold megabytes for
//! each of the streams that it opens.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

/// How much may come before the first message is taken, in bytes. A Hello is at most 32 KiB of capabilities and a token.
const FIRST_MESSAGE: usize = 64 * 1024;

/// Whether the first message was taken. The limit ends with that, and the messages' own holds from then on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<AtomicBool>);

impl Gate {
    pub fn lift(&self) {
        // Only a flag: nothing else is passed from thread to thread by it.
        self.0.store(true, Ordering::Relaxed);
    }
    fn is_lifted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A service whose requests are limited until their [`Gate`], an extension of each, is lifted.
#[derive(Debug, Clone)]
pub(crate) struct Limited<S>(pub S);

impl<S: NamedService> NamedService for Limited<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Limited<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let gate = Gate::default();
        let limit = |inner| Body::new(LimitedBody { inner, gate: gate.clone(), left: FIRST_MESSAGE });
        let mut request = request.map(limit);
        request.extensions_mut().insert(gate);
        self.0.call(request)
    }
}

struct LimitedBody {
    inner: Body,
    gate: Gate,
    left: usize,
}

impl http_body::Body for LimitedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && !self.gate.is_lifted()
        {
            let Some(left) = self.left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else {
                let message = format!("the first message is larger than {} KiB", FIRST_MESSAGE / 1024);
                return Poll::Ready(Some(Err(Status::resource_exhausted(message))));
            };
            self.left = left;
        }
        Poll::Ready(frame)
    }
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
