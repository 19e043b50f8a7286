//! The edge daemon: how a host joins a fleet, holds its one stream open, and leaves.

pub mod bootstrap;
pub mod capabilities;
pub mod clock;
pub mod config;
pub mod enroll;
pub mod logout;
pub mod proxy;
pub mod rotate;
pub mod run;
pub mod state;
pub mod status;
pub mod tools;

#[cfg(test)]
mod fake_controller;
