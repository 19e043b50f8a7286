//! One client's connection: its requests one after another, the connection to the app that it keeps between them, and what it
//! becomes when both agree on another protocol.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::copy_bidirectional,
    net::TcpStream,
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use super::{
    HEADER_LIMIT, Limits, download::Download, exchange, upload::Progress,
    upstream_connection::UpstreamConnection,
};
use crate::upstream::Upstreams;

/// How long a connection to an app is kept without a request: shorter than the time after which servers close one (5 s in Node),
/// and short enough for an app to become idle under a browser that holds its connection.
const KEEP: Duration = Duration::from_secs(2);

/// The most headers of a request.
const HEADERS: usize = 128;

/// One client's connection.
pub struct Session {
    pub(super) upstreams: Arc<dyn Upstreams>,
    pub(super) peer: SocketAddr,
    kept: Mutex<Option<UpstreamConnection>>,
    changed: Notify,
    upload: watch::Sender<Arc<Progress>>,
    tunnel: Mutex<Option<Tunnel>>,
}

/// Two connections that go on with another protocol.
pub struct Tunnel {
    /// The client's.
    pub client: OnUpgrade,
    /// The app's.
    pub app: OnUpgrade,
    /// Held until both are done.
    pub connection: UpstreamConnection,
}

impl Session {
    /// Serves a client until it goes away.
    pub async fn serve(upstreams: Arc<dyn Upstreams>, stream: TcpStream, peer: SocketAddr, limits: Limits) {
        let session = Arc::new(Self {
            upstreams,
            peer,
            kept: Mutex::default(),
            changed: Notify::new(),
            upload: watch::Sender::new(Arc::new(Progress::over())),
            tunnel: Mutex::default(),
        });
        let service = service_fn(|request: Request<Incoming>| {
            let session = Arc::clone(&session);
            async move { Ok::<Response<Download>, Infallible>(exchange::answer(session, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_time)
            .max_buf_size(HEADER_LIMIT)
            .max_headers(HEADERS)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::select! {
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, %peer, "a client's connection ended");
            },
            () = session.forget_idle() => {}
            () = session.stuck(limits.upload_time) => {
                tracing::debug!(%peer, "an app takes nothing of an upload");
            }
        }
        session.take();
        let tunnel = session.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(tunnel) = tunnel {
            run(tunnel).await;
        }
    }

    /// Keeps a connection for the next request.
    pub fn keep(&self, connection: UpstreamConnection) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        self.changed.notify_one();
    }

    /// The connection that was kept.
    pub fn take(&self) -> Option<UpstreamConnection> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What to do once the answer is sent and the connection belongs to another protocol.
    pub fn tunnel(&self, tunnel: Tunnel) {
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    }

    /// What is to be told of the next upload.
    pub fn upload(&self) -> Arc<Progress> {
        let progress = Arc::default();
        self.upload.send_replace(Arc::clone(&progress));
        progress
    }

    async fn stuck(&self, limit: Duration) {
        let mut uploads = self.upload.subscribe();
        loop {
            let progress = Arc::clone(&uploads.borrow_and_update());
            tokio::select! {
                () = progress.stuck(limit) => return,
                _ = uploads.changed() => {}
            }
        }
    }

    async fn forget_idle(&self) {
        let mut until: Option<Instant> = None;
        loop {
            let end = until.unwrap_or_else(Instant::now);
            tokio::select! {
                () = self.changed.notified() => until = Some(Instant::now() + KEEP),
                () = sleep_until(end), if until.is_some() => {
                    until = None;
                    self.take();
                }
            }
        }
    }
}

async fn run(tunnel: Tunnel) {
    let Tunnel { client, app, connection } = tunnel;
    let (client, app) = match futures::future::try_join(client, app).await {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "an upgrade failed");
            return;
        }
    };
    let (mut client, mut app) = (pin!(TokioIo::new(client)), pin!(TokioIo::new(app)));
    if let Err(error) = copy_bidirectional(&mut client, &mut app).await {
        tracing::debug!(%error, "an upgraded connection ended");
    }
    drop(connection);
}
