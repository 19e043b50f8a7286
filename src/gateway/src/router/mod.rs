//! The router: one address on loopback, behind which all apps are. HTTP/1.1; bodies go through as they come, in both directions.

mod download;
mod exchange;
mod headers;
mod page;
mod route;
mod session;
mod upload;
mod upstream_connection;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::{holder, upstream::Upstreams};
use session::Session;

/// Where the router listens unless the config says otherwise.
pub const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8099);

/// The most bytes of a message's head, and of a body that is read ahead: a large body takes no more memory than this.
const HEADER_LIMIT: usize = 64 * 1024;

/// What bounds clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a request's head may take, and how long a connection may be without one.
    pub header_time: Duration,
    /// How long an app may take nothing of an upload that it was sent.
    pub upload_time: Duration,
    /// How many clients may be connected.
    pub clients: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { header_time: Duration::from_secs(30), upload_time: Duration::from_mins(2), clients: 1024 }
    }
}

/// Why there is no router.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// It would be reachable from elsewhere.
    #[error("the router listens on loopback only, and {0} isn't")]
    NotLoopback(SocketAddr),
    /// The address isn't free.
    #[error("{address} is in use by {holder}")]
    Taken {
        /// Where it should listen.
        address: SocketAddr,
        /// Who has it.
        holder: String,
    },
    /// The host refuses it.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// Where it should listen.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// A router that runs. Dropping it ends it with all connections.
#[derive(Debug)]
pub struct Router {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Router {
    /// Listens and serves. Port 0: a free one.
    pub async fn start(
        address: SocketAddr,
        limits: Limits,
        upstreams: Arc<dyn Upstreams>,
    ) -> Result<Self, RouterError> {
        if !address.ip().is_loopback() {
            return Err(RouterError::NotLoopback(address));
        }
        let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => RouterError::Taken { address, holder: holder::of(address.port()) },
            _ => RouterError::Listen { address, source },
        })?;
        let address = listener.local_addr().map_err(|source| RouterError::Listen { address, source })?;
        Ok(Self { address, task: tokio::spawn(accept(listener, limits, upstreams)) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, limits: Limits, upstreams: Arc<dyn Upstreams>) {
    let places = Arc::new(Semaphore::new(limits.clients));
    let mut sessions = JoinSet::new();
    loop {
        // Before accepting: who comes when it is full waits in the kernel's queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // No descriptors, for instance: a client that leaves gives one back.
                tracing::warn!(%error, "the router can't accept");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        while sessions.try_join_next().is_some() {}
        let upstreams = Arc::clone(&upstreams);
        sessions.spawn(async move {
            let _place: OwnedSemaphorePermit = place;
            stream.set_nodelay(true).ok();
            Session::serve(upstreams, stream, peer, limits).await;
        });
    }
}

#[cfg(test)]
mod tests;
