//! The engine over a realm in memory: what it promises of plans, ownership, interruption and the cache.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod cache;
mod cache_law;
mod faults;
mod interrupted;
mod manifests;
mod ownership;
mod rollback;
mod round_trip;
mod running;
mod world;
