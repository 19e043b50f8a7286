//! The daemon that runs OCI images in microVMs: `aegisd`.

pub mod capacity;
pub mod clock;
pub mod config;
pub mod home;
mod id;
mod keyspace;
mod pid_file;
pub mod record;
pub mod secrets;
pub mod workspace;
