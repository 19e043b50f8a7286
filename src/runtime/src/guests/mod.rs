//! From what is to run to a guest in which it runs: the same for tasks and instances.

mod environment;
mod launch;
mod live;

pub(crate) use environment::environment;
pub(crate) use launch::system;
pub(crate) use launch::{Launch, LaunchError, launch};
pub(crate) use live::{AbortOnDrop, Live, Main, MainExit, end_of_silent, kill, shut_down};
