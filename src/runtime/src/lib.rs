//! The daemon that runs OCI images in microVMs: `aegisd`.

mod api;
mod apps;
pub mod assets;
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
pub mod logs;
mod network;
mod output;
mod pid_file;
mod ports;
pub mod realm;
pub mod reconcile;
pub mod record;
mod recovery;
pub mod run;
pub mod secrets;
pub mod small;
pub mod state;
mod tasks;
#[cfg(test)]
mod testing;
mod upstreams;
pub mod workspace;

pub use api::openapi;
