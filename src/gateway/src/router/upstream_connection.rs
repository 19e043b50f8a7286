//! A connection to an app that a client's connection holds: used for one request at a time, kept for the next one, and closed
//! with the client's.

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::{task::JoinHandle, time::timeout};

use std::time::Duration;

use super::upload::Upload;
use crate::upstream::{ConnectionGuard, OpenError, Upstreams};

/// How long a kept connection may take to say that it is ready again; a new one is quicker.
const READY_LIMIT: Duration = Duration::from_millis(100);

/// A connection to an app. Dropping it ends it, whatever it is doing.
pub struct UpstreamConnection {
    target: String,
    port: u16,
    sender: http1::SendRequest<Upload>,
    task: JoinHandle<()>,
    /// Keeps the app awake as long as the connection is there: so a kept one never leads to a guest that sleeps.
    _guard: ConnectionGuard,
    /// Whether a request was sent on it before: then the app may have closed it in the meantime.
    used: bool,
}

impl Drop for UpstreamConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl UpstreamConnection {
    /// A new one, once the app is awake.
    pub async fn open(upstreams: &dyn Upstreams, target: &str, port: u16) -> Result<Self, OpenError> {
        let opened = upstreams.open(target, port).await?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(super::HEADER_LIMIT)
            .handshake(TokioIo::new(opened.stream))
            .await
            .map_err(|error| OpenError::Failed { reason: error.to_string(), hint: None })?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to an app ended");
            }
        });
        Ok(Self { target: target.into(), port, sender, task, _guard: opened.guard, used: false })
    }

    /// Whether it can take a request for this port.
    pub async fn serves(&mut self, target: &str, port: u16) -> bool {
        self.target == target
            && self.port == port
            && matches!(timeout(READY_LIMIT, self.sender.ready()).await, Ok(Ok(())))
    }

    /// Whether a failure may mean no more than that the app closed a connection that was idle.
    pub const fn was_kept(&self) -> bool {
        self.used
    }

    /// Sends a request. An error has the request when nothing of it was sent.
    pub async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        let answer = self.sender.try_send_request(request).await;
        self.used = true;
        answer
    }
}
