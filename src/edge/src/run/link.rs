//! One attempt to reach the controller, and the stream on it.

use std::{pin::Pin, sync::Arc};

use aegis_wire::{
    ApiError, CaFingerprint, Endpoint, Envelope, Unverified,
    dial::{Channel, Dialer, connect, connect_plaintext},
    edge::EdgeClient,
    enrollment::{Enrolled, EnrollmentClient},
};
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;

use super::Reattestation;

/// Messages that wait for the network.
pub(super) const QUEUE: usize = 16;

/// What the controller sends.
pub type Incoming = Pin<Box<dyn Stream<Item = Result<Unverified, ApiError>> + Send>>;

/// The way to the controller. Tests put one in that ends in memory.
pub trait Transport: Send + Sync + 'static {
    /// Connects, and knows then that it is the right controller.
    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Connection>, ApiError>>;
}

/// A connection to the controller.
pub trait Connection: Send {
    /// Attests anew, before the stream is opened.
    fn reattest(&self, with: Reattestation) -> BoxFuture<'static, Result<Enrolled, ApiError>>;
    /// Opens the stream. Hello waits in `outgoing` already.
    fn open(
        self: Box<Self>,
        outgoing: ReceiverStream<Envelope>,
    ) -> BoxFuture<'static, Result<Incoming, ApiError>>;
}

/// gRPC over TLS with the pinned CA.
pub struct GrpcTransport {
    /// Where the controller is.
    pub endpoint: Endpoint,
    /// Its CA; `None`: plain text, to loopback only.
    pub pin: Option<CaFingerprint>,
    /// What the connection is made with.
    pub dialer: Arc<dyn Dialer>,
}

impl Transport for GrpcTransport {
    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Connection>, ApiError>> {
        let (endpoint, pin, dialer) = (self.endpoint.clone(), self.pin, Arc::clone(&self.dialer));
        async move {
            let channel = match pin {
                Some(pin) => connect(&endpoint, &pin, dialer).await?,
                None => connect_plaintext(&endpoint, dialer).await?,
            };
            Ok(Box::new(GrpcConnection(channel)) as Box<dyn Connection>)
        }
        .boxed()
    }
}

struct GrpcConnection(Channel);

impl Connection for GrpcConnection {
    fn reattest(&self, with: Reattestation) -> BoxFuture<'static, Result<Enrolled, ApiError>> {
        with.ask(EnrollmentClient::new(self.0.clone())).boxed()
    }
    fn open(
        self: Box<Self>,
        outgoing: ReceiverStream<Envelope>,
    ) -> BoxFuture<'static, Result<Incoming, ApiError>> {
        async move { Ok(EdgeClient::new(self.0).connect(outgoing).await?.boxed()) }.boxed()
    }
}

/// What happens on a link.
pub(super) enum LinkEvent {
    /// The controller is there and is the right one; with what attesting anew gave, if that was asked for.
    Connected(Box<dyn Connection>, Option<Box<Enrolled>>),
    /// It isn't, or it doesn't want this host.
    Failed(ApiError),
    /// It sent something.
    Incoming(Unverified),
    /// The stream has ended; with an error, if there was one.
    Ended(Option<ApiError>),
}

/// One attempt or stream. Dropping it hangs up, and nothing of it is heard any more.
pub(super) struct Link {
    events: mpsc::Receiver<LinkEvent>,
    report: mpsc::Sender<LinkEvent>,
    outgoing: Option<mpsc::Sender<Envelope>>,
    task: JoinHandle<()>,
}

/// The stream takes nothing more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stuck;

impl Link {
    /// Does what is to be done before, then begins to connect, and to attest anew if that is needed.
    pub fn dial(
        transport: &Arc<dyn Transport>,
        before: impl Future<Output = Result<(), ApiError>> + Send + 'static,
        reattestation: Option<Reattestation>,
    ) -> Self {
        let (report, events) = mpsc::channel(QUEUE);
        let (connecting, sender) = (transport.connect(), report.clone());
        let task = tokio::spawn(async move {
            let steps = async {
                before.await?;
                let connection = connecting.await?;
                let enrolled = match reattestation {
                    Some(with) => Some(Box::new(connection.reattest(with).await?)),
                    None => None,
                };
                Ok(LinkEvent::Connected(connection, enrolled))
            };
            let event = steps.await.unwrap_or_else(LinkEvent::Failed);
            // Nobody hears it when the attempt was given up.
            let _ = sender.send(event).await;
        });
        Self { events, report, outgoing: None, task }
    }

    /// Opens the stream with `hello` as its first event.
    pub fn open(&mut self, connection: Box<dyn Connection>, hello: Envelope) {
        let (outgoing, queue) = mpsc::channel(QUEUE);
        // A new queue has room.
        let _ = outgoing.try_send(hello);
        self.outgoing = Some(outgoing);
        let report = self.report.clone();
        self.task = tokio::spawn(async move {
            let end = match connection.open(ReceiverStream::new(queue)).await {
                Ok(incoming) => pump(incoming, &report).await,
                Err(error) => Some(error),
            };
            let _ = report.send(LinkEvent::Ended(end)).await;
        });
    }

    /// The way out for events; none before the stream is opened.
    pub fn outgoing(&self) -> Option<Outgoing> {
        self.outgoing.clone().map(Outgoing)
    }

    /// Sends an event, where there is room.
    pub fn send(&self, envelope: Envelope) -> Result<(), Stuck> {
        self.outgoing.as_ref().ok_or(Stuck)?.try_send(envelope).map_err(|_| Stuck)
    }

    /// What happens next.
    pub async fn next(&mut self) -> LinkEvent {
        // It never closes: `self` holds a sender.
        self.events.recv().await.unwrap_or(LinkEvent::Ended(None))
    }

    /// Sends no more, and lets what was sent arrive.
    pub async fn close(mut self) {
        if self.outgoing.take().is_some() {
            while !matches!(self.next().await, LinkEvent::Ended(_)) {}
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where events wait for the network.
pub(super) struct Outgoing(mpsc::Sender<Envelope>);

impl Outgoing {
    /// Whether another event may be sent, even if only to learn that the stream is gone.
    pub fn has_room(&self) -> bool {
        self.0.capacity() > 0 || self.0.is_closed()
    }
    /// Waits until so many may be sent, or until the stream is gone.
    pub async fn room(&self, events: usize) {
        // The room isn't kept: nobody else sends.
        let _ = self.0.reserve_many(events).await;
    }
}

async fn pump(mut incoming: Incoming, report: &mpsc::Sender<LinkEvent>) -> Option<ApiError> {
    while let Some(item) = incoming.next().await {
        match item {
            Ok(unverified) => report.send(LinkEvent::Incoming(unverified)).await.ok()?,
            Err(error) => return Some(error),
        }
    }
    None
}
