//! What goes into a guest and out of it: the router, ports on loopback, the way to the network.

#[cfg(test)]
mod fake;
mod holder;
pub mod network;
pub mod ports;
pub mod router;
pub mod upstream;

pub use network::{Activity, Host, Network, Outside};
pub use ports::{PortError, PortTable};
pub use router::{Router, RouterError};
pub use upstream::{
    Connection, ConnectionGuard, Connections, Duplex, OpenError, Target, Upstreams, WAKE_LIMIT,
};
