//! What goes into a guest and out of it: the router, ports on loopback, the way to the network.
