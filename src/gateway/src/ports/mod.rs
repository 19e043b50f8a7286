//! TCP ports on loopback that lead to ports of guests. The daemon owns the listeners, so that a port stays the same, and stays
//! reserved, while its guest is paused, stopped or replaced.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::{holder, upstream::Upstreams};

/// How many connections a port may have at once; who comes later waits.
const CONNECTIONS: usize = 1024;

/// Why a port isn't there.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Somebody has it.
    #[error("port {port} on 127.0.0.1 is in use by {holder}")]
    Taken {
        /// Which port.
        port: u16,
        /// An app or instance of ours, or a process of the host.
        holder: String,
    },
    /// The host refuses it.
    #[error("can't listen on port {port} of 127.0.0.1: {source}")]
    Listen {
        /// Which port; 0: any.
        port: u16,
        /// Why not.
        source: io::Error,
    },
}

/// The ports of all guests.
pub struct PortTable {
    upstreams: Arc<dyn Upstreams>,
    ports: Mutex<BTreeMap<(String, u16), Port>>,
}

struct Port {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PortTable {
    /// No ports yet.
    pub fn new(upstreams: Arc<dyn Upstreams>) -> Self {
        Self { upstreams, ports: Mutex::default() }
    }

    /// Leads a port of loopback to the guest's. `wanted` is the one that was given, or remembered from before; without it any free
    /// one is taken. What is open already stays, unless another one is wanted.
    pub async fn open(&self, id: &str, guest: u16, wanted: Option<u16>) -> Result<SocketAddr, PortError> {
        let key = (id.to_owned(), guest);
        if let Some(port) = self.lock().get(&key)
            && wanted.is_none_or(|wanted| wanted == port.address.port())
        {
            return Ok(port.address);
        }
        let port = wanted.unwrap_or(0);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listen = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => PortError::Taken { port, holder: self.holder(port) },
            _ => PortError::Listen { port, source },
        };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let task = tokio::spawn(accept(listener, Arc::clone(&self.upstreams), id.to_owned(), guest));
        // Whoever opened the same one in the meantime loses its listener; the address that is remembered is this one.
        self.lock().insert(key, Port { address, task });
        Ok(address)
    }

    /// Gives up a port, and its connections.
    pub fn close(&self, id: &str, guest: u16) {
        self.lock().remove(&(id.to_owned(), guest));
    }

    /// Gives up all ports of a guest.
    pub fn close_all(&self, id: &str) {
        self.lock().retain(|(owner, _), _| owner != id);
    }

    /// The guest's ports and where they are, in the order of the guest's numbers.
    pub fn of(&self, id: &str) -> Vec<(u16, SocketAddr)> {
        let ports = self.lock();
        ports
            .iter()
            .filter(|((owner, _), _)| owner == id)
            .map(|((_, guest), port)| (*guest, port.address))
            .collect()
    }

    fn holder(&self, port: u16) -> String {
        let owner =
            self.lock().iter().find(|(_, other)| other.address.port() == port).map(|((id, _), _)| id.clone());
        let Some(id) = owner else { return holder::of(port) };
        let targets = self.upstreams.targets();
        let name =
            targets.iter().find(|target| target.id == id).map_or(id.as_str(), |target| target.name.as_str());
        format!("'{name}'")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, u16), Port>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, upstreams: Arc<dyn Upstreams>, id: String, guest: u16) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, id, guest, "a port can't accept");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let opening = upstreams.open(&id, guest);
        let id = id.clone();
        connections.spawn(async move {
            let _place = place;
            let opened = opening.await;
            match opened {
                Ok(opened) => carry(stream, opened).await,
                Err(error) => {
                    tracing::info!(%error, id, guest, "a connection to a port leads nowhere");
                    refuse(&stream);
                }
            }
        });
    }
}

/// Copies until both directions have ended; each direction's end is passed on by itself.
async fn carry(mut stream: TcpStream, mut opened: crate::upstream::Connection) {
    stream.set_nodelay(true).ok();
    if let Err(error) = copy_bidirectional(&mut stream, &mut opened.stream).await {
        tracing::debug!(%error, "a connection to a port broke");
        refuse(&stream);
    }
    drop(opened.guard);
}

/// Closes by a reset: an orderly end would say that all went well.
fn refuse(stream: &TcpStream) {
    stream.set_zero_linger().ok();
}

#[cfg(test)]
mod tests;
