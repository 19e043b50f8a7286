//! PID 1 of a guest.
//!
//! Begin to read at `boot.rs` (from the kernel's first process to an open channel), then `serve.rs` (the loop) and `guest.rs`
//! (what it does when the host says something).

// The standard library's own beginning ends the program when the standard files are closed and there is no /dev/null:
// the state in which a kernel without a console starts its first process.
#![cfg_attr(not(test), no_main)]

mod boot;
mod channel;
mod connection;
mod context;
mod device;
mod end;
mod guest;
mod health;
mod input;
mod inside;
mod layout;
mod limits;
mod network;
mod output;
mod process;
mod serve;
mod setup;
mod spawn;
mod sys;

use crate::{
    channel::Channel,
    context::{Context, Outcome},
    guest::Guest,
    health::{Counters, Whose},
};

/// What the C library calls.
#[cfg_attr(not(test), expect(unsafe_code, reason = "the name that a C library looks for"))]
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main() -> i32 {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("jail"), Some(number)) => inside::run(&number).unwrap_or_else(|reason| {
            complain(&reason);
            1
        }),
        // With any arguments: a kernel hands on what it doesn't know of its command line.
        _ if std::process::id() == 1 => {
            std::panic::set_hook(Box::new(|panic| {
                complain(&panic.to_string());
                end::power_off();
            }));
            if let Err(reason) = machine() {
                complain(&reason);
            }
            end::end();
            1
        }
        _ => {
            complain("this is the first process of a guest; aegisd starts it");
            2
        }
    }
}

/// The guest of a VM.
fn machine() -> Outcome<()> {
    let booted = boot::boot()?;
    let signals = sys::signal_file(&[libc::SIGCHLD]).context("signals")?;
    let channel = Channel::new(booted.channel);
    let prepared = booted.prepared;
    let maker = Box::new(move |setup: &_| setup::make(prepared, setup));
    let mut guest = Guest::new(channel, signals, Counters::new(Whose::Machine), maker);
    guest.greet(&booted.token);
    booted.remarks.into_iter().for_each(|remark| guest.channel.log(remark));
    serve::serve(&mut guest)
}

/// Says something where a person may see it: the console, before there is a channel.
fn complain(line: &str) {
    let _ = rustix::io::write(rustix::stdio::stderr(), format!("aegis-harness: {line}\n").as_bytes());
}
