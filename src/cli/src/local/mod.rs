//! `aegisd` on this machine: where it is, how to ask it, and what is made of its answers.

mod batch;
mod daemon;
mod expose;
mod guest_args;
mod image;
mod keyboard;
#[cfg(test)]
pub mod sample;
mod serving;
mod signals;
mod streams;
mod target;
mod words;

use aegis_wire::runtime::RuntimeClient;

use crate::{failure::Failure, paths};

pub use batch::{Batch, End};
pub use daemon::{Daemon, State, program};
pub use expose::{expose, ports};
pub use guest_args::{GuestArgs, own_variable};
pub use image::image;
pub use keyboard::{Keyboard, terminal_size};
pub use serving::{OnInterrupt, Serving};
pub use signals::Signals;
pub use streams::{Streams, Written};
pub use target::{Source as LogsOf, logs_target, running_instance};
pub use words::{command_line, exit_of, size, time};

/// A client of this user's daemon. Whether it is there shows at the first call.
pub fn client() -> Result<RuntimeClient, Failure> {
    Ok(RuntimeClient::new(paths::home()?.join("aegisd.sock")))
}
