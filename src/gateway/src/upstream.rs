//! What the router and the ports need to know of guests: which there are, and a connection to one. The daemon implements it.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};

/// How long a client waits for a guest that has to boot or wake.
pub const WAKE_LIMIT: Duration = Duration::from_secs(30);

/// The two ends of a byte stream.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Something that can be reached: an app that is served, or an instance without an app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// What it is opened by: unique, and the same as long as it exists. An app's id or an instance's id.
    pub id: String,
    /// What it is called in a host name, a path or a header: an app's name. An instance without an app is called by its id.
    pub name: String,
    /// The guest's ports that are exposed, in the order in which they were declared. The router uses the first.
    pub ports: Vec<u16>,
}

/// Guests, by what they are called. Cheap to call: each request asks.
pub trait Upstreams: Send + Sync + 'static {
    /// All that could be reached, whether it runs, is paused or has to boot. In the order in which lists show them.
    fn targets(&self) -> Vec<Target>;

    /// A connection to a port of the guest. Boots or wakes it as needed and waits until the port answers, for at most
    /// [`WAKE_LIMIT`]. Dropping the future gives up the wait, never the boot: that belongs to the daemon.
    fn open(&self, id: &str, port: u16) -> BoxFuture<'static, Result<Connection, OpenError>>;
}

/// An open connection. The guest counts as used as long as the guard lives.
pub struct Connection {
    /// Its bytes.
    pub stream: Box<dyn Duplex>,
    /// Held until both directions are done.
    pub guard: ConnectionGuard,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Nothing has this id (any more).
    #[error("nothing is called '{0}'")]
    Unknown(String),
    /// It exposes nothing.
    #[error("'{0}' exposes no port")]
    NoPorts(String),
    /// It exposes others.
    #[error("'{name}' doesn't expose port {port}")]
    NoSuchPort {
        /// What was asked for.
        name: String,
        /// The port that isn't exposed.
        port: u16,
    },
    /// It can't run, or nothing listens on its port.
    #[error("{reason}")]
    Failed {
        /// Why: the reason of the boot that failed, for instance.
        reason: String,
        /// A command that helps.
        hint: Option<String>,
    },
    /// It wasn't there in time. The boot goes on.
    #[error("no answer after {} s", .0.as_secs())]
    TimedOut(Duration),
}

/// Counts the connections of one guest. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    count: Arc<watch::Sender<u64>>,
}

impl Connections {
    /// How many there are now.
    pub fn count(&self) -> u64 {
        *self.count.borrow()
    }

    /// One more, until the guard is dropped.
    pub fn enter(&self) -> ConnectionGuard {
        self.count.send_modify(|count| *count += 1);
        ConnectionGuard { count: Some(Arc::clone(&self.count)), _held: None }
    }

    /// Tells of every change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }
}

/// One connection, counted until this is dropped.
pub struct ConnectionGuard {
    count: Option<Arc<watch::Sender<u64>>>,
    /// Whoever counts in another way gives a value that tells it when it is dropped.
    _held: Option<Box<dyn Send + Sync>>,
}

impl fmt::Debug for ConnectionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionGuard")
    }
}

impl ConnectionGuard {
    /// A guard that counts nowhere.
    pub const fn uncounted() -> Self {
        Self { count: None, _held: None }
    }

    /// A guard that drops `held` when the connection is over.
    pub fn holding(held: impl Send + Sync + 'static) -> Self {
        Self { count: None, _held: Some(Box::new(held)) }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        if let Some(count) = &self.count {
            count.send_modify(|count| *count = count.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_count_while_their_guards_live() {
        let connections = Connections::default();
        let mut changes = connections.watch();
        let (first, second) = (connections.enter(), connections.clone().enter());
        assert_eq!(connections.count(), 2);
        drop(first);
        assert_eq!(connections.count(), 1);
        drop(second);
        assert_eq!(*changes.borrow_and_update(), 0);
    }
}
