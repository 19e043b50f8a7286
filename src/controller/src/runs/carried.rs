//! The commands that a host's stream carries at the moment. A result or a piece of output counts only here: on the
//! stream that the command was sent on.

use std::{collections::BTreeMap, sync::Arc};

use aegis_core::fleet::CommandId;
use aegis_wire::edge::{Command, CommandResult};
use bytes::Bytes;

use super::{
    flight::{Flight, Ticket},
    gathered::Gathered,
};

/// The longest error text that a host may give, in bytes.
const LONGEST_ERROR: usize = 4096;

/// The commands of one stream.
#[derive(Debug, Default)]
pub(crate) struct Carried(BTreeMap<CommandId, Held>);

#[derive(Debug)]
struct Held {
    /// Before the ticket: what was printed is told before the run hears that the host is gone.
    gathered: Gathered,
    ticket: Ticket,
    flight: Arc<Flight>,
    /// How many more bytes of output the host may send.
    allowed: u64,
    /// Whether the host was told to end it.
    told: bool,
}

/// Something was said of a command that this stream doesn't carry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotCarried(pub CommandId);

/// The host sent more output than it was allowed to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMuch(pub CommandId);

/// A result that is taken in as soon as there is room for it.
pub(crate) struct Waiting {
    /// Until then the duty remains: the stream may end meanwhile.
    ticket: Ticket,
    flight: Arc<Flight>,
    result: Box<CommandResult>,
}

impl Carried {
    /// Takes a command. None: it was cancelled meanwhile, and its run knows.
    pub fn take(&mut self, ticket: Ticket, now_ms: i64) -> Option<Command> {
        let Some(flight) = ticket.board().cloned() else {
            ticket.call_off();
            return None;
        };
        let (run, id) = (&flight.run, flight.command());
        let order = run.order(&flight, id.clone(), now_ms).to_signed();
        let (arguments, window) = (run.wanted.arguments.clone(), flight.window);
        let gathered = Gathered::new(flight.clone());
        self.0.insert(id, Held { gathered, ticket, flight, allowed: u64::from(window), told: false });
        Some(Command::InvokeTool { order, arguments, window })
    }

    /// A command has ended. What is large is given back to be awaited.
    pub fn end(&mut self, mut result: CommandResult) -> Result<Option<Waiting>, NotCarried> {
        let Some(held) = self.0.remove(&result.command) else { return Err(NotCarried(result.command)) };
        if result.error.len() > LONGEST_ERROR {
            result.error.truncate(result.error.floor_char_boundary(LONGEST_ERROR));
        }
        drop(held.gathered);
        let (flight, id) = (held.flight, result.command.clone());
        let taken = flight.run.take(flight.target, Box::new(result));
        match taken {
            Err(result) => Ok(Some(Waiting { ticket: held.ticket, flight, result })),
            Ok(taken) => {
                held.ticket.land();
                if taken { Ok(None) } else { Err(NotCarried(id)) }
            }
        }
    }

    /// A command printed something. What belongs to none that is carried is dropped.
    pub fn hear(
        &mut self,
        command: &CommandId,
        stderr: bool,
        data: Bytes,
        time: jiff::Timestamp,
    ) -> Result<(), TooMuch> {
        let Some(held) = self.0.get_mut(command) else { return Ok(()) };
        let Some(left) = held.allowed.checked_sub(data.len() as u64) else {
            return Err(TooMuch(command.clone()));
        };
        held.allowed = left;
        if !held.flight.is_over() {
            held.gathered.hear(stderr, data, time);
        }
        Ok(())
    }

    /// Looks at what has to be said to the host.
    pub fn look(&mut self, mut tell: impl FnMut(Command)) {
        self.0.retain(|id, held| {
            if held.flight.is_cancelled() && !held.told {
                held.told = true;
                tell(Command::Cancel { command: id.clone() });
            }
            held.gathered.go_on();
            let bytes = held.flight.credit();
            if bytes > 0 {
                held.allowed += u64::from(bytes);
                tell(Command::OutputCredit { command: id.clone(), bytes });
            }
            !held.flight.is_over()
        });
    }
}

impl Waiting {
    /// Hands the result over. An error: the run ended meanwhile.
    pub async fn hand_over(self) -> Result<(), NotCarried> {
        let id = self.result.command.clone();
        let taken = self.flight.run.take_large(self.flight.target, self.result).await;
        self.ticket.land();
        taken.then_some(()).ok_or(NotCarried(id))
    }
}
