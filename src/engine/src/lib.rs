//! From intents to a plan to events: the one engine that `apply`, `diff`, `sync` and every imperative command share.
//!
//! Fetch, plan, apply: [`realm`] says what can be asked of where objects live, [`plan`] is pure, [`apply`] writes what
//! was planned and nothing else. I/O only happens through the traits here.

pub mod apply;
pub mod cache;
pub mod dangling;
pub mod declare;
pub mod divide;
pub mod event;
pub mod export;
pub mod fetch;
pub mod imperative;
pub mod intent;
pub mod manifest;
pub mod memory;
pub mod plan;
pub mod realm;
pub mod rollback;
