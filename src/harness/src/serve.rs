//! The loop: waits for whatever comes first, and gives it to the guest.

use std::{os::fd::OwnedFd, time::Instant};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
};

use crate::{
    channel::Channel,
    connection::Connection,
    context::{Context, Outcome},
    guest::{Guest, Phase},
    process::Process,
};

/// The most that is read at once from anything.
const PIECE: usize = 64 * 1024;

/// What a file that is waited for is.
#[derive(Debug, Clone, Copy)]
enum Source {
    Channel,
    Signals,
    Tun,
    Report(u32),
    Output(u32, u32),
    Input(u32),
    Opening(u32),
    Readable(u32),
    Writable(u32),
}

/// Runs until the guest is over.
pub fn serve(guest: &mut Guest) -> Outcome<()> {
    let mut buffer = vec![0; PIECE];
    while guest.phase != Phase::Over {
        guest.channel.flush();
        let ready = wait(guest)?;
        for (source, flags) in ready {
            handle(guest, source, flags, &mut buffer);
        }
        guest.settle();
    }
    guest.channel.flush();
    Ok(())
}

fn handle(guest: &mut Guest, source: Source, flags: PollFlags, buffer: &mut [u8]) {
    let channel = &mut guest.channel;
    match source {
        Source::Channel => {
            if flags.contains(PollFlags::OUT) {
                channel.flush();
            }
            if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                guest.take_frames();
            }
        }
        Source::Signals => {
            // Which and how many doesn't matter: all that ended is looked for.
            let mut information = [0; 1024];
            let _ = rustix::io::read(&guest.signals, &mut information);
            guest.reap();
        }
        Source::Tun => {
            if let Some(tun) = guest.made.as_mut().and_then(|made| made.tun.as_mut()) {
                tun.pump(channel, buffer);
            }
        }
        Source::Report(number) => of_process(guest, number, Process::read_report),
        Source::Output(number, stream) => {
            of_process(guest, number, |process, channel| process.pump(stream, channel, buffer));
        }
        Source::Input(number) => of_process(guest, number, |process, channel| {
            if let Some(input) = process.input() {
                input.pump(channel);
            }
        }),
        Source::Opening(number) => of_connection(guest, number, Connection::check),
        Source::Readable(number) => {
            of_connection(guest, number, |connection, channel| connection.read(channel, buffer));
        }
        Source::Writable(number) => of_connection(guest, number, Connection::write),
    }
}

fn of_process(guest: &mut Guest, number: u32, action: impl FnOnce(&mut Process, &mut Channel)) {
    if let Some(process) = guest.processes.get_mut(&number) {
        action(process, &mut guest.channel);
    }
}

fn of_connection(guest: &mut Guest, number: u32, action: impl FnOnce(&mut Connection, &mut Channel)) {
    if let Some(connection) = guest.connections.get_mut(&number) {
        action(connection, &mut guest.channel);
    }
}

/// What is worth waiting for now.
#[derive(Default)]
struct Wanted<'a> {
    sources: Vec<Source>,
    files: Vec<PollFd<'a>>,
}

impl<'a> Wanted<'a> {
    fn add(&mut self, source: Source, file: Option<&'a OwnedFd>, flags: PollFlags) {
        if let Some(file) = file {
            self.sources.push(source);
            self.files.push(PollFd::new(file, flags));
        }
    }

    fn of(guest: &'a Guest) -> Self {
        let mut wanted = Self::default();
        let channel = &guest.channel;
        let (input, output) = (PollFlags::IN, PollFlags::OUT);
        let both = if channel.has_more() { input | output } else { input };
        wanted.add(Source::Channel, channel.is_open().then(|| channel.fd()), both);
        wanted.add(Source::Signals, Some(&guest.signals), input);
        let tun = guest.made.as_ref().and_then(|made| made.tun.as_ref());
        wanted.add(Source::Tun, tun.and_then(|tun| tun.wanted(channel)), input);
        for (number, process) in &guest.processes {
            wanted.add(Source::Report(*number), process.report(), input);
            for output in process.outputs().iter().filter(|output| output.is_wanted(channel)) {
                wanted.add(Source::Output(*number, output.stream()), Some(output.fd()), input);
            }
            wanted.add(Source::Input(*number), process.waiting_input(), output);
        }
        for (number, connection) in &guest.connections {
            wanted.add(Source::Opening(*number), connection.opening(), output);
            wanted.add(Source::Readable(*number), connection.readable(channel), input);
            wanted.add(Source::Writable(*number), connection.writable(), output);
        }
        wanted
    }
}

fn wait(guest: &Guest) -> Outcome<Vec<(Source, PollFlags)>> {
    let mut wanted = Wanted::of(guest);
    let left = guest.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let timeout = left.map(|left| Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    });
    match rustix::event::poll(&mut wanted.files, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error).context("waiting"),
    }
    let flags = wanted.files.iter().map(PollFd::revents);
    let ready = wanted.sources.iter().copied().zip(flags);
    Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect())
}
