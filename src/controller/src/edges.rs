//! The daemons' streams, as the wire hands them over.

use std::{net::SocketAddr, pin::Pin, sync::Arc};

use aegis_wire::{
    ApiError, Envelope,
    edge::{EdgeService, EventStream},
};
use futures::Stream;

use crate::{session::Session, state::Controller};

/// Holds the daemons' streams.
#[derive(Debug, Clone)]
pub(crate) struct Edges(pub Arc<Controller>);

impl EdgeService for Edges {
    type Commands = Pin<Box<dyn Stream<Item = Result<Envelope, ApiError>> + Send>>;

    async fn connect(&self, peer: SocketAddr, incoming: EventStream) -> Result<Self::Commands, ApiError> {
        Ok(Box::pin(Session::new(self.0.clone(), peer, incoming).into_commands()))
    }
}
