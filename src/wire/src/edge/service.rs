//! The controller's end of the stream.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, stream::Map};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    envelope::{Envelope, Unverified},
    error::ApiError,
    first_message::Gate,
    incoming::poll_envelope,
    proto::{self, edge_server},
    server::peer_of,
};

/// What a controller or a relay does with daemons' streams.
pub trait EdgeService: Send + Sync + 'static {
    /// What goes to the daemon. When it ends, so does the stream; an error is the last item, and says why.
    type Commands: Stream<Item = Result<Envelope, ApiError>> + Send + 'static;

    /// A daemon has opened a stream; nothing has been read from it and nothing is verified. Answer at once, and read
    /// `incoming` while `Commands` is polled or in a task of its own.
    fn connect(
        &self,
        peer: SocketAddr,
        incoming: EventStream,
    ) -> impl Future<Output = Result<Self::Commands, ApiError>> + Send;
}

/// What a daemon sends. It ends when the daemon closes the stream; an error is its last item.
///
/// The first event may have 64 KiB; those after it are limited by [`MAX_BODY`](crate::envelope::MAX_BODY) alone. Verify
/// the first before you poll for the second: that is what ends the limit.
#[derive(Debug)]
pub struct EventStream {
    events: Streaming<proto::EdgeEvent>,
    /// Whether the limit of the first event still holds.
    limit: Limit,
}

#[derive(Debug)]
enum Limit {
    Holds(Gate),
    /// The next poll lifts it.
    Ends(Gate),
    Lifted,
}

impl Stream for EventStream {
    type Item = Result<Unverified, ApiError>;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Limit::Ends(gate) = &this.limit {
            gate.lift();
            this.limit = Limit::Lifted;
        }
        let polled = poll_envelope(&mut this.events, context);
        if let (Limit::Holds(gate), Poll::Ready(Some(Ok(_)))) = (&this.limit, &polled) {
            this.limit = Limit::Ends(gate.clone());
        }
        polled
    }
}

/// An [`EdgeService`] as tonic wants it.
pub(crate) struct EdgeAdapter<T>(pub Arc<T>);

/// The commands as messages; a function pointer, because a closure's type couldn't be named.
type Outgoing<S> = Map<S, fn(Result<Envelope, ApiError>) -> Result<proto::EdgeCommand, Status>>;

fn command(envelope: Result<Envelope, ApiError>) -> Result<proto::EdgeCommand, Status> {
    Ok(proto::EdgeCommand { envelope: Some(envelope?.into_proto()) })
}

#[tonic::async_trait]
impl<T: EdgeService> edge_server::Edge for EdgeAdapter<T> {
    type ConnectStream = Outgoing<T::Commands>;

    async fn connect(
        &self,
        request: Request<Streaming<proto::EdgeEvent>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let peer = peer_of(&request)?;
        // Every request comes through `Limited`, which sets it; without it there is no limit to lift.
        let gate = request.extensions().get::<Gate>().cloned().unwrap_or_default();
        let incoming = EventStream { events: request.into_inner(), limit: Limit::Holds(gate) };
        let commands = self.0.connect(peer, incoming).await?;
        Ok(Response::new(commands.map(command)))
    }
}
