//! A terminal that belongs to a process in a guest: every key goes there, and its size, too.

use std::io::{ErrorKind, Read};

use aegis_wire::runtime::{ExecInput, ExecSender};
use rustix::{
    stdio::{stdin, stdout},
    termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr},
};
use tokio::sync::mpsc;

use crate::failure::Failure;

/// So much is read at once.
const PIECE: usize = 16 << 10;

/// Standard input; raw as long as this lives, if that was asked for.
#[derive(Debug)]
pub struct Keyboard {
    before: Option<Termios>,
}

impl Keyboard {
    /// Reads standard input from now on, for a command. `raw`: what is typed isn't interpreted here.
    pub fn open(raw: bool, command: ExecSender) -> Result<Self, Failure> {
        let before = if raw && isatty(stdin()) { Some(make_raw()?) } else { None };
        let (sender, input) = mpsc::channel(1);
        // A thread that nobody waits for: a read of a terminal can't be called off.
        std::thread::spawn(move || {
            let mut stdin = std::io::stdin().lock();
            let mut buffer = vec![0; PIECE];
            loop {
                match stdin.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) if sender.blocking_send(buffer[..count].to_vec()).is_err() => return,
                    Err(error) if error.kind() != ErrorKind::Interrupted => return,
                    _ => {}
                }
            }
        });
        // Beside whatever reads the answer: a command that reads nothing must not keep its output from being read.
        tokio::spawn(Self::type_into(input, command));
        Ok(Self { before })
    }

    /// Sends what is typed to a command, and then that there is no more.
    async fn type_into(mut input: mpsc::Receiver<Vec<u8>>, command: ExecSender) {
        while let Some(bytes) = input.recv().await {
            if !command.stdin(&bytes).await {
                return;
            }
        }
        command.send(&ExecInput::Eof(true)).await;
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // There is nothing else that could be done for the terminal.
            let _ = tcsetattr(stdin(), OptionalActions::Drain, before);
        }
    }
}

fn make_raw() -> Result<Termios, Failure> {
    let failed = |error: rustix::io::Errno| Failure::generic(format!("terminal: {error}"));
    let before = tcgetattr(stdin()).map_err(failed)?;
    let mut raw = before.clone();
    raw.make_raw();
    tcsetattr(stdin(), OptionalActions::Now, &raw).map_err(failed)?;
    Ok(before)
}

/// The terminal's size: rows and columns. 24 × 80 where there is none.
pub fn terminal_size() -> (u16, u16) {
    let sizes = [tcgetwinsize(stdout()), tcgetwinsize(stdin())];
    let known = sizes.into_iter().flatten().find(|size| size.ws_row > 0 && size.ws_col > 0);
    known.map_or((24, 80), |size| (size.ws_row, size.ws_col))
}
