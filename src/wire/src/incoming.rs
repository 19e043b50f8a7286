//! A stream of envelopes as it comes from tonic, without a box around it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;
use tonic::Streaming;

use crate::{envelope::Unverified, error::ApiError, proto};

/// A message that is an envelope and nothing else.
pub(crate) trait Carrier: Default + prost::Message + 'static {
    fn unwrap(self) -> Option<proto::Envelope>;
}

impl Carrier for proto::EdgeEvent {
    fn unwrap(self) -> Option<proto::Envelope> {
        self.envelope
    }
}

impl Carrier for proto::EdgeCommand {
    fn unwrap(self) -> Option<proto::Envelope> {
        self.envelope
    }
}

/// Polls the next envelope. A message without one is an error: there is nothing in it that could be verified.
pub(crate) fn poll_envelope<M: Carrier>(
    stream: &mut Streaming<M>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Unverified, ApiError>>> {
    Pin::new(stream).poll_next(context).map(|item| {
        item.map(|message| {
            let envelope = message?.unwrap();
            envelope
                .map(Unverified::from_proto)
                .ok_or_else(|| ApiError::invalid("a message without an envelope"))
        })
    })
}
