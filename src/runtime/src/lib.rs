//! The daemon that runs OCI images in microVMs: `aegisd`.

mod apps;
pub mod backends;
pub mod capacity;
pub mod clock;
pub mod config;
mod guests;
pub mod home;
mod id;
mod images;
mod instances;
mod journal;
mod keyspace;
mod network;
mod output;
mod pid_file;
mod ports;
pub mod realm;
pub mod reconcile;
pub mod record;
pub mod secrets;
pub mod state;
mod tasks;
mod upstreams;
pub mod workspace;
