//! Reading a program's pipes: only as much as can be passed on, so that a slow reader slows the program.

use std::io;

use tokio::{io::AsyncWriteExt, net::unix::pipe::Receiver, process::ChildStdin, sync::watch};

use super::super::output::{CHUNK, Printer};

/// A pipe may be made to hold so much; whatever is in it when the program has ended is read.
const LARGEST_PIPE: usize = 1 << 20;

/// Reads until the pipe's end, or, from when `leaving` turns true, what is in it without waiting for more: a process
/// that stays behind may hold it open for ever.
pub(super) async fn pump(
    pipe: &Receiver,
    stderr: bool,
    printer: &Printer,
    mut leaving: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; CHUNK];
    loop {
        tokio::select! {
            biased;
            _ = leaving.wait_for(|leaving| *leaving) => break,
            ready = pipe.readable() => if ready.is_err() { return },
        }
        if let Step::End = step(pipe, stderr, printer, &mut buffer).await {
            return;
        }
    }
    let mut rest = LARGEST_PIPE;
    while rest > 0 {
        match step(pipe, stderr, printer, &mut buffer).await {
            Step::Read(bytes) => rest = rest.saturating_sub(bytes),
            Step::Nothing | Step::End => return,
        }
    }
}

enum Step {
    Read(usize),
    Nothing,
    End,
}

async fn step(pipe: &Receiver, stderr: bool, printer: &Printer, buffer: &mut [u8]) -> Step {
    let admission = printer.admit().await;
    let read = pipe.try_read(&mut buffer[..admission.bytes]);
    let bytes = *read.as_ref().unwrap_or(&0);
    printer.print(stderr, &buffer[..bytes], admission).await;
    match read {
        Ok(0) => Step::End,
        Ok(bytes) => Step::Read(bytes),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Step::Nothing
        }
        Err(_) => Step::End,
    }
}

/// Writes all of it. A program that doesn't read to the end is no fault.
pub(super) async fn feed(mut pipe: ChildStdin, text: Vec<u8>) {
    let _ = pipe.write_all(&text).await;
}
