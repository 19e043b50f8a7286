//! Ways to run a guest: microVMs by QEMU or libkrun, and namespaces, behind one trait.
//!
//! A [`Backend`] starts a [`Machine`] and gives the raw byte stream to its harness; what is said on it is the same for
//! all. The conformance suite (`tests/tests/conformance`) runs over every backend that works on a machine.

mod cgroup;
pub mod cleanup;
mod clock;
pub mod guest;
pub mod kernel;
pub mod libkrun;
pub mod machine;
mod memory_file;
pub mod namespaces;
pub mod probe;
mod process;
pub mod qemu;
pub mod select;

pub use guest::{Guest, GuestError};
pub use machine::{
    Backend, Capabilities, Channel, Machine, MachineExit, MachineSpec, RootFs, StartError, Started,
};
