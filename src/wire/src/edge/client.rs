//! The daemon's end of the stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt};
use tonic::Streaming;

use crate::{
    dial::Channel,
    envelope::{Envelope, MAX_ENVELOPE, Unverified},
    error::ApiError,
    incoming::poll_envelope,
    proto::{self, edge_client},
};

/// Opens the stream.
#[derive(Debug, Clone)]
pub struct EdgeClient(edge_client::EdgeClient<tonic::transport::Channel>);

impl EdgeClient {
    /// A client on this connection.
    pub fn new(channel: Channel) -> Self {
        let client = edge_client::EdgeClient::new(channel.into_tonic());
        Self(client.max_decoding_message_size(MAX_ENVELOPE).max_encoding_message_size(MAX_ENVELOPE))
    }

    /// Sends what `outgoing` gives, for as long as it gives; gives what the controller sends.
    ///
    /// The controller answers when the first event, Hello, is there: have it in `outgoing` before this is awaited.
    pub async fn connect<S>(&mut self, outgoing: S) -> Result<CommandStream, ApiError>
    where
        S: Stream<Item = Envelope> + Send + 'static,
    {
        let events = outgoing.map(|envelope| proto::EdgeEvent { envelope: Some(envelope.into_proto()) });
        Ok(CommandStream(self.0.connect(events).await?.into_inner()))
    }
}

/// What the controller sends. It ends when the stream ends; an error is its last item.
#[derive(Debug)]
pub struct CommandStream(Streaming<proto::EdgeCommand>);

impl Stream for CommandStream {
    type Item = Result<Unverified, ApiError>;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        poll_envelope(&mut self.0, context)
    }
}
