//! What goes into a guest and out of it: the router, ports on loopback, the way to the network.

pub mod upstream;

pub use upstream::{
    Connection, ConnectionGuard, Connections, Duplex, OpenError, Target, Upstreams, WAKE_LIMIT,
};
