//! One file a command: its arguments, whose comments are its help, and what it does.

pub mod apply;
pub mod completions;
pub mod controller;
pub mod delete;
pub mod describe;
pub mod diff;
pub mod edge;
pub mod explain;
pub mod export;
pub mod get;
pub mod history;
mod kind_arg;
pub mod rollback;
pub mod rollout;
pub mod schema;
mod stored;
pub mod validate;
